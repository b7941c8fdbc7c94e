#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <format>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>

#include "absl/time/clock.h"
#include "common/localserver/localserver.h"

namespace leasehold::localserver {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string Text(const auto& failed) { return std::string(failed.status().message()); }

std::string ReadAll(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

// Runs a shell script to its end and returns what it printed.
std::string Output(const std::string& script, std::vector<std::string> environment = {}) {
  TemporaryDirectory folder;
  const std::string log = folder.path() + "/log";
  auto child = ChildProcess::Start({.argv = {"sh", "-c", script},
                                    .environment = std::move(environment),
                                    .log_path = log,
                                    .working_dir = folder.path(),
                                    .user = ""});
  EXPECT_TRUE(child.ok()) << child.status();
  if (!child.ok()) return "";
  (*child)->Wait();
  return ReadAll(log);
}

TEST(ChildProcess, RunsWithAddedEnvironmentInItsFolderAndGroup) {
  EXPECT_EQ(Output("echo $GREETING", {"GREETING=a=b"}), "a=b\n");
  EXPECT_EQ(Output("test \"$(ps -o pgid= -p $$ 2>/dev/null || cut -d' ' -f5 /proc/$$/stat)\" -eq $$ && echo own"),
            "own\n");
  EXPECT_THAT(Output("pwd"), HasSubstr("leasehold-"));
}

TEST(ChildProcess, ReportsTheExitStatus) {
  auto child = ChildProcess::Start(
      {.argv = {"sh", "-c", "exit 3"}, .environment = {}, .log_path = "", .working_dir = "", .user = ""});
  ASSERT_TRUE(child.ok()) << child.status();
  const int status = (*child)->Wait();
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 3);
  EXPECT_FALSE((*child)->Running());
  EXPECT_EQ((*child)->exit_status(), status);
}

TEST(ChildProcess, SaysWhyAProgramCannotBeExecuted) {
  auto missing = ChildProcess::Start(
      {.argv = {"no-such-program"}, .environment = {}, .log_path = "", .working_dir = "", .user = ""});
  EXPECT_EQ(missing.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Text(missing), HasSubstr("no-such-program is not on PATH"));

  TemporaryDirectory folder;
  const std::string garbage = folder.path() + "/garbage";
  std::ofstream(garbage) << "\x7f"
                            "ELF but not really";
  std::filesystem::permissions(garbage, std::filesystem::perms::all);
  auto refused =
      ChildProcess::Start({.argv = {garbage}, .environment = {}, .log_path = "", .working_dir = "", .user = ""});
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Text(refused), HasSubstr("Exec format error"));

  auto nowhere = ChildProcess::Start(
      {.argv = {"sh"}, .environment = {}, .log_path = "", .working_dir = "/no/such/folder", .user = ""});
  EXPECT_THAT(Text(nowhere), HasSubstr("cannot enter /no/such/folder"));
}

// By the shell's own read: while it starts another program, such as grep, dash blocks every signal for a moment.
constexpr std::string_view kPrintBlockedSignals =
    R"(while read -r line; do case $line in SigBlk*) echo "$line";; esac; done </proc/$$/status)";

TEST(ChildProcess, InheritsNeitherBlockedSignalsNorFileDescriptors) {
  sigset_t blocked;
  sigset_t before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &blocked, &before);
  int pipe_fds[2] = {};
  ASSERT_EQ(pipe(pipe_fds), 0);  // without O_CLOEXEC on purpose
  const std::string output =
      Output(std::format("{}; ls /proc/$$/fd; test -e /proc/$$/fd/{} && echo LEAK", kPrintBlockedSignals, pipe_fds[1]));
  EXPECT_THAT(output, HasSubstr("0000000000000000"));
  EXPECT_THAT(output, Not(HasSubstr("LEAK")));
  close(pipe_fds[0]);
  close(pipe_fds[1]);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

