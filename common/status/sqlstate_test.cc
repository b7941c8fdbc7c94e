#include "common/status/sqlstate.h"

#include <gtest/gtest.h>

#include <string_view>

#include "common/status/error.h"

namespace leasehold {
namespace {

std::string_view Of(v1::Reason reason) { return SqlStateOf(Error(reason, "x")); }

TEST(SqlState, IsWhatTheContractNames) {
  EXPECT_EQ(Of(v1::REASON_BAD_CREDENTIALS), "28P01");
  EXPECT_EQ(Of(v1::REASON_LEASE_EXPIRED), "28000");
  EXPECT_EQ(Of(v1::REASON_LEASE_REVOKED), "28000");
  EXPECT_EQ(Of(v1::REASON_LEASE_RELEASED), "28000");
  EXPECT_EQ(Of(v1::REASON_SWITCH_NOT_ALLOWED), "42501");
  EXPECT_EQ(Of(v1::REASON_IN_TRANSACTION), "25001");
  EXPECT_EQ(Of(v1::REASON_TENANT_NOT_FOUND), "3D000");
  EXPECT_EQ(Of(v1::REASON_SERVICE_NOT_FOUND), "3D000");
  EXPECT_EQ(Of(v1::REASON_TENANT_NOT_READY), "57P03");
  EXPECT_EQ(Of(v1::REASON_INSTANCE_CONNECTIONS_EXHAUSTED), "53300");
  EXPECT_EQ(Of(v1::REASON_INSTANCE_UNAVAILABLE), "08006");
  EXPECT_EQ(Of(v1::REASON_SHUTTING_DOWN), "57P01");
  EXPECT_EQ(Of(v1::REASON_INVALID_FIELD), "22023");
  EXPECT_EQ(Of(v1::REASON_INTERNAL), "XX000");
}

TEST(SqlState, OfAStatusFromElsewhere) {
  EXPECT_EQ(SqlStateOf(absl::OkStatus()), "00000");
  EXPECT_EQ(SqlStateOf(absl::NotFoundError("x")), "XX000");
  EXPECT_EQ(SqlStateOf(absl::CancelledError("x")), "57014");
  EXPECT_EQ(SqlStateOf(absl::DeadlineExceededError("x")), "57014");
}

}  // namespace
}  // namespace leasehold
