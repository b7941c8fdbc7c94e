// Bytes of a stranger → ParseJwt and KeySet::Parse. What is not understood is a bad token, and nothing else; what is
// understood holds what it must.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "common/status/error.h"
#include "services/gateway/authn/jwt.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace leasehold;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto jwt = gateway::ParseJwt(text);
  if (!jwt.ok() && ReasonOf(jwt.status()) != v1::REASON_BAD_TOKEN) std::abort();
  if (jwt.ok() &&
      (jwt->issuer.empty() || jwt->subject.empty() || jwt->signature.empty() || !text.starts_with(jwt->signed_text))) {
    std::abort();
  }
  const auto keys = gateway::KeySet::Parse(text);
  if (keys.ok() && keys->size() == 0) std::abort();
  return 0;
}
