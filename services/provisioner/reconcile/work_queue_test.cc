#include "services/provisioner/reconcile/work_queue.h"

#include <gtest/gtest.h>

#include <thread>

namespace leasehold::provisioner {
namespace {

TenantId Id(std::string_view text) { return *TenantId::Parse(text); }

TEST(WorkQueue, GivesWhatIsDueInOrder) {
  FakeClock clock;
  WorkQueue queue(clock);
  queue.Add(Id("late"), clock.Now() + absl::Seconds(10));
  queue.Add(Id("second"), clock.Now() - absl::Seconds(1));
  queue.Add(Id("first"));
  EXPECT_EQ(queue.TryTake(), Id("first"));
  EXPECT_EQ(queue.TryTake(), Id("second"));
  EXPECT_EQ(queue.TryTake(), std::nullopt);
  clock.Advance(absl::Seconds(10));
  EXPECT_EQ(queue.TryTake(), Id("late"));
}

TEST(WorkQueue, TheEarlierTimeCounts) {
  FakeClock clock;
  WorkQueue queue(clock);
  queue.Add(Id("a"), clock.Now() + absl::Seconds(5));
  queue.Add(Id("a"), clock.Now() + absl::Seconds(9));
  EXPECT_EQ(queue.TryTake(), std::nullopt);
  queue.Add(Id("a"));
  EXPECT_EQ(queue.TryTake(), Id("a"));
  queue.Done(Id("a"));
  clock.Advance(absl::Seconds(20));
  EXPECT_EQ(queue.TryTake(), std::nullopt) << "one look answers all that was asked before it began";
}

TEST(WorkQueue, OneWorkerAtATimeForATenant) {
  FakeClock clock;
  WorkQueue queue(clock);
  queue.Add(Id("a"));
  ASSERT_EQ(queue.TryTake(), Id("a"));
  queue.Add(Id("a"));
  EXPECT_EQ(queue.TryTake(), std::nullopt) << "it is being worked on";
  queue.Done(Id("a"));
  EXPECT_EQ(queue.TryTake(), Id("a")) << "what was added meanwhile is not lost";
  queue.Done(Id("a"));
  EXPECT_EQ(queue.TryTake(), std::nullopt);
}

TEST(WorkQueue, AWaitingTakerGetsWorkAndEndsWithStop) {
  const SystemClock clock;
  WorkQueue queue(clock);
  std::optional<TenantId> taken;
  std::thread taker([&] { taken = queue.Take(); });
  queue.Add(Id("a"), clock.Now() + absl::Milliseconds(20));
  taker.join();
  EXPECT_EQ(taken, Id("a"));

  std::thread waiting([&] { taken = queue.Take(); });
  queue.Stop();
  waiting.join();
  EXPECT_EQ(taken, std::nullopt);
}

}  // namespace
}  // namespace leasehold::provisioner
