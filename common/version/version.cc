#include "common/version/version.h"

#include <format>

#include "commit.h"

namespace leasehold {

std::string_view Version() { return LEASEHOLD_VERSION; }

std::string_view Commit() { return LEASEHOLD_COMMIT; }

std::string VersionLine(std::string_view program) {
  if (Commit().empty()) return std::format("{} {}", program, Version());
  return std::format("{} {} ({})", program, Version(), Commit());
}

}  // namespace leasehold
