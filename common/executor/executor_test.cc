#include "common/executor/executor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/synchronization/barrier.h"
#include "absl/synchronization/notification.h"

namespace leasehold {
namespace {

TEST(Executor, RunsTasksInOrder) {
  std::vector<int> ran;
  Executor executor("test", 1);
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(executor.Submit([&ran, i] { ran.push_back(i); }));
  executor.Stop();
  ASSERT_EQ(ran.size(), 1000u);
  EXPECT_TRUE(std::ranges::is_sorted(ran));
}

TEST(Executor, TasksAreAtWorkForTheTraceOfWhoSubmittedThem) {
  const Trace trace = NewTrace(true);
  std::vector<Trace> ran;
  Executor executor("test", 1);
  ASSERT_TRUE(executor.Submit([&ran] { ran.push_back(CurrentTrace()); }));
  {
    const TraceScope scope(trace);
    ASSERT_TRUE(executor.Submit([&ran] { ran.push_back(CurrentTrace()); }));
  }
  ASSERT_TRUE(executor.Submit([&ran] { ran.push_back(CurrentTrace()); }));
  executor.Stop();
  EXPECT_THAT(ran, testing::ElementsAre(Trace(), trace, Trace()));
}

TEST(Executor, RunsAsManyAtOnceAsItHasThreads) {
  Executor executor("test", 3);
  // Each waits for the others: with fewer threads this would hang.
  auto* barrier = new absl::Barrier(3);
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(executor.Submit([barrier] {
      if (barrier->Block()) delete barrier;
    }));
  }
  executor.Stop();
}

TEST(Executor, StopRunsWhatWasAcceptedAndTakesNoMore) {
  std::atomic<int> ran = 0;
  absl::Notification go;
  Executor executor("test", 2);
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(executor.Submit([&] {
      go.WaitForNotification();
      ++ran;
    }));
  }
  go.Notify();
  executor.Stop();
  EXPECT_EQ(ran, 100);
  EXPECT_FALSE(executor.Submit([&ran] { ++ran; }));
  executor.Stop();
  EXPECT_EQ(ran, 100);
}

TEST(Executor, EveryStopWaits) {
  absl::Notification go;
  std::atomic<bool> ran = false;
  Executor executor("test", 1);
  ASSERT_TRUE(executor.Submit([&] {
    go.WaitForNotification();
    ran = true;
  }));
  const auto stop = [&] {
    executor.Stop();
    EXPECT_TRUE(ran);
  };
  std::thread first(stop);
  std::thread second(stop);
  go.Notify();
  first.join();
  second.join();
}

TEST(Executor, DestructionRunsWhatWasAccepted) {
  int ran = 0;
  {
    Executor executor("test", 1);
    for (int i = 0; i < 10; ++i) ASSERT_TRUE(executor.Submit([&ran] { ++ran; }));
  }
  EXPECT_EQ(ran, 10);
}

TEST(Executor, RefusesWhenTheQueueIsFull) {
  absl::Notification started;
  absl::Notification go;
  std::atomic<size_t> ran = 0;
  Executor executor("test", 1);
  ASSERT_TRUE(executor.Submit([&] {
    started.Notify();
    go.WaitForNotification();
  }));
  started.WaitForNotification();
  for (size_t i = 0; i < Executor::kMaxQueue; ++i) ASSERT_TRUE(executor.Submit([&ran] { ++ran; }));

  auto token = std::make_shared<int>(0);
  const std::weak_ptr<int> dropped = token;
  EXPECT_FALSE(executor.Submit([token = std::move(token)] { ADD_FAILURE() << "ran"; }));
  EXPECT_TRUE(dropped.expired());

  go.Notify();
  executor.Stop();
  EXPECT_EQ(ran, Executor::kMaxQueue);
}

TEST(Executor, ATaskMaySubmitAnother) {
  absl::Notification done;
  Executor executor("test", 1);
  ASSERT_TRUE(executor.Submit([&] { EXPECT_TRUE(executor.Submit([&done] { done.Notify(); })); }));
  done.WaitForNotification();
}

TEST(Executor, DropsATaskAsSoonAsItHasRun) {
  auto token = std::make_shared<int>(0);
  const std::weak_ptr<int> held = token;
  absl::Notification next;
  Executor executor("test", 1);
  ASSERT_TRUE(executor.Submit([token = std::move(token)] {}));
  ASSERT_TRUE(executor.Submit([&] {
    EXPECT_TRUE(held.expired());
    next.Notify();
  }));
  next.WaitForNotification();
}

TEST(Executor, NamesItsThreads) {
  const auto name_in = [](const std::string& name) {
    std::array<char, 16> seen{};
    Executor executor(name, 1);
    EXPECT_TRUE(executor.Submit([&seen] { pthread_getname_np(pthread_self(), seen.data(), seen.size()); }));
    executor.Stop();
    return std::string(seen.data());
  };
  EXPECT_EQ(name_in("registry"), "registry");
  EXPECT_EQ(name_in("a-name-that-is-too-long"), "a-name-that-is-");
}

}  // namespace
}  // namespace leasehold
