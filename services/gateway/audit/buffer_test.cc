#include "services/gateway/audit/buffer.h"

#include <gtest/gtest.h>

#include <thread>

#include "common/clock/clock.h"
#include "common/status/error.h"
#include "services/gateway/audit/recorder.h"
#include "services/gateway/audit/testing_config.h"

namespace leasehold::gateway {
namespace {

constexpr absl::Duration kNow = absl::ZeroDuration();
constexpr absl::Duration kLong = absl::Seconds(60);
const absl::Time kTime = absl::FromUnixSeconds(1'800'000'000);

TEST(AuditBuffer, KeepsTheOrderAndTheTimes) {
  AuditBuffer buffer(1000);
  EXPECT_TRUE(buffer.Add(kTime + absl::Seconds(1), "a\n"));
  EXPECT_TRUE(buffer.Add(kTime, "b\n"));
  auto batch = buffer.Take(kNow, kNow);
  ASSERT_TRUE(batch);
  EXPECT_EQ(batch->lines, "a\nb\n");
  EXPECT_EQ(batch->events, 2);
  EXPECT_EQ(batch->first, kTime);
  EXPECT_EQ(batch->last, kTime + absl::Seconds(1));
  EXPECT_EQ(buffer.size(), 2);  // until they are stored
  buffer.Done(*batch);
  EXPECT_EQ(buffer.size(), 0);
  EXPECT_FALSE(buffer.Take(kNow, kNow));
}

TEST(AuditBuffer, IsBounded) {
  AuditBuffer buffer(2);
  EXPECT_TRUE(buffer.Add(kTime, "a\n"));
  EXPECT_TRUE(buffer.Add(kTime, "b\n"));
  EXPECT_TRUE(buffer.full());
  absl::Status told;
  EXPECT_FALSE(buffer.Add(kTime, "c\n", [&told](const absl::Status& status) { told = status; }));
  EXPECT_EQ(ReasonOf(told), v1::REASON_AUDIT_UNAVAILABLE);
  auto batch = buffer.Take(kNow, kNow);
  EXPECT_EQ(batch->lines, "a\nb\n");
  EXPECT_TRUE(buffer.full());
  buffer.Done(*batch);
  EXPECT_FALSE(buffer.full());
}

TEST(AuditBuffer, ARecordStaysBelowWhatAMessageMayBe) {
  AuditBuffer buffer(1'000'000);
  const std::string line(1000, 'x');
  for (int i = 0; i < 2500; ++i) ASSERT_TRUE(buffer.Add(kTime, line));
  int64_t events = 0;
  while (const auto batch = buffer.Take(kNow, kNow)) {
    EXPECT_LE(batch->lines.size() + 4096, 1U << 20) << "and its headers";
    events += batch->events;
  }
  EXPECT_EQ(events, 2500);
}

// With a minute to gather in, the test ends at once only if somebody who waits ends the gathering.
TEST(AuditBuffer, WhoWaitsIsNotKeptWaitingForMore) {
  AuditBuffer buffer(1000);
  std::thread later([&buffer] { buffer.Add(kTime, "a\n", [](const absl::Status&) {}); });
  const auto batch = buffer.Take(kLong, kLong);
  later.join();
  ASSERT_TRUE(batch);
  EXPECT_EQ(batch->stored.size(), 1U);
}

// Whether it comes while the writer gathers or while it waits for any.
TEST(AuditBuffer, AnEventThatNobodyWaitsForIsTakenWhenItHasBeenGathered) {
  for (const absl::Duration gather : {absl::Nanoseconds(1), absl::Milliseconds(20)}) {
    AuditBuffer buffer(1000);
    std::thread later([&buffer] { buffer.Add(kTime, "a\n"); });
    const auto batch = buffer.Take(kLong, gather);
    later.join();
    ASSERT_TRUE(batch);
    EXPECT_EQ(batch->lines, "a\n");
  }
}

TEST(AuditBuffer, CloseEndsAllWaiting) {
  AuditBuffer buffer(1000);
  std::thread later([&buffer] { buffer.Close(); });
  EXPECT_FALSE(buffer.Take(kLong, kLong));
  later.join();
  EXPECT_FALSE(buffer.Add(kTime, "a\n"));
}

TEST(AuditBuffer, TellsWhoWaitsThatItDoesNotWorkAndKeepsTheEvent) {
  AuditBuffer buffer(1000);
  int told = 0;
  buffer.Add(kTime, "a\n", [&told](const absl::Status& status) { told += status.ok() ? 100 : 1; });
  buffer.TellWaiting(Error(v1::REASON_AUDIT_UNAVAILABLE, "x"));
  buffer.TellWaiting(Error(v1::REASON_AUDIT_UNAVAILABLE, "x"));
  EXPECT_EQ(told, 1);
  EXPECT_EQ(buffer.Take(kNow, kNow)->lines, "a\n");
}

TEST(AuditRecorder, RefusesWhileFullWhereItIsToldTo) {
  const FakeClock clock;
  Metrics metrics;
  AuditRecorder recorder(AuditConfigOf("refuse"), clock, metrics);
  EXPECT_TRUE(recorder.Admit().ok());
  for (int i = 0; i < 1000; ++i) recorder.Record({.action = v1::AUDIT_ACTION_LEASE_RENEW});
  EXPECT_EQ(ReasonOf(recorder.Admit()), v1::REASON_AUDIT_UNAVAILABLE);
  EXPECT_TRUE(DetailOf(recorder.Admit())->has_retry_after());
  auto batch = recorder.buffer().Take(kNow, kNow);
  recorder.buffer().Done(*batch);
  EXPECT_TRUE(recorder.Admit().ok());
}

TEST(AuditRecorder, GoesOnAndCountsWhereItIsToldTo) {
  const FakeClock clock;
  Metrics metrics;
  AuditRecorder recorder(AuditConfigOf("continue"), clock, metrics);
  for (int i = 0; i < 1003; ++i) recorder.Record({.action = v1::AUDIT_ACTION_LEASE_RENEW});
  EXPECT_TRUE(recorder.Admit().ok());
  EXPECT_TRUE(metrics.Expose().contains("leasehold_audit_lost_total 3"));
  bool answered = false;
  recorder.RecordChange({.action = v1::AUDIT_ACTION_TENANT_CREATE}, [&](const absl::Status& s) { answered = s.ok(); });
  EXPECT_TRUE(answered);
}

TEST(AuditRecorder, AChangeIsAnsweredWhenItIsStored) {
  const FakeClock clock;
  Metrics metrics;
  AuditRecorder recorder(AuditConfigOf("refuse"), clock, metrics);
  bool answered = false;
  recorder.RecordChange({.action = v1::AUDIT_ACTION_TENANT_CREATE}, [&](const absl::Status&) { answered = true; });
  EXPECT_FALSE(answered);
  auto batch = recorder.buffer().Take(kNow, kLong);
  for (auto& stored : batch->stored) stored(absl::OkStatus());
  EXPECT_TRUE(answered);
}

TEST(AuditRecorder, OffRecordsNothingAndRefusesNothing) {
  const FakeClock clock;
  Metrics metrics;
  AuditRecorder recorder(AuditConfigOf("refuse", 1000, "off"), clock, metrics);
  bool answered = false;
  recorder.RecordChange({.action = v1::AUDIT_ACTION_TENANT_CREATE}, [&](const absl::Status& s) { answered = s.ok(); });
  EXPECT_TRUE(answered);
  EXPECT_EQ(recorder.buffer().size(), 0);
}

}  // namespace
}  // namespace leasehold::gateway
