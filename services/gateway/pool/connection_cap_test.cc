#include "services/gateway/pool/connection_cap.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>
#include <string>
#include <thread>
#include <vector>

#include "services/gateway/pool/wait.h"

namespace leasehold::gateway {
namespace {

class ConnectionCapTest : public testing::Test {
 protected:
  // Takes a permit, notes it, keeps it until `release` is notified.
  asio::awaitable<void> Take(char name, absl::Duration patience, Wakeup* release) {
    std::optional<ConnectionCap::Permit> permit = co_await cap_->Take(patience);
    order_.push_back(permit ? name : static_cast<char>(name - 'a' + 'A'));
    if (permit && release != nullptr) co_await release->Wait();
  }
  void Spawn(char name, absl::Duration patience, Wakeup* release) {
    asio::co_spawn(io_, Take(name, patience, release), asio::detached);
    io_.restart();
    io_.poll();
  }

  asio::io_context io_;
  std::shared_ptr<ConnectionCap> cap_ = std::make_shared<ConnectionCap>(2);
  std::string order_;
};

TEST_F(ConnectionCapTest, FirstComeFirstServed) {
  Wakeup first(io_.get_executor());
  Wakeup rest(io_.get_executor());
  Spawn('a', absl::Seconds(9), &first);
  Spawn('b', absl::Seconds(9), &rest);
  Spawn('c', absl::Seconds(9), &rest);
  Spawn('d', absl::Seconds(9), &rest);
  EXPECT_EQ(order_, "ab");
  EXPECT_EQ(cap_->in_use(), 2);
  EXPECT_EQ(cap_->waiting(), 2);
  first.NotifyAll();
  io_.poll();
  EXPECT_EQ(order_, "abc");
  EXPECT_EQ(cap_->in_use(), 2);
  rest.NotifyAll();
  io_.poll();
  rest.NotifyAll();
  io_.poll();
  EXPECT_EQ(order_, "abcd");
  EXPECT_EQ(cap_->in_use(), 0);
  EXPECT_EQ(cap_->waiting(), 0);
}

TEST_F(ConnectionCapTest, WhoWaitsTooLongLeavesTheQueue) {
  Wakeup release(io_.get_executor());
  Spawn('a', absl::Seconds(9), &release);
  Spawn('b', absl::Seconds(9), &release);
  Spawn('c', absl::ZeroDuration(), nullptr);
  while (order_.size() < 3) io_.run_one();
  EXPECT_EQ(order_, "abC");
  EXPECT_EQ(cap_->waiting(), 0);
  release.NotifyAll();
  io_.poll();
  EXPECT_EQ(cap_->in_use(), 0);
}

TEST_F(ConnectionCapTest, NeverMoreThanTheLimitOverManyLoops) {
  std::atomic<int> held = 0;
  std::atomic<int> most = 0;
  std::atomic<int> done = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      asio::io_context io{1};
      for (int i = 0; i < 50; ++i) {
        asio::co_spawn(
            io,
            [&]() -> asio::awaitable<void> {
              std::optional<ConnectionCap::Permit> permit = co_await cap_->Take(absl::Seconds(60));
              if (!permit) co_return;
              const int now = ++held;
              int seen = most.load();
              while (seen < now && !most.compare_exchange_weak(seen, now)) {
              }
              co_await Pause(absl::Microseconds(50));
              --held;
              ++done;
            },
            asio::detached);
      }
      io.run();
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(done, 200);
  EXPECT_LE(most, 2);
  EXPECT_EQ(cap_->in_use(), 0);
}

}  // namespace
}  // namespace leasehold::gateway