TEST(ChildProcess, StopKillsTheWholeGroupOfAChildThatDoesNotListen) {
  TemporaryDirectory folder;
  const std::string log = folder.path() + "/log";
  auto child =
      ChildProcess::Start({.argv = {"sh", "-c", "trap '' TERM; sleep 1000 & echo $!; while :; do sleep 1000; done"},
                           .environment = {},
                           .log_path = log,
                           .working_dir = "",
                           .user = ""});
  ASSERT_TRUE(child.ok()) << child.status();
  while (ReadAll(log).find('\n') == std::string::npos) absl::SleepFor(absl::Milliseconds(1));
  const pid_t grandchild = std::stoi(ReadAll(log));
  (*child)->Stop(SIGTERM, absl::Milliseconds(50));
  EXPECT_FALSE((*child)->Running());
  EXPECT_TRUE(WIFSIGNALED(*(*child)->exit_status()));
  // A zombie until init reaps it; either way it runs no more.
  const auto alive = [grandchild] {
    const std::string stat = ReadAll(std::format("/proc/{}/stat", grandchild));
    return !stat.empty() && stat.find(") Z ") == std::string::npos;
  };
  const absl::Time give_up = absl::Now() + absl::Seconds(20);
  while (alive() && absl::Now() < give_up) absl::SleepFor(absl::Milliseconds(1));
  EXPECT_FALSE(alive());
}

TEST(ChildProcess, DiesWithTheThreadThatStartedIt) {
  std::unique_ptr<ChildProcess> child;
  std::thread([&child] {
    auto started = ChildProcess::Start(
        {.argv = {"sleep", "1000"}, .environment = {}, .log_path = "", .working_dir = "", .user = ""});
    if (started.ok()) child = *std::move(started);
  }).join();
  ASSERT_NE(child, nullptr);
  const int status = child->Wait();
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGKILL);
}

TEST(ChildProcess, BecomesAnotherUser) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  TemporaryDirectory folder;
  const std::string log = folder.path() + "/log";
  auto child = ChildProcess::Start({.argv = {"sh", "-c", "id -un; id -G"},
                                    .environment = {},
                                    .log_path = log,
                                    .working_dir = "/",
                                    .user = "nobody"});
  ASSERT_TRUE(child.ok()) << child.status();
  (*child)->Wait();
  EXPECT_EQ(ReadAll(log), "nobody\n65534\n");

  auto unknown = ChildProcess::Start(
      {.argv = {"sh"}, .environment = {}, .log_path = "", .working_dir = "", .user = "no-such-user"});
  EXPECT_THAT(Text(unknown), HasSubstr("no user no-such-user"));
}

TEST(FreePort, NeverRepeatsAndCanBeBound) {
  std::set<int> ports;
  for (int i = 0; i < 100; ++i) ports.insert(FreePort());
  EXPECT_EQ(ports.size(), 100);
  EXPECT_GT(*ports.begin(), 1024);
}

TEST(WaitForPort, GivesUp) {
  EXPECT_EQ(WaitForPort(FreePort(), absl::Milliseconds(20)).code(), absl::StatusCode::kDeadlineExceeded);
}

TEST(TemporaryDirectory, GoesWithItsOwner) {
  std::string path;
  {
    TemporaryDirectory folder;
    path = folder.path();
    std::filesystem::create_directories(path + "/a/b");
    EXPECT_EQ(std::filesystem::status(path).permissions(), std::filesystem::perms{0755});
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(LastLines, AreTheLastAndPrintable) {
  TemporaryDirectory folder;
  const std::string log = folder.path() + "/log";
  std::ofstream(log) << "one\ntwo\nthr\x01"
                        "ee\n";
  EXPECT_EQ(LastLines(log, 2), "\n  | two\n  | thr\\x01ee");
  EXPECT_EQ(LastLines(folder.path() + "/none"), "");
}

}  // namespace
}  // namespace leasehold::localserver
