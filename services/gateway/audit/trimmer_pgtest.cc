// The trail shortened from its beginning: on a real PostgreSQL and a real NATS server.
#include "services/gateway/audit/trimmer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <format>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "services/gateway/audit/trail_fixture.h"

namespace leasehold::gateway {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr absl::Duration kRetention = absl::Hours(48);

class TrimmerTest : public TrailSuite {
 protected:
  struct Trimmer {
    Trimmer(const TrimmerTest& test, const std::string& name, int64_t step, const std::string& dsn_options)
        : trimmer({.registry = With(Options(test.database_), dsn_options),
                   .gateway = name,
                   .retention = kRetention,
                   .step = step,
                   .pause = absl::ZeroDuration()},
                  test.clock_, metrics) {}

    static postgres::ConnectOptions With(postgres::ConnectOptions options, const std::string& more) {
      options.dsn += more;
      return options;
    }

    Metrics metrics;
    AuditTrimmer trimmer;
  };

  std::unique_ptr<Trimmer> Make(const std::string& name = "gw/1", int64_t step = 200,
                                const std::string& dsn_options = "") {
    return std::make_unique<Trimmer>(*this, name, step, dsn_options);
  }

  // Records 1 to `count`, one event each, in the table and in the stream; the gateway goes.
  void Fill(int count) {
    const auto gateway = Start();
    ASSERT_NO_FATAL_FAILURE(Store(*gateway, count));
    gateway->trail.Stop();
    ASSERT_EQ(Ask("SELECT number FROM leasehold.audit_published"), std::to_string(count));
  }

  // PostgreSQL's clock is the one that counts: it has taken these in so long ago.
  void Age(int64_t up_to, absl::Duration age) {
    ASSERT_NO_FATAL_FAILURE(
        Tamper(std::format("UPDATE leasehold.audit SET stored_time = now() - interval '{} seconds' WHERE number <= {}",
                           absl::ToInt64Seconds(age), up_to)));
  }

