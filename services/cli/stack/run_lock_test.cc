#include "services/cli/stack/run_lock.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "common/localserver/localserver.h"
#include "common/status/view.h"

namespace leasehold::stack {
namespace {

constexpr char kStop[] = "./dev down";

TEST(RunLock, OneSupervisorAtATime) {
  const localserver::TemporaryDirectory folder;
  {
    const auto lock = RunLock::Take(folder.path(), kStop);
    ASSERT_TRUE(lock.ok()) << lock.status();
    const auto second = RunLock::Take(folder.path(), kStop);
    EXPECT_THAT(
        std::string(StdView(second.status().message())),
        ::testing::AllOf(::testing::HasSubstr("already runs in " + folder.path() + " (pid " + std::to_string(getpid())),
                         ::testing::EndsWith("stop it with: ./dev down")));
    const auto supervisor = FindSupervisor(folder.path());
    ASSERT_TRUE(supervisor.ok()) << supervisor.status();
    EXPECT_EQ(*supervisor, Identify(getpid()));
  }
  EXPECT_FALSE(std::filesystem::exists(folder.path() + "/stack.pid"));
  EXPECT_TRUE(RunLock::Take(folder.path(), kStop).ok());
}

TEST(RunLock, AStaleFileMeansNothing) {
  const localserver::TemporaryDirectory folder;
  std::ofstream(folder.path() + "/stack.pid") << getpid() << " 1\n";  // our pid, but nobody holds the lock
  const auto supervisor = FindSupervisor(folder.path());
  ASSERT_TRUE(supervisor.ok()) << supervisor.status();
  EXPECT_FALSE(supervisor->has_value());
  EXPECT_TRUE(RunLock::Take(folder.path(), kStop).ok());
}

TEST(RunLock, AHolderOutOfSightIsNotSignalled) {
  const localserver::TemporaryDirectory folder;
  const auto lock = RunLock::Take(folder.path(), kStop);
  ASSERT_TRUE(lock.ok()) << lock.status();
  std::ofstream(folder.path() + "/stack.pid", std::ios::in) << "1 1\n";  // as another pid namespace would see it
  EXPECT_EQ(FindSupervisor(folder.path()).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST(RunLock, NoFolderNoSupervisor) {
  const auto supervisor = FindSupervisor("/nowhere");
  ASSERT_TRUE(supervisor.ok());
  EXPECT_FALSE(supervisor->has_value());
  EXPECT_FALSE(RunLock::Take("/nowhere", kStop).ok());
}

TEST(Identify, TellsProcessesApart) {
  EXPECT_TRUE(Identify(getpid()).has_value());
  EXPECT_EQ(Identify(getpid()), Identify(getpid()));
  EXPECT_EQ(Identify(0), std::nullopt);
}

}  // namespace
}  // namespace leasehold::stack
