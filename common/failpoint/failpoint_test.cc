#include "common/failpoint/failpoint.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

namespace leasehold {
namespace {

#if !defined(LEASEHOLD_FAILPOINTS)
TEST(FailPoint, CostsNothingWhereItIsNotCompiledIn) {
  int evaluated = 0;
  LH_FAILPOINT((++evaluated, "name"));
  EXPECT_EQ(evaluated, 0);
}
#else
// How a child ends, or stands still, that passes "first" and "second" and then exits with 7; as waitpid gives it.
int Outcome(const std::string& setting) {
  const pid_t child = fork();
  if (child == 0) {
    setenv("LEASEHOLD_FAILPOINT", setting.c_str(), 1);
    LH_FAILPOINT("first");
    LH_FAILPOINT("second");
    _exit(7);
  }
  int status = 0;
  waitpid(child, &status, WUNTRACED);
  if (WIFSTOPPED(status)) {
    kill(child, SIGCONT);
    int rest = 0;
    waitpid(child, &rest, 0);
    EXPECT_TRUE(WIFEXITED(rest) && WEXITSTATUS(rest) == 7);
  }
  return status;
}

TEST(FailPoint, OnlyTheOneThatIsNamedActs) {
  const int killed = Outcome("second:kill");
  EXPECT_TRUE(WIFSIGNALED(killed) && WTERMSIG(killed) == SIGKILL);
  for (const char* other : {"", "third:kill", "first:fly", "first", "firs:kill", ":kill", "@/no/such/file"}) {
    const int status = Outcome(other);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 7) << other;
  }
}

TEST(FailPoint, AStoppedProcessGoesOn) { EXPECT_TRUE(WIFSTOPPED(Outcome("first:stop"))); }

TEST(FailPoint, TheThreadThatReachesAPlaceDoesNotPassIt) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_NONBLOCK), 0);
  for (int round = 0; round < 50; ++round) {
    const pid_t child = fork();
    if (child == 0) {
      setenv("LEASEHOLD_FAILPOINT", "first:stop", 1);
      std::thread([&ends] {
        LH_FAILPOINT("first");
        _exit(write(ends[1], "x", 1) == 1 ? 7 : 8);
      }).join();
    }
    int status = 0;
    waitpid(child, &status, WUNTRACED);
    EXPECT_TRUE(WIFSTOPPED(status));
    char passed = 0;
    EXPECT_EQ(read(ends[0], &passed, 1), -1) << "it was stopped too late";
    kill(child, SIGCONT);
    if (WIFSTOPPED(status)) waitpid(child, &status, 0);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    EXPECT_EQ(read(ends[0], &passed, 1), 1);
  }
  close(ends[0]);
  close(ends[1]);
}

TEST(FailPoint, AFileActsOnce) {
  const std::string path = std::filesystem::temp_directory_path() / ("failpoint-" + std::to_string(getpid()));
  std::ofstream(path) << "second:kill";
  EXPECT_TRUE(WIFSIGNALED(Outcome("@" + path)));
  EXPECT_FALSE(std::filesystem::exists(path));
  const int again = Outcome("@" + path);
  EXPECT_TRUE(WIFEXITED(again) && WEXITSTATUS(again) == 7);
}
#endif

}  // namespace
}  // namespace leasehold
