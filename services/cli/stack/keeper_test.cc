#include "services/cli/stack/keeper.h"

#include <gmock/gmock.h>

#include <vector>

#include "absl/strings/match.h"

namespace leasehold::stack {
namespace {

// A component that is what the test says; outlived by `World`.
struct World {
  absl::Mutex mu;
  bool running ABSL_GUARDED_BY(mu) = false;
  bool broken ABSL_GUARDED_BY(mu) = false;  // Start() fails
  int starts ABSL_GUARDED_BY(mu) = 0;
  int stops ABSL_GUARDED_BY(mu) = 0;
  std::vector<std::string> news ABSL_GUARDED_BY(mu);
  int changes ABSL_GUARDED_BY(mu) = 0;
};

class FakeComponent : public Component {
 public:
  explicit FakeComponent(World& world) : Component("fake", "127.0.0.1:1"), world_(world) {}
  absl::Status Start(const std::atomic<bool>&) override {
    absl::MutexLock lock(&world_.mu);
    ++world_.starts;
    if (world_.broken) return absl::FailedPreconditionError("out of order");
    world_.running = true;
    return absl::OkStatus();
  }
  bool Running() override {
    absl::MutexLock lock(&world_.mu);
    return world_.running;
  }
  pid_t pid() const override {
    absl::MutexLock lock(&world_.mu);
    return 1000 + world_.starts;
  }
  void Stop() override {
    absl::MutexLock lock(&world_.mu);
    world_.running = false;
    ++world_.stops;
  }
  std::string HowItEnded() override { return "signal 9"; }

 private:
  World& world_;
};

class KeeperTest : public ::testing::Test {
 protected:
  std::unique_ptr<Keeper> Make(bool restart = true) {
    return std::make_unique<Keeper>(
        std::make_unique<FakeComponent>(world_),
        KeeperOptions{.restart = restart, .min_backoff = absl::Milliseconds(1), .max_backoff = absl::Milliseconds(2)},
        [this](const std::string& news) {
          absl::MutexLock lock(&world_.mu);
          ++world_.changes;
          if (!news.empty()) world_.news.push_back(news);
        });
  }

  bool AwaitNews(const std::string& part) {
    const auto said = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(world_.mu) {
      for (const auto& line : world_.news) {
        if (absl::StrContains(line, part)) return true;
      }
      return false;
    };
    absl::MutexLock lock(&world_.mu);
    return world_.mu.AwaitWithTimeout(absl::Condition(&said), absl::Seconds(20));
  }

  void Crash(bool for_good = false) {
    absl::MutexLock lock(&world_.mu);
    world_.running = false;
    world_.broken = for_good;
  }

  World world_;
};

TEST_F(KeeperTest, StartsRestartsAndStops) {
  auto keeper = Make();
  keeper->Start();
  ASSERT_TRUE(AwaitNews("ready  fake"));
  EXPECT_EQ(keeper->state().pid, 1001);
  EXPECT_TRUE(keeper->started()->ok());

  Crash();
  ASSERT_TRUE(AwaitNews("fake has ended (signal 9); starting it again"));
  ASSERT_TRUE(AwaitNews("ready again"));
  EXPECT_EQ(keeper->state().restarts, 1);
  EXPECT_EQ(keeper->state().pid, 1002);

  keeper->RequestStop();
  keeper->AwaitStop();
  EXPECT_EQ(keeper->state().state, "stopped");
  EXPECT_EQ(keeper->state().pid, 0);
  absl::MutexLock lock(&world_.mu);
  EXPECT_EQ(world_.stops, 1);
}

TEST_F(KeeperTest, KeepsTryingWhatDoesNotStartAgain) {
  auto keeper = Make();
  keeper->Start();
  ASSERT_TRUE(AwaitNews("ready  fake"));
  Crash(/*for_good=*/true);
  ASSERT_TRUE(AwaitNews("fake did not start: out of order; starting it again"));
  {
    absl::MutexLock lock(&world_.mu);
    world_.broken = false;
  }
  EXPECT_TRUE(AwaitNews("ready again"));
}

TEST_F(KeeperTest, AFirstStartThatFailsIsFinal) {
  Crash(/*for_good=*/true);
  auto keeper = Make();
  keeper->Start();
  keeper->AwaitStop();
  EXPECT_EQ(keeper->started()->code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(keeper->state().state, "ended");
  absl::MutexLock lock(&world_.mu);
  EXPECT_EQ(world_.starts, 1);
}

TEST_F(KeeperTest, LeavesTheDeadAloneIfToldTo) {
  auto keeper = Make(/*restart=*/false);
  keeper->Start();
  ASSERT_TRUE(AwaitNews("ready  fake"));
  Crash();
  ASSERT_TRUE(AwaitNews("not started again"));
  keeper.reset();
  absl::MutexLock lock(&world_.mu);
  EXPECT_EQ(world_.starts, 1);
}

}  // namespace
}  // namespace leasehold::stack
