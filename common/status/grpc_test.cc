#include "common/status/grpc.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/status/error.h"

namespace leasehold {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kPeer[] = "127.0.0.1:7450";

TEST(Grpc, CarriesAnErrorThereAndBack) {
  const absl::Status sent = WithRetryAfter(InvalidField("tenant.id", "A_b", "a-z, 0-9 and -"), absl::Seconds(2));
  const grpc::Status wire = ToGrpc(sent);
  EXPECT_EQ(wire.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(wire.error_message(), "tenant.id is 'A_b'; allowed: a-z, 0-9 and -");
  EXPECT_EQ(FromGrpc(wire, kPeer), sent);
}

TEST(Grpc, EveryReasonSurvives) {
  for (int i = 0; i < v1::Reason_descriptor()->value_count(); ++i) {
    const auto reason = static_cast<v1::Reason>(v1::Reason_descriptor()->value(i)->number());
    if (reason == v1::REASON_UNSPECIFIED) continue;
    const absl::Status back = FromGrpc(ToGrpc(Error(reason, "text")), kPeer);
    EXPECT_EQ(ReasonOf(back), reason);
    EXPECT_EQ(back.code(), CodeOf(reason));
  }
}

TEST(Grpc, HasExactlyOneDetail) {
  v1::RpcStatus rpc;
  ASSERT_TRUE(rpc.ParseFromString(ToGrpc(Error(v1::REASON_TENANT_EXISTS, "x")).error_details()));
  EXPECT_EQ(rpc.code(), 6);
  EXPECT_EQ(rpc.message(), "x");
  ASSERT_EQ(rpc.details_size(), 1);
  EXPECT_EQ(rpc.details(0).type_url(), "type.leasehold.dev/leasehold.v1.ErrorDetail");
}

TEST(Grpc, SaysWhenToTryAgainAlsoTheWayThatGrpcClientsKnow) {
  v1::RpcStatus rpc;
  const absl::Status late = WithRetryAfter(Error(v1::REASON_QUOTA_EXCEEDED, "x"), absl::Milliseconds(1500));
  ASSERT_TRUE(rpc.ParseFromString(ToGrpc(late).error_details()));
  ASSERT_EQ(rpc.details_size(), 2);
  EXPECT_EQ(rpc.details(1).type_url(), "type.googleapis.com/google.rpc.RetryInfo");
  v1::RpcRetryInfo info;
  ASSERT_TRUE(info.ParseFromString(rpc.details(1).value()));
  EXPECT_EQ(info.retry_delay().seconds(), 1);
  EXPECT_EQ(info.retry_delay().nanos(), 500'000'000);
}

TEST(Grpc, TellsAStrangerNothingOfAForeignError) {
  const grpc::Status wire = ToGrpc(absl::PermissionDeniedError("password of role tenant_acme at 10.0.0.3"));
  EXPECT_EQ(wire.error_code(), grpc::StatusCode::INTERNAL);
  EXPECT_EQ(wire.error_message(), "internal error");
  EXPECT_THAT(wire.error_details(), Not(HasSubstr("10.0.0.3")));
  EXPECT_EQ(ReasonOf(FromGrpc(wire, kPeer)), v1::REASON_INTERNAL);
}

TEST(Grpc, KeepsCancelledAndDeadlineExceeded) {
  EXPECT_EQ(ToGrpc(absl::CancelledError("x")).error_code(), grpc::StatusCode::CANCELLED);
  const grpc::Status late = ToGrpc(absl::DeadlineExceededError("in PQexec"));
  EXPECT_EQ(late.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_EQ(late.error_message(), "deadline exceeded");
  EXPECT_EQ(ReasonOf(FromGrpc(late, kPeer)), v1::REASON_DEADLINE_EXCEEDED);
}

TEST(Grpc, OkIsOk) {
  EXPECT_TRUE(ToGrpc(absl::OkStatus()).ok());
  EXPECT_TRUE(FromGrpc(grpc::Status::OK, kPeer).ok());
}

TEST(FromGrpc, NamesThePeerThatDoesNotAnswer) {
  const absl::Status down = FromGrpc(grpc::Status(grpc::StatusCode::UNAVAILABLE, "ipv4:127.0.0.1: refused"), kPeer);
  EXPECT_TRUE(absl::IsUnavailable(down));
  EXPECT_EQ(down.message(), "127.0.0.1:7450 does not answer");
  const absl::Status late = FromGrpc(grpc::Status(grpc::StatusCode::DEADLINE_EXCEEDED, "Deadline Exceeded"), kPeer);
  EXPECT_TRUE(absl::IsDeadlineExceeded(late));
  EXPECT_EQ(late.message(), "127.0.0.1:7450 did not answer in time");
}

TEST(FromGrpc, TakesWhatOtherServersSay) {
  const absl::Status text = FromGrpc(grpc::Status(grpc::StatusCode::UNIMPLEMENTED, "no such method"), kPeer);
  EXPECT_TRUE(absl::IsUnimplemented(text));
  EXPECT_EQ(text.message(), "no such method");
  EXPECT_EQ(FromGrpc(grpc::Status(grpc::StatusCode::ABORTED, ""), kPeer).message(), "127.0.0.1:7450 answered ABORTED");
  const absl::Status garbage = FromGrpc(grpc::Status(grpc::StatusCode::NOT_FOUND, "x", "\xff\xff\xff"), kPeer);
  EXPECT_TRUE(absl::IsNotFound(garbage));
  EXPECT_EQ(DetailOf(garbage), std::nullopt);
}

}  // namespace
}  // namespace leasehold
