// The trail on a real PostgreSQL and a real NATS server.
#include "services/gateway/audit/trail.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <format>
#include <functional>
#include <memory>
#include <thread>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "common/status/error.h"
#include "services/gateway/audit/line.h"
#include "services/gateway/audit/trail_fixture.h"

namespace leasehold::gateway {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

using TrailTest = TrailSuite;

TEST_F(TrailTest, NothingIsStoredOrPublishedBeforeTheTableIsThere) {
  std::atomic<bool> prepared = false;
  std::atomic<int> asked = 0;
  Metrics metrics;
  AuditRecorder recorder(AuditConfigOf("continue"), clock_, metrics);
  AuditTrail trail({.registry = Options(database_),
                    .prepared =
                        [&] {
                          ++asked;
                          return prepared.load();
                        },
                    .gateway = "gw/1",
                    .tick = absl::Milliseconds(50)},
                   recorder, *client_, metrics);
  trail.Start();
  recorder.Record(Acquire("acme"));
  ASSERT_TRUE(Eventually([&] { return asked > 3; }));
  EXPECT_EQ(Ask("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"),
            "0")
      << "not even a connection";
  EXPECT_EQ(Events(), 0);
  prepared = true;
  EXPECT_TRUE(Eventually([&] { return Events() == 1; })) << "what was recorded meanwhile is kept";
}

TEST_F(TrailTest, WhatIsRecordedIsChainedAndCanBeFiltered) {
  const auto gateway = Start();
  gateway->recorder.Record(Acquire("acme"));
  clock_.Advance(absl::Seconds(10));
  gateway->recorder.Record(Acquire("globex"));
  AuditEntry refused = Acquire("acme");
  refused.outcome = v1::REASON_SWITCH_NOT_ALLOWED;
  refused.action = v1::AUDIT_ACTION_SESSION_SWITCH;
  refused.principal = "dns:intruder";
  clock_.Advance(absl::Seconds(10));
  gateway->recorder.Record(refused);
  ASSERT_TRUE(Eventually([&] { return Events() == 3; }));

  const v1::VerifyAuditResponse verified = Verify();
  EXPECT_TRUE(verified.done());
  EXPECT_FALSE(verified.has_broken_number()) << verified.broken_why();
  EXPECT_EQ(verified.events(), 3);

  v1::ListAuditEventsRequest all;
  EXPECT_THAT(TenantsOf(all), ElementsAre("acme", "globex", "acme"));
  v1::ListAuditEventsRequest by;
  by.set_tenant("globex");
  EXPECT_THAT(TenantsOf(by), ElementsAre("globex"));
  by = {};
  by.set_outcome("refused");
  EXPECT_THAT(TenantsOf(by), ElementsAre("acme"));
  by.set_outcome("done");
  EXPECT_THAT(TenantsOf(by), ElementsAre("globex", "acme"));
  by.set_outcome("switch_not_allowed");
  EXPECT_THAT(TenantsOf(by), ElementsAre("acme"));
  by = {};
  by.set_principal("dns:payroll");
  by.set_service("identity");
  EXPECT_THAT(TenantsOf(by), ElementsAre("globex", "acme"));
  by = {};
  by.set_action(v1::AUDIT_ACTION_SESSION_SWITCH);
  EXPECT_THAT(TenantsOf(by), ElementsAre("acme"));
  by = {};
  by.mutable_since()->set_seconds(absl::ToUnixSeconds(clock_.Now()) - 15);
  by.mutable_until()->set_seconds(absl::ToUnixSeconds(clock_.Now()) - 5);
  EXPECT_THAT(TenantsOf(by), ElementsAre("globex"));

  // The same by SQL alone.
  EXPECT_EQ(Ask("SELECT string_agg(concat_ws(' ', action, outcome, principal, tenant), '; ' ORDER BY number, position)"
                " FROM leasehold.audit_events WHERE outcome IS NOT NULL"),
            "AUDIT_ACTION_SESSION_SWITCH REASON_SWITCH_NOT_ALLOWED dns:intruder acme");
  EXPECT_EQ(Ask("SELECT count(*) FROM leasehold.audit WHERE hash <> sha256(previous || convert_to(number || E'\\n' ||"
                " gateway || E'\\n' || events, 'UTF8'))"),
            "0");
}

TEST_F(TrailTest, PagesMeetEachEventOnce) {
  const auto gateway = Start();
  ASSERT_NO_FATAL_FAILURE(Store(*gateway, 2));
  for (int i = 2; i < 7; ++i) gateway->recorder.Record(Acquire(std::format("t{}", i)));
  ASSERT_TRUE(Eventually([&] { return Events() == 7; }));
  v1::ListAuditEventsRequest request;
  request.set_page_size(3);
  std::vector<std::string> seen;
  std::string newest;
  std::string oldest;
  do {
    const auto page = List(request);
    ASSERT_TRUE(page.ok()) << page.status();
    for (const v1::AuditEvent& event : page->events()) {
      if (newest.empty()) newest = event.id();
      oldest = event.id();
      seen.push_back(event.tenant());
    }
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  EXPECT_THAT(seen, ElementsAre("t6", "t5", "t4", "t3", "t2", "t1", "t0"));
  // Upwards, as one follows.
  request.set_page_size(0);
  request.set_after(oldest);
  EXPECT_THAT(TenantsOf(request), ElementsAre("t1", "t2", "t3", "t4", "t5", "t6"));
  request.set_after(newest);
  EXPECT_THAT(TenantsOf(request), ElementsAre());
  gateway->recorder.Record(Acquire("t7"));
  ASSERT_TRUE(Eventually([&] { return Events() == 8; }));
  EXPECT_THAT(TenantsOf(request), ElementsAre("t7"));
}

TEST_F(TrailTest, BadRequestsNameTheField) {
  const auto why = [&](const std::function<void(v1::ListAuditEventsRequest&)>& edit) {
    v1::ListAuditEventsRequest request;
    edit(request);
    const auto page = List(request);
    return page.ok() ? std::string("accepted") : std::string(page.status().message());
  };
  EXPECT_THAT(why([](auto& r) { r.set_page_size(1001); }), HasSubstr("page_size"));
  EXPECT_THAT(why([](auto& r) { r.set_page_size(-1); }), HasSubstr("page_size"));
  EXPECT_THAT(why([](auto& r) { r.set_page_token("'; DROP TABLE x"); }), HasSubstr("page_token"));
  EXPECT_THAT(why([](auto& r) { r.set_after("1"); }), HasSubstr("after"));
  EXPECT_THAT(why([](auto& r) { r.set_tenant("a'b"); }), HasSubstr("tenant"));
  EXPECT_THAT(why([](auto& r) { r.set_service("a'b"); }), HasSubstr("service"));
  EXPECT_THAT(why([](auto& r) { r.set_lease("a'b"); }), HasSubstr("lease"));
  EXPECT_THAT(why([](auto& r) { r.set_outcome("fine"); }), HasSubstr("outcome"));
  EXPECT_THAT(why([](auto& r) { r.set_principal(std::string(257, 'x')); }), HasSubstr("principal"));
  EXPECT_THAT(why([](auto& r) { r.set_action(static_cast<v1::AuditAction>(7000)); }), HasSubstr("action"));
  EXPECT_THAT(why([](auto& r) { r.mutable_since()->set_seconds(-1); }), HasSubstr("since"));
  EXPECT_THAT(why([](auto& r) {
                r.mutable_since()->set_seconds(1000);
                r.mutable_until()->set_seconds(1000);
              }),
              HasSubstr("until is '1970-01-01T00:16:40+00:00'; allowed: a time after since"));
  EXPECT_EQ(why([](auto& r) { r.set_principal("'; DROP TABLE leasehold.audit; --"); }), "accepted");
}

TEST_F(TrailTest, TheTableIsAppendedToOnly) {
  const auto gateway = Start();
  ASSERT_NO_FATAL_FAILURE(Store(*gateway, 1));
  // The owner, who happens to be superuser here: the trigger stands above privileges.
  for (const char* sql : {"UPDATE leasehold.audit SET gateway = 'x'", "DELETE FROM leasehold.audit",
                          "TRUNCATE leasehold.audit", "DELETE FROM leasehold.audit WHERE number = 1",
                          "SET LOCAL session_replication_role = replica; DELETE FROM leasehold.audit"}) {
    EXPECT_THAT(Ask(sql), HasSubstr("only appended to")) << sql;
  }
  // Whoever else may write to the schema's tables has no privilege for it.
  EXPECT_EQ(Ask("CREATE ROLE " + database_ + "_writer; GRANT USAGE ON SCHEMA leasehold TO " + database_ + "_writer"),
            "");
  EXPECT_THAT(Ask("SET LOCAL ROLE " + database_ + "_writer; DELETE FROM leasehold.audit"),
              HasSubstr("permission denied"));
  EXPECT_EQ(Ask("SELECT string_agg(p.privilege_type, ' ' ORDER BY p.privilege_type) FROM pg_class c,"
                " aclexplode(c.relacl) p WHERE c.oid = 'leasehold.audit'::regclass"),
            "DELETE INSERT MAINTAIN REFERENCES SELECT TRIGGER");
  EXPECT_EQ(Ask("SELECT count(*) FROM leasehold.audit"), "1");
}

TEST_F(TrailTest, VerifyNamesTheFirstRecordThatIsNotAsWritten) {
  const auto gateway = Start();
  ASSERT_NO_FATAL_FAILURE(Store(*gateway, 6));
  gateway->trail.Stop();
  ASSERT_FALSE(Verify().has_broken_number());

  Tamper("UPDATE leasehold.audit SET events = replace(events, 't3', 'tX') WHERE number = 4");
  EXPECT_EQ(Verify().broken_number(), 4);
  EXPECT_THAT(Verify().broken_why(), HasSubstr("events"));
  EXPECT_EQ(Verify().records(), 3);
  EXPECT_EQ(Verify(5).has_broken_number(), false);

  // Whoever computes the record's hash anew breaks the next one.
  Tamper(
      "UPDATE leasehold.audit SET hash = sha256(previous || convert_to(number || E'\\n' || gateway || E'\\n' || events,"
      " 'UTF8')) WHERE number = 4");
  EXPECT_EQ(Verify().broken_number(), 5);
  EXPECT_THAT(Verify().broken_why(), HasSubstr("does not continue"));

  Tamper("DELETE FROM leasehold.audit WHERE number = 2");
  EXPECT_EQ(Verify().broken_number(), 2);
  EXPECT_EQ(Verify().broken_why(), "it is missing");
  // Where nothing can be, nothing was checked.
  EXPECT_THAT(WhyNotFrom(7), HasSubstr("number is '7'; allowed: 1 to 6"));
  // In parts it is the same.
  EXPECT_EQ(Verify(0, 1).records(), 1);
  EXPECT_FALSE(Verify(0, 1).done());
}

TEST_F(TrailTest, ATailThatIsCutOffIsNoticed) {
  auto gateway = Start();
  ASSERT_NO_FATAL_FAILURE(Store(*gateway, 3));
  ASSERT_TRUE(Eventually([&] { return Ask("SELECT number FROM leasehold.audit_published") == "3"; }));
  Tamper("DELETE FROM leasehold.audit WHERE number = 3");
  EXPECT_EQ(Verify().broken_number(), 3);
  EXPECT_THAT(Verify().broken_why(), HasSubstr("the stream AUDIT has records up to 3"));
  // The gateway that wrote it leaves the gap, and says so.
  gateway->recorder.Record(Acquire("after"));
  ASSERT_TRUE(Eventually([&] { return Ask("SELECT max(number) FROM leasehold.audit") == "4"; }));
  EXPECT_EQ(Verify().broken_number(), 3);
  EXPECT_TRUE(gateway->metrics.Expose().contains("leasehold_audit_tampered_total 1"));
}

TEST_F(TrailTest, SeveralGatewaysWriteOneChain) {
  std::vector<std::unique_ptr<Gateway>> gateways;
  for (int i = 0; i < 3; ++i) gateways.push_back(Start(std::format("gw/{}", i)));
  std::vector<std::thread> callers;
  for (const auto& gateway : gateways) {
    callers.emplace_back([&gateway] {
      for (int i = 0; i < 200; ++i) {
        gateway->recorder.Record(Acquire("acme"));
        if (i % 20 == 0) absl::SleepFor(absl::Milliseconds(30));  // several records each
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  ASSERT_TRUE(Eventually([&] { return Events() == 600; })) << Events();
  const v1::VerifyAuditResponse verified = Verify();
  EXPECT_FALSE(verified.has_broken_number()) << verified.broken_number() << verified.broken_why();
  EXPECT_EQ(verified.events(), 600);
  EXPECT_EQ(Ask("SELECT count(DISTINCT gateway) FROM leasehold.audit"), "3");
  // The stream gets each once, in order.
  ASSERT_TRUE(Eventually([&] {
    return Ask("SELECT (SELECT number FROM leasehold.audit_published) = max(number) FROM leasehold.audit") == "t";
  }));
  auto consumer = client_->Subscribe({.stream = "AUDIT", .durable = "siem", .filter_subject = ""});
  ASSERT_TRUE(consumer.ok()) << consumer.status();
  int64_t number = 0;
  int64_t events = 0;
  for (int fetch = 0; fetch < 100 && events < 600; ++fetch) {
    auto messages = (*consumer)->Fetch(50, absl::Seconds(2));
    ASSERT_TRUE(messages.ok()) << messages.status();
    for (const auto& message : *messages) {
      EXPECT_EQ(message->headers().at("Leasehold-Number"), std::to_string(++number));
      events += std::ranges::count(message->payload(), '\n');
      message->Ack();
    }
  }
  EXPECT_EQ(events, 600);
}

TEST_F(TrailTest, WhatCannotBeStoredWaitsAndIsStoredLater) {
  const auto gateway = Start("gw/1", "refuse");
  ASSERT_NO_FATAL_FAILURE(Store(*gateway, 1));
  postgres_->Kill();
  absl::Notification answered;
  absl::Status stored;
  gateway->recorder.RecordChange(Acquire("acme"), [&](const absl::Status& status) {
    stored = status;
    answered.Notify();
  });
  ASSERT_TRUE(answered.WaitForNotificationWithTimeout(kPatience));
  EXPECT_EQ(ReasonOf(stored), v1::REASON_AUDIT_UNAVAILABLE);
  for (int i = 0; i < 2000; ++i) gateway->recorder.Record(Acquire("globex"));
  EXPECT_EQ(ReasonOf(gateway->recorder.Admit()), v1::REASON_AUDIT_UNAVAILABLE);

  ASSERT_TRUE(postgres_->Restart().ok());
  ASSERT_TRUE(Eventually([&] { return gateway->recorder.Admit().ok(); }));
  connection_ = std::make_unique<postgres::Connection>(Options(database_));
  ASSERT_TRUE(Eventually([&] { return Events() == 1001; })) << Events();  // one and those that the buffer held
  EXPECT_FALSE(Verify().has_broken_number());
  absl::Notification again;
  gateway->recorder.RecordChange(Acquire("acme"), [&](const absl::Status& status) {
    stored = status;
    again.Notify();
  });
  ASSERT_TRUE(again.WaitForNotificationWithTimeout(kPatience));
  EXPECT_TRUE(stored.ok()) << stored;
  EXPECT_EQ(Events(), 1002);  // when it is answered it is there
}

TEST_F(TrailTest, TheStreamCatchesUpWhenNatsIsBack) {
  nats_->Kill();
  const auto gateway = Start();
  ASSERT_NO_FATAL_FAILURE(Store(*gateway, 3));
  EXPECT_EQ(Ask("SELECT number FROM leasehold.audit_published"), "0");
  ASSERT_TRUE(nats_->Restart().ok());
  EXPECT_TRUE(Eventually([&] { return Ask("SELECT number FROM leasehold.audit_published") == "3"; }));
}

TEST_F(TrailTest, StopStoresWhatWasRecorded) {
  auto gateway = Start();
  for (int i = 0; i < 500; ++i) gateway->recorder.Record(Acquire("acme"));
  gateway->trail.Stop();
  EXPECT_EQ(Events(), 500);
  EXPECT_EQ(Ask("SELECT (SELECT number FROM leasehold.audit_published) = max(number) FROM leasehold.audit"), "t");
}

// The connection went while the server had committed already: the same events are not stored twice.
TEST_F(TrailTest, AnAppendWhoseAnswerWasLostIsFoundAgain) {
  postgres::Connection connection(Options(database_));
  AuditBuffer::Batch batch;
  AppendAuditLine(batch.lines, clock_.Now(), Acquire("acme"));
  batch.events = 1;
  batch.first = batch.last = clock_.Now();
  const AuditHead none;
  const auto first = Append(connection, "gw/1", batch, none);
  ASSERT_TRUE(first.ok()) << first.status();
  ASSERT_TRUE(Append(connection, "gw/2", batch, none).ok());
  const auto again = Append(connection, "gw/1", batch, none);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->head.number, 1);
  EXPECT_EQ(again->head.hash, first->head.hash);
  EXPECT_EQ(Events(), 2);
  EXPECT_EQ(Append(connection, "gw/1", batch, again->head)->head.number, 3);
}

}  // namespace
}  // namespace leasehold::gateway
