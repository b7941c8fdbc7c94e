#include "common/daemon/private_memory.h"

#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>

namespace leasehold {
namespace {

// In a process of its own.
bool IsTrueInAChild(const std::function<bool()>& check) {
  const pid_t child = fork();
  if (child == 0) _exit(check() ? 0 : 1);
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool IsDumped() {
  rlimit limit{};
  getrlimit(RLIMIT_CORE, &limit);
  return prctl(PR_GET_DUMPABLE) != 0 || limit.rlim_cur != 0;
}

TEST(PrivateMemory, IsNotDumped) {
#if __has_feature(address_sanitizer)
  GTEST_SKIP() << "which is traced";
#endif
  EXPECT_TRUE(IsTrueInAChild(&IsDumped));
  EXPECT_TRUE(IsTrueInAChild([] { return KeepMemoryPrivate() && !IsDumped(); }));
}

TEST(PrivateMemory, UnlessSomebodyHuntsACrash) {
  EXPECT_TRUE(IsTrueInAChild([] {
    setenv("LEASEHOLD_CORE_DUMPS", "allow", 1);
    return !KeepMemoryPrivate() && IsDumped();
  }));
}

}  // namespace
}  // namespace leasehold
