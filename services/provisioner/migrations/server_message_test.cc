#include "services/provisioner/migrations/server_message.h"

#include <gtest/gtest.h>

namespace leasehold::provisioner {
namespace {

TEST(LineOf, CountsToThePosition) {
  const auto error = [](int position) {
    return absl::InternalError("ERROR:  no \" at character 1\" at character " + std::to_string(position) + " (42P01)");
  };
  constexpr std::string_view kStatement = "SELECT 'åäö\n'\n  FROM x";
  EXPECT_EQ(LineOf(error(1), kStatement), 1);
  EXPECT_EQ(LineOf(error(12), kStatement), 1) << "the line break itself";
  EXPECT_EQ(LineOf(error(13), kStatement), 2);
  EXPECT_EQ(LineOf(error(17), kStatement), 3);
  EXPECT_EQ(LineOf(error(22), kStatement), 3);
}

TEST(LineOf, WithoutAPositionItIsTheFirst) {
  EXPECT_EQ(LineOf(absl::InternalError("ERROR:  table exists (42P07)"), "a\nb"), 1);
  EXPECT_EQ(LineOf(absl::InternalError("ERROR:  at character "), "a\nb"), 1);
}

}  // namespace
}  // namespace leasehold::provisioner
