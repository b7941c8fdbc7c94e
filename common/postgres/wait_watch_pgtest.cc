#include "common/postgres/wait_watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>

#include "absl/synchronization/mutex.h"
#include "common/postgres/server_fixture.h"

namespace leasehold::postgres {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

ConnectOptions Named(const std::string& name) {
  ConnectOptions options = Options();
  options.application_name = name;
  return options;
}

// What a watch over sessions named "watched" has told last.
class Watched {
 public:
  std::string AwaitOther(const std::string& than) {
    const auto other = [&] {
      mu_.AssertReaderHeld();
      return said_ != than;
    };
    const absl::MutexLock lock(&mu_);
    mu_.AwaitWithTimeout(absl::Condition(&other), absl::Seconds(60));
    return said_;
  }
  static constexpr char kNothing[] = "nothing yet";

 private:
  absl::Mutex mu_;
  std::string said_ ABSL_GUARDED_BY(mu_) = kNothing;
  WaitWatch watch_{Named("watched"),
                   [this](const std::string& what) {
                     const absl::MutexLock lock(&mu_);
                     said_ = what;
                   },
                   {.period = absl::Milliseconds(10), .patience = absl::ZeroDuration()}};
};

class WaitWatchTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(holder_.ExecAlone("CREATE TABLE IF NOT EXISTS held (i int)").ok());
    ASSERT_TRUE(holder_.ExecAlone("BEGIN").ok());
    ASSERT_TRUE(holder_.ExecAlone("LOCK TABLE held").ok());
  }
  // Until somebody waits for a lock.
  static void AwaitWaiter() {
    Connection look(Options());
    while (look.ExecAlone("SELECT FROM pg_locks WHERE NOT granted").value_or(pqxx::result()).empty()) {
    }
  }
  Connection holder_{Options()};
};

TEST_F(WaitWatchTest, ALockIsToldWithWhoHoldsItUntilItIsHad) {
  Watched watched;
  std::thread waiter(
      [] { (void)Connection(Named("watched 0af7651916cd43dd8448eb211c80319c")).ExecAlone("TABLE held"); });
  const std::string said = watched.AwaitOther(Watched::kNothing);
  EXPECT_THAT(said, AllOf(HasSubstr("waits for a lock (relation) held by postgres (process "), HasSubstr(")")));
  ASSERT_TRUE(holder_.ExecAlone("COMMIT").ok());
  waiter.join();
  EXPECT_EQ(watched.AwaitOther(said), "");
}

TEST_F(WaitWatchTest, WhatOthersHaveWaitedForForLongerIsNotTold) {
  std::thread other([] { (void)Connection(Named("watchedtoo")).ExecAlone("TABLE held"); });
  AwaitWaiter();
  Connection second(Options());
  ASSERT_TRUE(second.ExecAlone("BEGIN").ok());
  ASSERT_TRUE(second.ExecAlone("SELECT pg_advisory_xact_lock(1)").ok());
  const auto pid = second.ExecAlone("SELECT pg_backend_pid()");
  Watched watched;
  std::thread mine([] { (void)Connection(Named("watched")).ExecAlone("SELECT pg_advisory_xact_lock(1)"); });
  EXPECT_THAT(watched.AwaitOther(Watched::kNothing),
              HasSubstr("(advisory) held by postgres (process " + (*pid)[0][0].as<std::string>() + ")"));
  ASSERT_TRUE(second.ExecAlone("COMMIT").ok());
  ASSERT_TRUE(holder_.ExecAlone("COMMIT").ok());
  mine.join();
  other.join();
}

TEST_F(WaitWatchTest, CommitsWithoutTheirStandbyAreTheCauseOfAllElse) {
  ASSERT_TRUE(holder_.ExecAlone("COMMIT").ok());
  ASSERT_TRUE(holder_.ExecAlone("ALTER SYSTEM SET synchronous_standby_names = 'nobody'").ok());
  ASSERT_TRUE(holder_.ExecAlone("SELECT pg_reload_conf()").ok());
  Watched watched;
  std::thread commits([] { (void)Connection(Named("watched")).ExecAlone("INSERT INTO held VALUES (1)"); });
  EXPECT_THAT(watched.AwaitOther(Watched::kNothing), HasSubstr("commits wait for a synchronous standby"));
  std::thread waits([] { (void)Connection(Named("watched")).ExecAlone("DROP TABLE held"); });
  AwaitWaiter();
  EXPECT_THAT(watched.AwaitOther(""), HasSubstr("commits wait for a synchronous standby"));
  ASSERT_TRUE(holder_.ExecAlone("ALTER SYSTEM RESET synchronous_standby_names").ok());
  ASSERT_TRUE(holder_.ExecAlone("SELECT pg_reload_conf()").ok());
  commits.join();
  waits.join();
}

}  // namespace
}  // namespace leasehold::postgres
