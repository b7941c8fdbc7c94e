#include "services/gateway/pool/loop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <functional>
#include <future>
#include <stdexcept>
#include <string>
#include <vector>

#include "absl/synchronization/notification.h"
#include "services/gateway/pool/run_on.h"

namespace leasehold::gateway {
namespace {

using testing::ElementsAre;

class LoopTest : public testing::Test {
 protected:
  LoopTest() { loop_.Start(); }
  ~LoopTest() override { loop_.Stop(); }

  // Runs `work` on the loop and waits for it.
  template <typename Work>
  auto On(Work work) {
    return RunOn(loop_, std::move(work));
  }

  Loop loop_;
};

// Two sockets that are each other's peer, one of them watched.
class WatchedSocket final : public Loop::Watcher {
 public:
  WatchedSocket() { EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends_.data()), 0); }
  ~WatchedSocket() {
    close(ends_[0]);
    close(ends_[1]);
  }
  void OnReady(uint32_t events) override {
    events_.push_back(events);
    if (on_ready) on_ready();
  }

  int own() const { return ends_[0]; }
  void Say() const { EXPECT_EQ(write(ends_[1], "x", 1), 1); }
  void Leave() const { shutdown(ends_[1], SHUT_RDWR); }
  std::vector<uint32_t> events_;
  std::function<void()> on_ready;

 private:
  std::array<int, 2> ends_{};
};

TEST_F(LoopTest, WorkRunsInTheOrderOfItsPosting) {
  std::vector<int> order;
  for (int i = 0; i < 100; ++i) loop_.Post([&order, i] { order.push_back(i); });
  On([] {});
  ASSERT_EQ(order.size(), 100u);
  EXPECT_TRUE(std::ranges::is_sorted(order));
}

TEST_F(LoopTest, WhatIsDeferredComesAfterTheRound) {
  std::vector<std::string> order;
  absl::Notification done;
  loop_.Post([&] {
    loop_.Defer([&] {
      order.emplace_back("deferred");
      loop_.Defer([&] {
        order.emplace_back("deferred again");
        done.Notify();
      });
    });
    order.emplace_back("posted");
  });
  done.WaitForNotification();
  EXPECT_THAT(order, ElementsAre("posted", "deferred", "deferred again"));
}

TEST_F(LoopTest, TimersRunInTheOrderTheyAreDue) {
  std::vector<int> order;
  absl::Notification done;
  On([&] {
    loop_.After(absl::Milliseconds(8), [&] {
      order.push_back(3);
      done.Notify();
    });
    const Loop::TimerId cancelled = loop_.After(absl::Milliseconds(4), [&] { order.push_back(-1); });
    loop_.After(absl::Milliseconds(2), [&] { order.push_back(1); });
    loop_.After(absl::Milliseconds(2), [&] { order.push_back(2); });
    loop_.Cancel(cancelled);
    loop_.Cancel(cancelled);
  });
  done.WaitForNotification();
  EXPECT_THAT(order, ElementsAre(1, 2, 3));
}

TEST_F(LoopTest, ATimerIsNeverEarly) {
  const absl::Duration began = On([&] { return loop_.now(); });
  std::promise<absl::Duration> rang;
  On([&] { loop_.After(absl::Milliseconds(3), [&] { rang.set_value(loop_.now()); }); });
  EXPECT_GE(rang.get_future().get() - began, absl::Milliseconds(3));
}

TEST_F(LoopTest, ADefectOfOneDoesNotTakeTheOthersAlong) {
  const auto fail = [] { throw std::runtime_error("a defect, as the test wants it"); };
  std::vector<std::string> order;
  absl::Notification done;
  On([&] {
    loop_.Post(fail);
    loop_.Post([&] { order.emplace_back("posted"); });
    loop_.Defer(fail);
    loop_.Defer([&] { order.emplace_back("deferred"); });
    loop_.After(absl::Milliseconds(1), fail);
    loop_.After(absl::Milliseconds(1), [&] { done.Notify(); });
  });
  done.WaitForNotification();
  EXPECT_THAT(order, testing::UnorderedElementsAre("posted", "deferred"));
}

