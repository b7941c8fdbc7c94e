#include "services/gateway/api/page.h"

#include <format>

#include "common/secret/secret.h"
#include "common/status/error.h"

namespace leasehold::gateway {
namespace {

constexpr size_t kMaxTokenBytes = 512;

}  // namespace

absl::StatusOr<int> PageSize(int32_t asked, int standard, int most) {
  if (asked < 0 || asked > most) return InvalidField("page_size", std::to_string(asked), std::format("0 to {}", most));
  return asked == 0 ? standard : asked;
}

std::string PageToken(std::string_view list, std::string_view position) {
  return Base64Url(std::format("{} {}", list, position));
}

absl::StatusOr<std::string> PositionOf(std::string_view list, std::string_view token) {
  if (token.empty()) return std::string();
  if (token.size() > kMaxTokenBytes) return BadPageToken();
  const absl::StatusOr<std::string> text = FromBase64Url(token);
  if (!text.ok() || text->size() <= list.size() + 1 || !text->starts_with(list) || (*text)[list.size()] != ' ') {
    return BadPageToken();
  }
  return text->substr(list.size() + 1);
}

absl::Status BadPageToken() {
  return Error(v1::REASON_BAD_PAGE_TOKEN, "page_token is not one that this list gave out");
}

}  // namespace leasehold::gateway
