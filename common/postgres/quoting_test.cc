#include <gtest/gtest.h>

#include "common/postgres/errors.h"
#include "common/postgres/postgres.h"

namespace leasehold::postgres {
namespace {

TEST(Quoting, Identifiers) {
  EXPECT_EQ(QuoteIdentifier("tenant_acme_identity"), R"("tenant_acme_identity")");
  EXPECT_EQ(QuoteIdentifier(R"(a"; DROP TABLE t; --)"), R"("a""; DROP TABLE t; --")");
  EXPECT_EQ(QuoteIdentifier(""), R"("")");
}

TEST(Quoting, Literals) {
  EXPECT_EQ(QuoteLiteral("it's"), "'it''s'");
  EXPECT_EQ(QuoteLiteral(R"(\')"), R"(E'\\''')");
  EXPECT_EQ(QuoteLiteral(""), "''");
}

TEST(Quoting, ConnectionStrings) {
  EXPECT_EQ(Dsn("127.0.0.1", 5432, "it's", R"(a\b c)", "require"),
            R"(host='127.0.0.1' port=5432 dbname='it\'s' user='a\\b c' sslmode='require')");
}

TEST(ConnectError, TellsRefusalsFromFailures) {
  const absl::Status refused = FromConnectError(
      "connection to server at \"::1\", port 5432 failed: FATAL:  28P01: password authentication failed for user "
      "\"x\"\n"
      "LOCATION:  auth_failed, auth.c:324\n");
  EXPECT_EQ(SqlStateOf(refused), "28P01");
  EXPECT_EQ(refused.code(), absl::StatusCode::kUnauthenticated);
  EXPECT_FALSE(IsConnectionFailure(refused));

  const absl::Status starting = FromConnectError("failed: FATAL:  57P03: the database system is starting up\n");
  EXPECT_EQ(SqlStateOf(starting), "57P03");
  EXPECT_EQ(starting.code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(IsConnectionFailure(starting));

  const absl::Status down =
      FromConnectError("connection to server at \"127.0.0.1\", port 1 failed: Connection refused\n");
  EXPECT_EQ(SqlStateOf(down), "");
  EXPECT_TRUE(IsConnectionFailure(down));
}

TEST(SqlState, IsEmptyForOtherStatuses) {
  EXPECT_EQ(SqlStateOf(absl::OkStatus()), "");
  EXPECT_EQ(SqlStateOf(absl::NotFoundError("x")), "");
  EXPECT_FALSE(IsConnectionFailure(absl::UnavailableError("x")));
}

}  // namespace
}  // namespace leasehold::postgres
