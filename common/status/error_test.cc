#include "common/status/error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "common/status/reasons.h"

namespace leasehold {
namespace {

using ::testing::EndsWith;
using ::testing::SizeIs;

TEST(ReasonTable, HasEveryReasonOnceUnderItsOwnName) {
  std::set<v1::Reason> seen;
  for (const ReasonEntry& entry : ReasonTable()) {
    EXPECT_TRUE(seen.insert(entry.reason).second) << entry.name << " is there twice";
    EXPECT_EQ("REASON_" + std::string(entry.name), v1::Reason_Name(entry.reason));
    EXPECT_THAT(entry.sqlstate, SizeIs(5)) << entry.name;
    EXPECT_NE(entry.code, absl::StatusCode::kOk) << entry.name;
  }
  EXPECT_EQ(seen.size(), static_cast<size_t>(v1::Reason_descriptor()->value_count()));
}

TEST(ReasonTable, TreatsAReasonFromTheFutureAsInternal) {
  const auto unknown = static_cast<v1::Reason>(4711);
  EXPECT_EQ(CodeOf(unknown), absl::StatusCode::kInternal);
  EXPECT_EQ(ReasonName(unknown), "INTERNAL");
}

TEST(Error, CarriesCodeTextAndReason) {
  const absl::Status status = Error(v1::REASON_TENANT_NOT_FOUND, "tenant 'acme' does not exist");
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(status.message(), "tenant 'acme' does not exist");
  EXPECT_EQ(ReasonOf(status), v1::REASON_TENANT_NOT_FOUND);
  EXPECT_EQ(ReasonName(ReasonOf(status)), "TENANT_NOT_FOUND");
}

TEST(Error, HasNoReasonWhenOkAndInternalWhenItCameFromElsewhere) {
  EXPECT_EQ(ReasonOf(absl::OkStatus()), v1::REASON_UNSPECIFIED);
  EXPECT_EQ(ReasonOf(absl::NotFoundError("relation \"x\" does not exist")), v1::REASON_INTERNAL);
  EXPECT_EQ(ReasonOf(absl::DeadlineExceededError("")), v1::REASON_DEADLINE_EXCEEDED);
  EXPECT_EQ(DetailOf(absl::NotFoundError("x")), std::nullopt);
}

TEST(ClientText, IsTheMessageOnlyOfAStatusMadeHere) {
  const absl::Status ours = Error(v1::REASON_DOMAIN_TAKEN, "domain 'acme.local' belongs to another tenant");
  EXPECT_TRUE(ClientSafe(ours));
  EXPECT_EQ(ClientText(ours), "domain 'acme.local' belongs to another tenant");

  const absl::Status foreign = absl::UnavailableError("connection to server at 10.1.2.3 failed");
  EXPECT_FALSE(ClientSafe(foreign));
  EXPECT_EQ(ClientText(foreign), "internal error");
  EXPECT_EQ(ClientText(absl::CancelledError("in foo.cc")), "cancelled");
  EXPECT_EQ(ClientText(absl::DeadlineExceededError("in foo.cc")), "deadline exceeded");
  EXPECT_TRUE(ClientSafe(absl::OkStatus()));
}

TEST(InvalidField, NamesFieldValueAndWhatIsAllowed) {
  const absl::Status status = InvalidField("gateway.port", "abc", "1 to 65535");
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "gateway.port is 'abc'; allowed: 1 to 65535");
  const std::optional<v1::ErrorDetail> detail = DetailOf(status);
  ASSERT_TRUE(detail.has_value());
  EXPECT_EQ(detail->reason(), v1::REASON_INVALID_FIELD);
  EXPECT_EQ(detail->field(), "gateway.port");
  EXPECT_EQ(detail->value(), "abc");
  EXPECT_EQ(detail->allowed(), "1 to 65535");
}

TEST(InvalidField, BringsNoHostileBytesBack) {
  const absl::Status status = InvalidField("name", std::string("a\0\x1b[31m\xff", 8), "text");
  EXPECT_EQ(status.message(), "name is 'a\\x00\\x1b[31m\\xff'; allowed: text");
  const absl::Status big = InvalidField("name", std::string(100'000, 'x'), "text");
  EXPECT_LT(big.message().size(), 200u);
  EXPECT_THAT(DetailOf(big)->value(), EndsWith("x…"));
}

TEST(WithFieldPrefix, RewritesFieldAndText) {
  const absl::Status status = WithFieldPrefix(InvalidField("tenant", "A", "a-z"), "switch_to[2]");
  EXPECT_EQ(status.message(), "switch_to[2].tenant is 'A'; allowed: a-z");
  EXPECT_EQ(DetailOf(status)->field(), "switch_to[2].tenant");
}

TEST(WithFieldPrefix, BecomesTheFieldWhereThereWasNone) {
  const absl::Status status = WithFieldPrefix(Error(v1::REASON_TENANT_EXISTS, "tenant 'acme' exists"), "tenant.id");
  EXPECT_EQ(status.message(), "tenant 'acme' exists");
  EXPECT_EQ(DetailOf(status)->field(), "tenant.id");
}

TEST(WithField, ReplacesTheFieldAndLeavesAWrittenTextAlone) {
  EXPECT_EQ(WithField(InvalidField("tenant", "A", "a-z"), "id").message(), "id is 'A'; allowed: a-z");
  const absl::Status written = WithField(Error(v1::REASON_INVALID_FIELD, "a key is 64 hex digits"), "key");
  EXPECT_EQ(written.message(), "a key is 64 hex digits");
  EXPECT_EQ(DetailOf(written)->field(), "key");
}

TEST(WithField, GivesNoDetailToAStatusFromElsewhere) {
  EXPECT_FALSE(ClientSafe(WithField(absl::InternalError("secret"), "id")));
  EXPECT_FALSE(ClientSafe(WithFieldPrefix(absl::InternalError("secret"), "id")));
  EXPECT_FALSE(ClientSafe(WithRetryAfter(absl::InternalError("secret"), absl::Seconds(1))));
  EXPECT_TRUE(WithField(absl::OkStatus(), "id").ok());
}

TEST(WithRetryAfter, AddsTheWaitAndKeepsTheRest) {
  const absl::Status status =
      WithRetryAfter(Error(v1::REASON_TENANT_NOT_READY, "tenant 'acme' is being made"), absl::Milliseconds(1500));
  EXPECT_EQ(status.message(), "tenant 'acme' is being made");
  const std::optional<v1::ErrorDetail> detail = DetailOf(status);
  EXPECT_EQ(detail->reason(), v1::REASON_TENANT_NOT_READY);
  EXPECT_EQ(detail->retry_after().seconds(), 1);
  EXPECT_EQ(detail->retry_after().nanos(), 500'000'000);
}

TEST(Printable, KeepsTextAndEscapesTheRest) {
  EXPECT_EQ(Printable("Zoë's Café 株式会社"), "Zoë's Café 株式会社");
  EXPECT_EQ(Printable("a\nb\tc\x7f"), "a\\x0ab\\x09c\\x7f");
  EXPECT_EQ(Printable("\xc3"), "\\xc3");
  EXPECT_EQ(Printable("\u202e"), "\\xe2\\x80\\xae");  // would turn the rest of the line around
  EXPECT_EQ(Printable(""), "");
}

TEST(Printable, CutsBetweenCharacters) {
  EXPECT_EQ(Printable("abcdef", 6), "abcdef");
  EXPECT_EQ(Printable("abcdef", 5), "abcde…");
  EXPECT_EQ(Printable("aéé", 4), "aé…");
  EXPECT_EQ(Printable("ab\x01", 5), "ab…");
}

absl::StatusOr<int> Half(int n) {
  if (n % 2 != 0) return Error(v1::REASON_INVALID_FIELD, "odd");
  return n / 2;
}

absl::StatusOr<int> Quarter(int n) {
  LH_ASSIGN_OR_RETURN(const int half, Half(n));
  LH_ASSIGN_OR_RETURN(const int quarter, Half(half));
  return quarter;
}

absl::Status CheckEven(int n) {
  LH_RETURN_IF_ERROR(Half(n).status());
  return absl::OkStatus();
}

// One inside another: warnings are errors, so that it compiles says that no name hides another.
absl::StatusOr<int> EighthByLambdas(int n) {
  LH_ASSIGN_OR_RETURN(const int quarter, [n]() -> absl::StatusOr<int> {
    LH_ASSIGN_OR_RETURN(const int half, Half(n));
    return Half(half);
  }());
  LH_RETURN_IF_ERROR([&]() -> absl::Status {
    LH_RETURN_IF_ERROR(CheckEven(quarter));
    return absl::OkStatus();
  }());
  return quarter / 2;
}

TEST(Macros, ReturnTheFirstError) {
  EXPECT_EQ(*Quarter(8), 2);
  EXPECT_EQ(Quarter(6).status().message(), "odd");
  EXPECT_TRUE(CheckEven(2).ok());
  EXPECT_EQ(*EighthByLambdas(16), 2);
  EXPECT_EQ(EighthByLambdas(12).status().message(), "odd");
  EXPECT_EQ(ReasonOf(CheckEven(3)), v1::REASON_INVALID_FIELD);
}

}  // namespace
}  // namespace leasehold
