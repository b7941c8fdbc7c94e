#include "tests/stack/command.h"

#include <sys/wait.h>

#include <atomic>

#include "absl/log/absl_check.h"
#include "absl/strings/str_cat.h"
#include "common/localserver/localserver.h"
#include "tests/stack/outputs.h"

namespace leasehold::testing {

Stack::Output RunLeasehold(const std::string& folder, std::vector<std::string> environment,
                           const std::vector<std::string>& arguments) {
  static std::atomic<int> runs = 0;
  const std::string base = absl::StrCat(folder, "/run-", ++runs);
  std::vector<std::string> argv = {"sh", "-c", R"(exec "$@" >"$RUN.out" 2>"$RUN.err" </dev/null)", "sh",
                                   absl::StrCat(LEASEHOLD_BINARIES, "/leasehold")};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  environment.push_back(absl::StrCat("RUN=", base));
  auto process = localserver::ChildProcess::Start({
      .argv = std::move(argv),
      .environment = std::move(environment),
      .log_path = base + ".log",
      .working_dir = "",
      .user = "",
  });
  ABSL_CHECK(process.ok()) << process.status();
  ABSL_CHECK(Eventually([&] { return !(*process)->Running(); }, absl::Minutes(2))) << "the command line does not end";
  const int status = *(*process)->exit_status();
  return {.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
          .out = Slurp(base + ".out"),
          .err = Slurp(base + ".err")};
}

}  // namespace leasehold::testing
