// A stranger's bytes against both sides of the exchange. The first line goes into the first message's decoder, the rest
// into the second's; whatever comes, a proof that was not made from the password is refused.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "common/scram/scram.h"

namespace {

using leasehold::Secret;
namespace scram = leasehold::scram;

void Require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t newline = input.find('\n');
  const std::string_view first = input.substr(0, newline);
  const std::string_view second = newline == std::string_view::npos ? "" : input.substr(newline + 1);

  static const scram::Verifier verifier = scram::MakeVerifier("not in the corpus", "sixteen bytes...", 1);
  scram::ServerExchange server(verifier, "servernonce");
  if (server.OnClientFirst(first).ok()) Require(!server.OnClientFinal(second).ok());
  Require(!server.OnClientFinal(second).ok());

  // Where binding was offered: what binds nothing, or to another connection, gets no further with PLUS.
  scram::ServerExchange bound(verifier, "servernonce", "this end");
  if (bound.OnClientFirst(first, scram::kPlusMechanism).ok()) {
    Require(first.starts_with("p=tls-server-end-point,"));
    Require(!bound.OnClientFinal(second).ok());
  }
  scram::ServerExchange offered(verifier, "servernonce", "this end");
  if (offered.OnClientFirst(first, scram::kMechanism).ok()) Require(first.starts_with("n,"));

  // A high iteration count is allowed and slow; the decoder is what is tested here.
  if (first.find(",i=") != std::string_view::npos && first.size() - first.find(",i=") > 7) return 0;
  scram::ClientExchange client(Secret(std::string("not in the corpus")), "abc");
  (void)client.ClientFirst();
  (void)client.OnServerFirst(first);
  Require(!client.OnServerFinal(second).ok());
  return 0;
}
