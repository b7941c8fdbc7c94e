// A server that does not know the password, or who is taken for one, while the gateway logs in: Authentication
// messages, each behind its length in one byte. Whatever it says, it never gets to prove itself.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "services/gateway/pool/server_authentication.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using leasehold::Secret;
  std::string_view input(reinterpret_cast<const char*>(data), size);
  leasehold::gateway::ServerAuthentication authentication{Secret(std::string("not in the corpus"))};
  while (!input.empty()) {
    const std::string_view body = input.substr(1, static_cast<unsigned char>(input[0]));
    input.remove_prefix(1 + body.size());
    // A high iteration count is allowed and slow.
    const size_t iterations = body.find(",i=");
    if (iterations != std::string_view::npos && body.size() - iterations > 7) return 0;
    std::string out;
    const absl::Status status = authentication.Answer(body, out);
    if (out.find("not in the corpus") != std::string::npos) std::abort();
    if (!status.ok()) {
      if (!out.empty()) std::abort();
      return 0;
    }
    if (body.starts_with(std::string_view("\0\0\0\x0c", 4))) std::abort();
  }
  return 0;
}
