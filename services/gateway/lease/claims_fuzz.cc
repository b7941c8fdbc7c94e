// Bytes of a stranger → ParseUserName. What it accepts must be the one spelling of valid claims.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "services/gateway/lease/claims.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace leasehold::gateway;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto claims = ParseUserName(text);
  if (!claims.ok()) {
    if (claims.status() != BadCredentials()) std::abort();
    return 0;
  }
  if (!CheckClaims(*claims).ok() || UserNameOf(*claims) != text) std::abort();
  return 0;
}