TEST_F(LoopTest, NorWhatTheyAreToldInTheSameRound) {
  WatchedSocket one;
  WatchedSocket two;
  std::atomic<int> told = 0;
  one.on_ready = two.on_ready = [&] {
    ++told;
    throw std::runtime_error("a defect, as the test wants it");
  };
  On([&] {  // in one round: both are told in the next
    loop_.Watch(one.own(), one);
    loop_.Watch(two.own(), two);
  });
  while (told < 2) On([] {});  // each is told once only
  On([&] {
    loop_.Forget(one.own(), one);
    loop_.Forget(two.own(), two);
  });
}

TEST_F(LoopTest, AWatcherIsToldOncePerChange) {
  WatchedSocket socket;
  absl::Notification writable;
  socket.on_ready = [&] { writable.Notify(); };
  On([&] { loop_.Watch(socket.own(), socket); });
  writable.WaitForNotification();
  EXPECT_NE(socket.events_.at(0) & EPOLLOUT, 0u);

  absl::Notification readable;
  On([&] { socket.on_ready = [&] { readable.Notify(); }; });
  socket.Say();
  readable.WaitForNotification();
  EXPECT_NE(socket.events_.at(1) & EPOLLIN, 0u);
  On([] {});
  On([] {});
  EXPECT_EQ(socket.events_.size(), 2u) << "nothing has changed since";

  absl::Notification gone;
  On([&] { socket.on_ready = [&] { gone.Notify(); }; });
  socket.Leave();
  gone.WaitForNotification();
  EXPECT_NE(socket.events_.back() & EPOLLRDHUP, 0u);
  On([&] { loop_.Forget(socket.own(), socket); });
}

TEST_F(LoopTest, WhoIsForgottenHearsNothingOfTheSameRoundEither) {
  WatchedSocket one;
  WatchedSocket two;
  int heard = 0;
  // Whichever is told first has both forgotten.
  const auto forget = [&] {
    ++heard;
    loop_.Forget(one.own(), one);
    loop_.Forget(two.own(), two);
  };
  one.on_ready = two.on_ready = forget;
  On([&] {  // in one round: both are told in the next
    loop_.Watch(one.own(), one);
    loop_.Watch(two.own(), two);
  });
  On([] {});
  On([] {});
  one.Say();
  two.Say();
  On([] {});
  EXPECT_EQ(heard, 1);
}

TEST_F(LoopTest, StopDropsWhatHasNotRun) {
  auto held = std::make_shared<int>(1);
  loop_.Stop();
  loop_.Post([held] {});
  EXPECT_EQ(held.use_count(), 2);
  loop_.Stop();  // again
}

TEST(LoopAloneTest, WhatWasPostedBeforeTheStartRuns) {
  absl::Notification ran;
  Loop loop;
  loop.Post([&] { ran.Notify(); });
  loop.Start();
  ran.WaitForNotification();
}

uint64_t SliceOfThisThread() {
  sched_attr attributes{};
  EXPECT_EQ(sched_getattr(0, &attributes, sizeof(attributes), 0), 0);
  return attributes.sched_runtime;
}

TEST(LoopAloneTest, ShortTurnsGoWithShortSlices) {
  const uint64_t usual = SliceOfThisThread();
  if (usual == 0) GTEST_SKIP() << "this kernel knows no slices of a thread's own";
  const auto slice_with = [](Loop::Turns turns) {
    std::promise<uint64_t> slice;
    Loop loop;
    loop.Start(turns);
    loop.Post([&slice] { slice.set_value(SliceOfThisThread()); });
    return slice.get_future().get();
  };
  EXPECT_LT(slice_with(Loop::Turns::kShort), usual);
  EXPECT_EQ(slice_with(Loop::Turns::kLong), usual);
}

}  // namespace
}  // namespace leasehold::gateway
