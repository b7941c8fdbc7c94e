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

TEST(WorkQueue, IsQuietWhenNobodyIsDueOrWorkedOn) {
  const SystemClock clock;
  WorkQueue queue(clock);
  EXPECT_TRUE(queue.AwaitQuiet(absl::ZeroDuration()));
  queue.Add(Id("later"), clock.Now() + absl::Hours(1));
  EXPECT_TRUE(queue.AwaitQuiet(absl::ZeroDuration()));
  queue.Add(Id("now"));
  EXPECT_FALSE(queue.AwaitQuiet(absl::Milliseconds(1))) << "due";
  ASSERT_EQ(queue.TryTake(), Id("now"));
  EXPECT_FALSE(queue.AwaitQuiet(absl::Milliseconds(1))) << "worked on";
  bool quiet = false;
  std::thread waiting([&] { quiet = queue.AwaitQuiet(absl::Minutes(1)); });
  queue.Done(Id("now"));
  waiting.join();
  EXPECT_TRUE(quiet);
  queue.Stop();
  EXPECT_FALSE(queue.AwaitQuiet(absl::Minutes(1)));
}

TEST(WorkQueue, NobodyWaitsForWhatTakesLong) {
  const SystemClock clock;
  WorkQueue queue(clock);
  for (const char* id : {"copy", "other"}) {
    queue.Add(Id(id));
    ASSERT_EQ(queue.TryTake(), Id(id));
  }
  queue.WillTakeLong(Id("copy"));
  EXPECT_FALSE(queue.AwaitQuiet(absl::Milliseconds(1))) << "the other one";
  queue.Done(Id("other"));
  EXPECT_TRUE(queue.AwaitQuiet(absl::Minutes(1)));
  queue.Add(Id("copy"));
  queue.Done(Id("copy"));
  ASSERT_EQ(queue.TryTake(), Id("copy"));
  EXPECT_FALSE(queue.AwaitQuiet(absl::Milliseconds(1))) << "it counts again";
  queue.Done(Id("copy"));
  EXPECT_TRUE(queue.AwaitQuiet(absl::Minutes(1)));
}

TEST(WorkQueue, CountsWhoWaitsForAWorkerAndWhoForHisTime) {
  FakeClock clock;
  WorkQueue queue(clock);
  queue.Add(Id("now"));
  queue.Add(Id("also"), clock.Now());
  queue.Add(Id("taken"), absl::InfinitePast());
  queue.Add(Id("later"), clock.Now() + absl::Seconds(1));
  ASSERT_EQ(queue.TryTake(), Id("now"));
  ASSERT_EQ(queue.TryTake(), Id("taken"));
  queue.WillTakeLong(Id("taken"));
  queue.Add(Id("now"));
  WorkQueue::Counts counts = queue.Count();
  EXPECT_EQ(counts.due, 1);
  EXPECT_EQ(counts.working, 2);
  EXPECT_EQ(counts.later, 1);
  clock.Advance(absl::Seconds(1));
  queue.Done(Id("now"));
  counts = queue.Count();
  EXPECT_EQ(counts.due, 3) << "it was added again meanwhile";
  EXPECT_EQ(counts.working, 1);
  EXPECT_EQ(counts.later, 0);
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
