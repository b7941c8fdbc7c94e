#include "common/executor/worker_thread.h"

#include <gtest/gtest.h>

#include <atomic>

#include "absl/synchronization/notification.h"

namespace leasehold {
namespace {

TEST(WorkerThread, RestsUntilWoken) {
  WorkerThread worker;
  absl::Notification first;
  absl::Notification second;
  worker.Start([&] {
    worker.Rest(absl::InfiniteDuration(), WorkerThread::Until::kWoken);
    first.Notify();
    worker.Rest(absl::InfiniteDuration(), WorkerThread::Until::kWoken);
    second.Notify();
  });
  worker.Wake();
  first.WaitForNotification();
  EXPECT_FALSE(second.HasBeenNotified());
  EXPECT_FALSE(worker.Stopping());
  worker.Wake();
  EXPECT_TRUE(worker.Stop());
  EXPECT_TRUE(second.HasBeenNotified());
}

TEST(WorkerThread, AWordBetweenRestsIsNotMissed) {
  WorkerThread worker;
  worker.Wake();
  worker.Start([&] { worker.Rest(absl::InfiniteDuration(), WorkerThread::Until::kWoken); });
  EXPECT_TRUE(worker.Stop());
}

TEST(WorkerThread, OnlyAStopEndsARestFromWorkAndTheWordIsRemembered) {
  WorkerThread worker;
  absl::Notification rested;
  worker.Wake();
  worker.Start([&] {
    worker.Rest(absl::Milliseconds(1), WorkerThread::Until::kStopping);
    worker.Rest(absl::InfiniteDuration(), WorkerThread::Until::kWoken);
    rested.Notify();
    worker.Rest(absl::InfiniteDuration(), WorkerThread::Until::kStopping);
  });
  rested.WaitForNotification();
  worker.Wake();
  EXPECT_TRUE(worker.Stop());
}

TEST(WorkerThread, WorksAgainAndAgainUntilItIsStopped) {
  WorkerThread worker;
  std::atomic<int> times = 0;
  absl::Notification thrice;
  worker.StartEvery(absl::Milliseconds(1), [&] {
    if (++times == 3) thrice.Notify();
  });
  thrice.WaitForNotification();
  EXPECT_TRUE(worker.Stop());
  WorkerThread idle;
  idle.StartEvery(absl::InfiniteDuration(), [&] { times = 0; });
  EXPECT_TRUE(idle.Stop()) << "in the middle of a period";
  EXPECT_GE(times, 3);
}

TEST(WorkerThread, StopIsPatientOnlySoLong) {
  WorkerThread worker;
  absl::Notification go;
  worker.Start([&] { go.WaitForNotification(); });
  EXPECT_FALSE(worker.Stop(absl::ZeroDuration()));
  EXPECT_TRUE(worker.Stopping());
  go.Notify();
  EXPECT_TRUE(worker.Stop());
  EXPECT_TRUE(worker.Stop()) << "again";
}

TEST(WorkerThread, OneThatNeverStartedStops) {
  WorkerThread worker;
  EXPECT_TRUE(worker.Stop());
}

}  // namespace
}  // namespace leasehold
