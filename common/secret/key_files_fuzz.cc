// Files of keys, and the encodings of secrets. What is refused is not repeated; each value has one text.
#include <algorithm>
#include <cctype>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "common/secret/key_ring.h"
#include "common/secret/secret.h"
#include "common/status/error.h"

namespace {

void Require(bool holds) {
  if (!holds) std::abort();
}

void RequireRefused(const absl::Status& status, std::string_view text) {
  Require(leasehold::ReasonOf(status) == leasehold::v1::REASON_INVALID_FIELD);
  const std::string begin(text.substr(0, 32));
  const bool may_be_a_key =
      begin.size() == 32 && std::ranges::all_of(begin, [](unsigned char c) { return std::isxdigit(c) != 0; });
  Require(!may_be_a_key || status.message().find(begin) == std::string::npos);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace leasehold;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto signing = SigningKeys::Parse(text);
  if (signing.ok()) {
    Require(signing->PasswordOf(signing->current(), "lh1.").ok());
  } else {
    RequireRefused(signing.status(), text);
  }
  const auto roles = RoleKeys::Parse(text);
  if (roles.ok()) {
    Require(roles->current().PasswordOf("central", RoleKind::kOwner).reveal().size() == 43);
  } else {
    RequireRefused(roles.status(), text);
  }
  if (const auto bytes = FromBase64(text); bytes.ok()) Require(Base64(*bytes) == text);
  if (const auto bytes = FromBase64Url(text); bytes.ok()) Require(Base64Url(*bytes) == text);
  if (const auto bytes = FromHex(text); bytes.ok()) Require(Hex(*bytes).size() == text.size());
  Require(FromBase64(Base64(text)).value() == text && FromBase64Url(Base64Url(text)).value() == text &&
          FromHex(Hex(text)).value() == text);
  return 0;
}
