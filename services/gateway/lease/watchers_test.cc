#include "services/gateway/lease/watchers.h"

#include <gmock/gmock.h>

#include <atomic>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "common/status/error.h"

namespace leasehold::gateway {
namespace {

using Kind = LeaseWatchers::Kind;

LeaseId Id(uint8_t last) {
  uint8_t random[10] = {};
  random[9] = last;
  return LeaseId::Make(1'800'000'000'000, random);
}

absl::Status Expired() { return Error(v1::REASON_LEASE_EXPIRED, "over"); }

TEST(LeaseWatchers, EndReachesAllOfTheLeaseOnce) {
  LeaseWatchers watchers;
  int first = 0, second = 0, other = 0;
  auto a = watchers.Add(Id(1), Kind::kSession, [&](const absl::Status& why) {
    ++first;
    EXPECT_EQ(why, Expired());
  });
  auto b = watchers.Add(Id(1), Kind::kStream, [&](const absl::Status&) { ++second; });
  auto c = watchers.Add(Id(2), Kind::kSession, [&](const absl::Status&) { ++other; });
  watchers.End(Id(1), Expired());
  watchers.End(Id(1), Expired());
  EXPECT_EQ(first, 1);
  EXPECT_EQ(second, 1);
  EXPECT_EQ(other, 0);
}

TEST(LeaseWatchers, CountsSessionsNotStreams) {
  LeaseWatchers watchers;
  EXPECT_EQ(watchers.Sessions(Id(1)), 0);
  auto a = watchers.Add(Id(1), Kind::kSession, [](const absl::Status&) {});
  auto b = watchers.Add(Id(1), Kind::kStream, [](const absl::Status&) {});
  EXPECT_EQ(watchers.Sessions(Id(1)), 1);
  a.reset();
  EXPECT_EQ(watchers.Sessions(Id(1)), 0);
}

TEST(LeaseWatchers, DroppedWatchIsNotCalled) {
  LeaseWatchers watchers;
  auto watch = watchers.Add(Id(1), Kind::kSession, [](const absl::Status&) { ADD_FAILURE(); });
  const auto bell = watch->bell();
  watch.reset();
  watchers.End(Id(1), Expired());
  bell->Ring(Expired());
}

TEST(LeaseWatchers, DroppingWaitsForARunningCall) {
  LeaseWatchers watchers;
  absl::Notification running, go_on;
  std::atomic<bool> returned = false;
  auto watch = watchers.Add(Id(1), Kind::kSession, [&](const absl::Status&) {
    running.Notify();
    go_on.WaitForNotification();
    returned = true;
  });
  std::thread ringer([&] { watchers.End(Id(1), Expired()); });
  running.WaitForNotification();
  std::thread releaser([&] { go_on.Notify(); });
  watch.reset();
  EXPECT_TRUE(returned);
  ringer.join();
  releaser.join();
}

TEST(LeaseWatchers, MayBeDroppedWithinItsOwnCall) {
  LeaseWatchers watchers;
  std::unique_ptr<LeaseWatchers::Watch> watch;
  watch = watchers.Add(Id(1), Kind::kSession, [&](const absl::Status&) { watch.reset(); });
  watchers.End(Id(1), Expired());
  EXPECT_EQ(watch, nullptr);
}

TEST(LeaseWatchers, AddingAndEndingFromManyThreads) {
  LeaseWatchers watchers;
  std::atomic<int> calls = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 2000; ++i) {
        if (t % 2 == 0) {
          auto watch = watchers.Add(Id(static_cast<uint8_t>(i)), Kind::kSession, [&](const absl::Status&) { ++calls; });
          watch->bell()->Ring(Expired());
        } else {
          watchers.End(Id(static_cast<uint8_t>(i)), Expired());
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(calls, 4000);
}

}  // namespace
}  // namespace leasehold::gateway