  std::string Numbers() { return Ask("SELECT string_agg(number::text, ' ' ORDER BY number) FROM leasehold.audit"); }
  std::string Anchors() {
    return Ask("SELECT coalesce(string_agg(number::text, ' ' ORDER BY number), 'none') FROM leasehold.audit_trims");
  }
};

TEST_F(TrimmerTest, WhatIsOlderGoesAndTheRestIsVerifiedFromThere) {
  ASSERT_NO_FATAL_FAILURE(Fill(6));
  ASSERT_NO_FATAL_FAILURE(Age(4, kRetention + absl::Seconds(1)));
  const auto one = Make();
  const absl::Status status = one->trimmer.Look();
  ASSERT_TRUE(status.ok()) << status;

  EXPECT_EQ(Numbers(), "5 6 7");
  EXPECT_EQ(Anchors(), "4");
  v1::VerifyAuditResponse verified = Verify();
  EXPECT_FALSE(verified.has_broken_number()) << verified.broken_number() << " " << verified.broken_why();
  EXPECT_TRUE(verified.done());
  EXPECT_EQ(verified.records(), 3);
  EXPECT_EQ(verified.trimmed_number(), 4);
  EXPECT_GT(verified.trim_time().seconds(), 0);
  EXPECT_THAT(one->metrics.Expose(), HasSubstr("leasehold_audit_trimmed_records_total 4"));
  EXPECT_THAT(one->metrics.Expose(), HasSubstr("leasehold_audit_oldest_record_seconds "));

  // The trail itself tells of it, and goes on behind.
  v1::ListAuditEventsRequest trims;
  trims.set_action(v1::AUDIT_ACTION_AUDIT_TRIM);
  const auto listed = List(trims);
  ASSERT_TRUE(listed.ok()) << listed.status();
  ASSERT_EQ(listed->events_size(), 1);
  EXPECT_EQ(listed->events(0).id(), "7.1");
  EXPECT_EQ(listed->events(0).subject(), "4");
  EXPECT_THAT(listed->events(0).detail(), HasSubstr(", older than 48h"));
  const auto gateway = Start("gw/2");
  ASSERT_NO_FATAL_FAILURE(Store(*gateway, 1));
  EXPECT_EQ(Numbers(), "5 6 7 8");
  EXPECT_FALSE(Verify().has_broken_number());
  v1::ListAuditEventsRequest all;
  all.set_tenant("t0");
  EXPECT_THAT(TenantsOf(all), ElementsAre("t0"));  // record 8; that of record 1 is gone
  all.clear_tenant();
  all.set_after("0.0");
  EXPECT_THAT(TenantsOf(all), ElementsAre("t4", "t5", "", "t0"));

  // From what is not there any more nothing can be checked; in parts it is the same as at once.
  EXPECT_THAT(WhyNotFrom(3), HasSubstr("number is '3'; allowed: 5 or more"));
  EXPECT_EQ(Verify(5).records(), 4);
  EXPECT_EQ(Verify(0, 2).next_number(), 7);
}

TEST_F(TrimmerTest, BothClocksCount) {
  ASSERT_NO_FATAL_FAILURE(Fill(3));
  // However far ahead a gateway's clock is, PostgreSQL's has to agree.
  clock_.Advance(absl::Hours(24 * 3650));
  const auto ahead = Make();
  ASSERT_TRUE(ahead->trimmer.Look().ok());
  EXPECT_EQ(Anchors(), "none");
  // And the other way round: PostgreSQL's is where it is, this gateway's was set to long ago.
  ASSERT_NO_FATAL_FAILURE(Age(2, kRetention + absl::Hours(1)));
  clock_.Advance(absl::FromUnixSeconds(1'500'000'000) - clock_.Now());
  ASSERT_TRUE(ahead->trimmer.Look().ok());
  EXPECT_EQ(Anchors(), "none");
  clock_.Advance(absl::FromUnixSeconds(1'900'000'000) - clock_.Now());
  ASSERT_TRUE(ahead->trimmer.Look().ok());
  EXPECT_EQ(Anchors(), "2");
}

TEST_F(TrimmerTest, WhatTheStreamHasNotGotStays) {
  ASSERT_NO_FATAL_FAILURE(Fill(5));
  ASSERT_NO_FATAL_FAILURE(Age(5, kRetention * 2));
  ASSERT_EQ(Ask("UPDATE leasehold.audit_published SET number = 3"), "");
  const auto one = Make();
  ASSERT_TRUE(one->trimmer.Look().ok());
  EXPECT_EQ(Numbers(), "4 5 6");
  ASSERT_EQ(Ask("UPDATE leasehold.audit_published SET number = 5"), "");
  ASSERT_TRUE(one->trimmer.Look().ok());
  EXPECT_EQ(Numbers(), "6 7");
  EXPECT_FALSE(Verify().has_broken_number());
  // There is nothing else, and nothing new to tell.
  ASSERT_TRUE(one->trimmer.Look().ok());
  EXPECT_EQ(Numbers(), "6 7");
}

TEST_F(TrimmerTest, OnlyAPrefixGoes) {
  ASSERT_NO_FATAL_FAILURE(Fill(5));
  ASSERT_NO_FATAL_FAILURE(Age(5, kRetention * 2));
  ASSERT_NO_FATAL_FAILURE(Tamper("UPDATE leasehold.audit SET stored_time = now() WHERE number = 3"));
  ASSERT_TRUE(Make()->trimmer.Look().ok());
  EXPECT_EQ(Anchors(), "2");
  EXPECT_EQ(Numbers(), "3 4 5 6");
}

TEST_F(TrimmerTest, WhatWasTamperedWithIsNotRemovedAndAfterwardsStillFound) {
  ASSERT_NO_FATAL_FAILURE(Fill(8));
  ASSERT_NO_FATAL_FAILURE(Age(6, kRetention * 2));
  ASSERT_NO_FATAL_FAILURE(Tamper("UPDATE leasehold.audit SET events = replace(events, 't3', 'tX') WHERE number = 4"));
  const auto one = Make();
  EXPECT_THAT(std::string(one->trimmer.Look().message()), HasSubstr("record 4 of the audit trail"));
  EXPECT_THAT(one->metrics.Expose(), HasSubstr("leasehold_audit_tampered_total 1"));
  EXPECT_EQ(Anchors(), "none");
  EXPECT_EQ(Verify().broken_number(), 4);
  ASSERT_NO_FATAL_FAILURE(Tamper("UPDATE leasehold.audit SET events = replace(events, 'tX', 't3') WHERE number = 4"));
  ASSERT_TRUE(one->trimmer.Look().ok());
  ASSERT_EQ(Numbers(), "7 8 9");

  ASSERT_NO_FATAL_FAILURE(Tamper("UPDATE leasehold.audit SET events = replace(events, 't7', 'tX') WHERE number = 8"));
  EXPECT_EQ(Verify().broken_number(), 8);
  ASSERT_NO_FATAL_FAILURE(Tamper("UPDATE leasehold.audit SET events = replace(events, 'tX', 't7') WHERE number = 8"));
  ASSERT_FALSE(Verify().has_broken_number());
  // More of the beginning than the anchor says.
  ASSERT_NO_FATAL_FAILURE(Tamper("DELETE FROM leasehold.audit WHERE number = 7"));
  EXPECT_EQ(Verify().broken_number(), 7);
  EXPECT_EQ(Verify().broken_why(), "it is missing");
}

// Whoever moves the anchor to hide more lacks an event in the chain that tells of it.
TEST_F(TrimmerTest, AForgedAnchorIsNoticed) {
  ASSERT_NO_FATAL_FAILURE(Fill(6));
  ASSERT_NO_FATAL_FAILURE(Age(2, kRetention * 2));
  ASSERT_TRUE(Make()->trimmer.Look().ok());
  ASSERT_EQ(Numbers(), "3 4 5 6 7");
  const std::string forge =
      "ALTER TABLE leasehold.audit_trims DISABLE TRIGGER ALL;"
      "INSERT INTO leasehold.audit_trims SELECT number, hash, {}, '48 hours' FROM leasehold.audit WHERE number = {}";
  ASSERT_EQ(Ask(std::vformat(forge, std::make_format_args("7", "4"))), "");
  ASSERT_NO_FATAL_FAILURE(Tamper("DELETE FROM leasehold.audit WHERE number <= 4"));
  EXPECT_EQ(Verify().broken_number(), 4);
  EXPECT_THAT(Verify().broken_why(), HasSubstr("record 7 does not tell so"));
  // An anchor set by hand says itself that nothing tells of it; whoever knows checks from there.
  ASSERT_EQ(Ask(std::vformat(forge, std::make_format_args("NULL", "5"))), "");
  EXPECT_EQ(Verify().broken_number(), 6);
  EXPECT_THAT(Verify().broken_why(), HasSubstr("no record tells what was removed"));
  EXPECT_FALSE(Verify(6).has_broken_number());
}

// As docs/audit.md has it.
TEST_F(TrimmerTest, ATrailThatWasCutByHandIsTrimmedOnceItIsSaidWhereItBegins) {
  ASSERT_NO_FATAL_FAILURE(Fill(5));
  ASSERT_NO_FATAL_FAILURE(Age(4, kRetention * 2));
  ASSERT_NO_FATAL_FAILURE(Tamper("DELETE FROM leasehold.audit WHERE number <= 2"));
  const auto one = Make();
  EXPECT_THAT(std::string(one->trimmer.Look().message()), HasSubstr("record 1 of the audit trail"));
  ASSERT_EQ(Ask("ALTER TABLE leasehold.audit_trims DISABLE TRIGGER checked;"
                "INSERT INTO leasehold.audit_trims"
                " SELECT number - 1, previous, NULL, '0' FROM leasehold.audit ORDER BY number LIMIT 1;"
                "ALTER TABLE leasehold.audit_trims ENABLE ALWAYS TRIGGER checked"),
            "");
  EXPECT_EQ(Verify().broken_number(), 3);
  ASSERT_TRUE(one->trimmer.Look().ok());
  EXPECT_EQ(Numbers(), "5 6");
  EXPECT_FALSE(Verify().has_broken_number()) << Verify().broken_why();
}

TEST_F(TrimmerTest, TheTablesThemselvesRefuseWhatIsNoTrim) {
  ASSERT_NO_FATAL_FAILURE(Fill(6));
  ASSERT_NO_FATAL_FAILURE(Age(3, kRetention * 2));
  const auto anchor = [this](const std::string& number, const std::string& retention, const std::string& told = "6",
                             const std::string& hash = "hash") {
    return Ask(
        std::format("INSERT INTO leasehold.audit_trims SELECT number, {}, {}, '{}' FROM leasehold.audit"
                    " WHERE number = {}",
                    hash, told, retention, number));
  };
  EXPECT_THAT(anchor("4", "48 hours"), HasSubstr("not everything up to there is older"));
  EXPECT_THAT(anchor("4", "23 hours"), HasSubstr("shorter than leasehold.audit_floor"));
  EXPECT_THAT(anchor("3", "48 hours", "3"), HasSubstr("no record behind it tells of it"));
  EXPECT_THAT(anchor("3", "48 hours", "NULL"), HasSubstr("no record behind it tells of it"));
  EXPECT_THAT(anchor("3", "48 hours", "6", "previous"), HasSubstr("there is no such record"));
  ASSERT_EQ(Ask("UPDATE leasehold.audit_published SET number = 2"), "");
  EXPECT_THAT(anchor("3", "48 hours"), HasSubstr("the stream AUDIT has not got it"));
  ASSERT_EQ(Ask("UPDATE leasehold.audit_published SET number = 6"), "");
  EXPECT_EQ(Anchors(), "none");
  EXPECT_THAT(Ask("DELETE FROM leasehold.audit WHERE number = 1"), HasSubstr("only appended to"));

  ASSERT_TRUE(Make()->trimmer.Look().ok());
  ASSERT_EQ(Numbers(), "4 5 6 7");
  EXPECT_THAT(anchor("4", "24 hours", "7"), HasSubstr("not everything up to there is older"));
  for (const char* sql : {"DELETE FROM leasehold.audit", "DELETE FROM leasehold.audit WHERE number = 4",
                          "UPDATE leasehold.audit SET stored_time = NULL", "TRUNCATE leasehold.audit",
                          "DELETE FROM leasehold.audit_trims", "TRUNCATE leasehold.audit_trims",
                          "UPDATE leasehold.audit_trims SET number = 6",
                          "SET LOCAL session_replication_role = replica; DELETE FROM leasehold.audit",
                          "SET LOCAL session_replication_role = replica; DELETE FROM leasehold.audit_trims"}) {
    EXPECT_THAT(Ask(sql), HasSubstr("only appended to")) << sql;
  }
  EXPECT_EQ(Numbers(), "4 5 6 7");
}

TEST_F(TrimmerTest, TheFloorIsOnlyRaisedAndHoldsWhateverAGatewayIsConfiguredFor) {
  ASSERT_NO_FATAL_FAILURE(Fill(3));
  ASSERT_NO_FATAL_FAILURE(Age(2, kRetention * 2));
  ASSERT_EQ(Ask("UPDATE leasehold.audit_floor SET retention = '365 days'"), "");
  const auto one = Make();
  EXPECT_THAT(std::string(one->trimmer.Look().message()),
              HasSubstr("audit.retention is 48h, and leasehold.audit_floor lets nothing be removed that is younger than"
                        " 365 days"));
  EXPECT_EQ(Numbers(), "1 2 3");
  for (const char* sql :
       {"UPDATE leasehold.audit_floor SET retention = '364 days'", "DELETE FROM leasehold.audit_floor",
        "TRUNCATE leasehold.audit_floor", "INSERT INTO leasehold.audit_floor VALUES ('1 hour')"}) {
    EXPECT_THAT(Ask(sql), HasSubstr("only raised")) << sql;
  }
}

// A step that fails leaves what was removed removed; the chain begins behind the anchor all the while.
TEST_F(TrimmerTest, AnInterruptedTrimIsTakenUpByAnyGateway) {
  ASSERT_NO_FATAL_FAILURE(Fill(8));
  ASSERT_NO_FATAL_FAILURE(Age(7, kRetention * 2));
  postgres::Connection other(Options(database_));
  const absl::Status held = other.InTransaction([&](postgres::Transaction& tx) -> absl::Status {
    LH_RETURN_IF_ERROR(tx.Exec("SELECT FROM leasehold.audit WHERE number = 5 FOR KEY SHARE").status());
    const auto one = Make("gw/1", 2, " options='-c lock_timeout=200ms'");
    EXPECT_THAT(std::string(one->trimmer.Look().message()), HasSubstr("lock timeout"));
    EXPECT_EQ(Numbers(), "5 6 7 8 9");
    EXPECT_EQ(Anchors(), "7");
    const v1::VerifyAuditResponse verified = Verify();
    EXPECT_FALSE(verified.has_broken_number()) << verified.broken_why();
    EXPECT_EQ(verified.records(), 2);
    return absl::OkStatus();
  });
  ASSERT_TRUE(held.ok()) << held;
  const auto two = Make("gw/2");
  ASSERT_TRUE(two->trimmer.Look().ok());
  EXPECT_EQ(Numbers(), "8 9");
  EXPECT_EQ(Anchors(), "7");
  EXPECT_FALSE(Verify().has_broken_number());
}

TEST_F(TrimmerTest, SeveralGatewaysRemoveEachRecordOnceWhileOthersRecord) {
  ASSERT_NO_FATAL_FAILURE(Fill(12));
  ASSERT_NO_FATAL_FAILURE(Age(10, kRetention * 2));
  const auto writer = Start("gw/writer");
  std::vector<std::unique_ptr<Trimmer>> all;
  for (int i = 0; i < 3; ++i) all.push_back(Make(std::format("gw/{}", i), 2));
  std::vector<std::thread> looks;
  for (const auto& one : all) {
    looks.emplace_back([&one] {
      const absl::Status status = one->trimmer.Look();
      EXPECT_TRUE(status.ok()) << status;
    });
  }
  for (int i = 1; i <= 3; ++i) {
    writer->recorder.Record(Acquire("acme"));
    EXPECT_TRUE(Eventually(
        [&] { return Ask("SELECT count(*) FROM leasehold.audit WHERE gateway = 'gw/writer'") == std::to_string(i); }));
  }
  for (std::thread& look : looks) look.join();
  ASSERT_TRUE(Make("gw/last")->trimmer.Look().ok());
  EXPECT_EQ(Numbers(), "11 12 13 14 15 16");
  EXPECT_EQ(Anchors(), "10");
  EXPECT_FALSE(Verify().has_broken_number()) << Verify().broken_why();
}

TEST_F(TrimmerTest, AVerificationUnderWayGoesOnBehindWhatIsRemovedMeanwhile) {
  ASSERT_NO_FATAL_FAILURE(Fill(6));
  v1::VerifyAuditRequest request;
  request.set_limit(2);
  const auto next = [&] {
    v1::VerifyAuditResponse part;
    const absl::Status status = connection_->InTransaction([&](postgres::Transaction& tx) -> absl::Status {
      LH_ASSIGN_OR_RETURN(part, VerifyAudit(tx, request));
      return absl::OkStatus();
    });
    EXPECT_TRUE(status.ok()) << status;
    request.set_number(part.next_number());
    request.set_previous(part.next_previous());
    return part;
  };
  EXPECT_EQ(next().next_number(), 3);
  ASSERT_NO_FATAL_FAILURE(Age(5, kRetention * 2));
  ASSERT_TRUE(Make()->trimmer.Look().ok());
  const v1::VerifyAuditResponse rest = next();
  EXPECT_FALSE(rest.has_broken_number()) << rest.broken_why();
  EXPECT_EQ(rest.trimmed_number(), 5);
  EXPECT_EQ(rest.records(), 2);  // 6, and the one that tells
}

TEST_F(TrimmerTest, TheThreadLooksByItself) {
  ASSERT_NO_FATAL_FAILURE(Fill(3));
  ASSERT_NO_FATAL_FAILURE(Age(2, kRetention * 2));
  const auto one = Make();
  one->trimmer.Start();
  EXPECT_TRUE(Eventually([&] { return Numbers() == "3 4"; }));
}

}  // namespace
}  // namespace leasehold::gateway
