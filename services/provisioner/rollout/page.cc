#include "services/provisioner/rollout/page.h"

#include <algorithm>
#include <charconv>
#include <format>
#include <string_view>

#include "absl/strings/ascii.h"
#include "common/status/error.h"

namespace leasehold::provisioner {
namespace {

constexpr int kMostDatabases = 1000;
constexpr size_t kMostBytesOfAName = 63;

absl::Status BadPageToken() {
  return Error(v1::REASON_BAD_PAGE_TOKEN, "page_token is not one that this list gave out");
}

}  // namespace

absl::StatusOr<size_t> PageSize(int32_t asked, int standard, int most) {
  if (asked < 0 || asked > most) return InvalidField("page_size", std::to_string(asked), std::format("0 to {}", most));
  return static_cast<size_t>(asked == 0 ? standard : asked);
}

absl::StatusOr<Page> PageOf(int32_t size, const std::string& token) {
  LH_ASSIGN_OR_RETURN(const size_t length, PageSize(size, kMostDatabases, kMostDatabases));
  uint32_t begin = 0;
  if (!token.empty()) {
    const char* const end = token.data() + token.size();
    const auto parsed = std::from_chars(token.data(), end, begin);
    // None begins with 0: the first page has no token.
    if (parsed.ec != std::errc() || parsed.ptr != end || token.front() == '0') return BadPageToken();
  }
  return Page{.begin = begin, .end = begin + length};
}

absl::Status CheckTaskToken(const std::string& token) {
  if (token.empty()) return absl::OkStatus();
  std::string_view name = token;
  for (const std::string_view failed : {"true ", "false "}) {
    if (name.starts_with(failed)) name.remove_prefix(failed.size());
  }
  if (name.size() == token.size() || name.empty() || name.size() > kMostBytesOfAName ||
      !std::ranges::all_of(name, [](unsigned char c) { return absl::ascii_isgraph(c); })) {
    return BadPageToken();
  }
  return absl::OkStatus();
}

}  // namespace leasehold::provisioner
