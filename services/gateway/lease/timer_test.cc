#include "services/gateway/lease/timer.h"

#include <gmock/gmock.h>

#include <memory>

#include "absl/synchronization/notification.h"

namespace leasehold::gateway {
namespace {

TEST(Timer, RunsWhatIsDueInOrder) {
  FakeClock clock;
  Timer timer(clock);
  std::vector<int> ran;
  timer.After(absl::Seconds(2), [&] { ran.push_back(2); });
  timer.After(absl::Seconds(1), [&] { ran.push_back(1); });
  timer.After(absl::Seconds(2), [&] { ran.push_back(3); });
  timer.Tick();
  EXPECT_THAT(ran, testing::IsEmpty());
  clock.Advance(absl::Seconds(2));
  timer.Tick();
  EXPECT_THAT(ran, testing::ElementsAre(1, 2, 3));
}

TEST(Timer, EveryGoesOn) {
  FakeClock clock;
  Timer timer(clock);
  int runs = 0;
  timer.Every(absl::Seconds(1), [&] { ++runs; });
  for (int i = 0; i < 3; ++i) {
    clock.Advance(absl::Seconds(1));
    timer.Tick();
  }
  EXPECT_EQ(runs, 3);
}

TEST(Timer, ThreadSeesAnEarlierTask) {
  SystemClock clock;
  Timer timer(clock);
  timer.Start();
  timer.After(absl::Hours(1), [] { ADD_FAILURE(); });
  absl::Notification ran;
  timer.After(absl::Milliseconds(5), [&] { ran.Notify(); });
  EXPECT_TRUE(ran.WaitForNotificationWithTimeout(absl::Seconds(10)));
}

TEST(Timer, AClockThatIsSetBackMakesNothingWaitForLonger) {
  FakeClock clock;
  Timer timer(clock);
  int runs = 0;
  bool at = false;
  timer.Every(absl::Seconds(1), [&] { ++runs; });
  timer.At(clock.Now() + absl::Seconds(1), [&] { at = true; });
  timer.Tick();
  clock.Advance(-absl::Hours(1));
  timer.Tick();
  EXPECT_EQ(runs, 0);
  clock.Advance(absl::Seconds(1));
  timer.Tick();
  EXPECT_EQ(runs, 1);
  EXPECT_FALSE(at) << "a point in time is one";
  clock.Advance(absl::Hours(1));
  timer.Tick();
  EXPECT_TRUE(at);
}

TEST(Timer, ThreadSeesThatTheClockWasSet) {
  FakeClock clock;
  Timer timer(clock);
  absl::Notification ran;
  timer.At(clock.Now() + absl::Hours(1), [&] { ran.Notify(); });
  absl::Notification began;
  timer.At(absl::InfinitePast(), [&] { began.Notify(); });
  timer.Start();
  began.WaitForNotification();
  clock.Advance(absl::Hours(1));
  EXPECT_TRUE(ran.WaitForNotificationWithTimeout(absl::Seconds(30)));
}

TEST(Timer, StopDropsTheRest) {
  FakeClock clock;
  Timer timer(clock);
  const auto owned = std::make_shared<int>(1);
  timer.After(absl::Seconds(1), [owned] { ADD_FAILURE(); });
  EXPECT_EQ(owned.use_count(), 2);
  timer.Stop();
  EXPECT_EQ(owned.use_count(), 1);
  timer.At(absl::InfinitePast(), [owned] { ADD_FAILURE(); });
  EXPECT_EQ(owned.use_count(), 1);
  timer.Tick();
}

}  // namespace
}  // namespace leasehold::gateway
