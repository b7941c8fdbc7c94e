// Paging: sizes within limits, and tokens that only the list that gave them out understands.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace leasehold::gateway {

// 0 means `standard`. INVALID_FIELD "page_size" outside 0 to `most`.
absl::StatusOr<int> PageSize(int32_t asked, int standard, int most);

// Opaque: `list` names the list ("tenants"), `position` where its next page begins.
std::string PageToken(std::string_view list, std::string_view position);

// The position; empty for an empty token (the first page). BAD_PAGE_TOKEN.
absl::StatusOr<std::string> PositionOf(std::string_view list, std::string_view token);

// The error of PositionOf(), for a position that makes no sense to its list.
absl::Status BadPageToken();

}  // namespace leasehold::gateway
