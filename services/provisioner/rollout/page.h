// Pages of databases and of tasks: as large as the contract says, and from where an answer before has said.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace leasehold::provisioner {

// Of databases, by their place: from `begin` on, before `end`.
struct Page {
  size_t begin = 0;
  size_t end = 0;
};

// 0 means `standard`. INVALID_FIELD "page_size" outside 0 to `most`.
absl::StatusOr<size_t> PageSize(int32_t asked, int standard, int most);

// As GetMigrationStatusRequest and PlanMigrationsRequest ask for it. INVALID_FIELD, BAD_PAGE_TOKEN.
absl::StatusOr<Page> PageOf(int32_t size, const std::string& token);

// Where the list of tasks goes on: what it is ordered by, "true <database>" or "false <database>"; BAD_PAGE_TOKEN if
// `token` is no such text. Empty: at its beginning.
absl::Status CheckTaskToken(const std::string& token);

}  // namespace leasehold::provisioner
