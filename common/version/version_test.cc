#include "common/version/version.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "absl/strings/ascii.h"

namespace leasehold {
namespace {

TEST(Version, IsThreeNumbers) {
  EXPECT_EQ(std::ranges::count(Version(), '.'), 2) << Version();
  EXPECT_TRUE(std::ranges::all_of(Version(), [](char c) { return c == '.' || absl::ascii_isdigit(c); })) << Version();
}

TEST(Version, TheCommitIsThereOrLeftOut) {
  EXPECT_TRUE(Commit().empty() || Commit().size() >= 10) << Commit();
  EXPECT_TRUE(std::ranges::all_of(Commit(), absl::ascii_isxdigit)) << Commit();
  std::string expected = "leasehold " + std::string(Version());
  if (!Commit().empty()) expected += " (" + std::string(Commit()) + ")";
  EXPECT_EQ(VersionLine("leasehold"), expected);
}

}  // namespace
}  // namespace leasehold
