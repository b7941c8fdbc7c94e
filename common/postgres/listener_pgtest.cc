#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <format>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "common/localserver/localserver.h"
#include "common/postgres/server_fixture.h"

namespace leasehold::postgres {
namespace {

using ::testing::ElementsAre;

// What a Listener has told so far, and waiting for it.
class Heard {
 public:
  Listener::Handlers Handlers() {
    return {
        .on_notify = [this](std::string_view channel,
                            std::string_view payload) { Add(std::format("{}={}", channel, payload)); },
        .on_reconnect = [this] { Add("connected"); },
        .on_lost = [this](const absl::Status& status) { Add(IsConnectionFailure(status) ? "lost" : Message(status)); }};
  }
  std::vector<std::string> Await(size_t count) {
    const auto enough = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return log_.size() >= count; };
    const absl::MutexLock lock(&mu_);
    mu_.AwaitWithTimeout(absl::Condition(&enough), absl::Seconds(60));
    return log_;
  }

 private:
  void Add(std::string entry) {
    const absl::MutexLock lock(&mu_);
    log_.push_back(std::move(entry));
  }
  absl::Mutex mu_;
  std::vector<std::string> log_ ABSL_GUARDED_BY(mu_);
};

TEST(Listener, HearsAndReconnectsAfterARestart) {
  Connection c(Options());
  Heard heard;
  const Listener listener(Options(), {"outbox", "Odd \"name\""}, heard.Handlers());
  EXPECT_THAT(heard.Await(1), ElementsAre("connected"));
  ASSERT_TRUE(c.ExecAlone("SELECT pg_notify('outbox', '1')").ok());
  ASSERT_TRUE(c.ExecAlone("SELECT pg_notify('Odd \"name\"', 'it''s')").ok());
  EXPECT_THAT(heard.Await(3), ElementsAre("connected", "outbox=1", "Odd \"name\"=it's"));
  ASSERT_TRUE((**server).Restart().ok());
  EXPECT_THAT(heard.Await(5), ElementsAre("connected", "outbox=1", "Odd \"name\"=it's", "lost", "connected"));
  ASSERT_TRUE(c.ExecAlone("SELECT pg_notify('outbox', '2')").ok());
  EXPECT_THAT(heard.Await(6),
              ElementsAre("connected", "outbox=1", "Odd \"name\"=it's", "lost", "connected", "outbox=2"));
}

TEST(Listener, TellsOfAnUnreachableServerOnceAndStopsAtOnce) {
  Heard heard;
  const absl::Time start = absl::Now();
  {
    const Listener listener({.dsn = Dsn("127.0.0.1", localserver::FreePort(), "x", "x"), .password = Secret("x")},
                            {"c"}, heard.Handlers());
    EXPECT_THAT(heard.Await(1), ElementsAre("lost"));
  }
  EXPECT_LT(absl::Now() - start, absl::Seconds(30));
  EXPECT_THAT(heard.Await(1), ElementsAre("lost"));
}

}  // namespace
}  // namespace leasehold::postgres
