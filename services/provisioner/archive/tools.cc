#include "services/provisioner/archive/tools.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <format>
#include <fstream>
#include <memory>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/time/clock.h"
#include "common/localserver/localserver.h"
#include "common/status/error.h"
#include "common/telemetry/log.h"

namespace leasehold::provisioner {
namespace {

namespace fs = std::filesystem;
using localserver::ChildProcess;

constexpr absl::Duration kTick = absl::Milliseconds(20);
constexpr absl::Duration kAskEvery = absl::Milliseconds(200);
constexpr size_t kMaxErrorBytes = 200;

// Debian's pg_dump on PATH is a script that looks for the newest; this is what it would find.
std::string FindTool(std::string_view name) {
  std::string newest(name);
  int best = 0;
  std::error_code error;
  for (fs::directory_iterator at("/usr/lib/postgresql", error), end; !error && at != end; at.increment(error)) {
    const int version = std::atoi(at->path().filename().c_str());
    const fs::path tool = at->path() / "bin" / name;
    if (version > best && fs::exists(tool)) {
      best = version;
      newest = tool.string();
    }
  }
  return newest;
}

// What the program wrote, kept out of our log: it may quote what tenants have stored.
class ErrorLog {
 public:
  ErrorLog() {
    std::string path = (fs::temp_directory_path() / "leasehold-tool-XXXXXX").string();
    const int fd = mkstemp(path.data());
    if (fd >= 0) close(fd);
    path_ = path;
  }
  ~ErrorLog() {
    std::error_code ignored;
    fs::remove(path_, ignored);
  }
  const std::string& path() const { return path_; }

  // The first error, without the server's address.
  absl::Status Explain(std::string_view tool) const {
    std::ifstream in(path_);
    std::string line, first;
    while (first.empty() && std::getline(in, line)) {
      if (const size_t at = line.find("error: "); at != std::string::npos) first = line.substr(at + 7);
    }
    if (first.starts_with("connection to server") || first.contains("server closed the connection") ||
        first.contains("terminating connection")) {
      return Error(v1::REASON_INSTANCE_UNAVAILABLE, std::format("{}: the instance does not answer", tool));
    }
    if (first.empty()) return Error(v1::REASON_BACKUP_FAILED, std::format("{} ended without a word", tool));
    if (first.contains("permission denied to create extension")) {
      first += " (let tenants create it: `trusted = true` in its control file)";
    }
    return Error(v1::REASON_BACKUP_FAILED, std::format("{}: {}", tool, Printable(first, kMaxErrorBytes)));
  }

 private:
  std::string path_;
};

struct Tool {
  std::string name;
  std::vector<std::string> arguments;
  const postgres::ConnectOptions* login = nullptr;
  int input = -1;
  int output = -1;
};

absl::StatusOr<std::unique_ptr<ChildProcess>> Start(const Tool& tool, const ErrorLog& log) {
  ChildProcess::Options options;
  options.argv = {FindTool(tool.name), "--no-password", std::format("--dbname={}", tool.login->dsn)};
  options.argv.insert(options.argv.end(), tool.arguments.begin(), tool.arguments.end());
  options.environment = {std::format("PGPASSWORD={}", tool.login->password.reveal()),
                         std::format("PGAPPNAME={}", tool.login->application_name), "PGCONNECT_TIMEOUT=5", "LC_ALL=C",
                         "PGOPTIONS="};
  options.log_path = log.path();
  options.input = tool.input;
  options.output = tool.output;
  absl::StatusOr<std::unique_ptr<ChildProcess>> child = ChildProcess::Start(std::move(options));
  if (child.ok()) return child;
  Log(Level::kError, "a program is missing", {{"program", tool.name}, {"error", StdView(child.status().message())}});
  return Error(v1::REASON_BACKUP_FAILED,
               std::format("{} cannot be started; is postgresql-client installed?", tool.name));
}

// Until all have ended; killed, each of them, as soon as `go_on` says no. A child whose destructor runs is killed too.
absl::Status Await(std::initializer_list<ChildProcess*> children, const GoOn& go_on) {
  absl::Time ask = absl::Now();
  while (std::ranges::any_of(children, [](ChildProcess* child) { return child->Running(); })) {
    if (absl::Now() >= ask) {
      LH_RETURN_IF_ERROR(go_on());
      ask = absl::Now() + kAskEvery;
    }
    absl::SleepFor(kTick);
  }
  return absl::OkStatus();
}

bool Succeeded(ChildProcess& child) {
  const int status = child.exit_status().value_or(-1);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool BrokenPipe(ChildProcess& child) {
  const int status = child.exit_status().value_or(0);
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGPIPE;
}

Tool DumpTool(const Dump& dump) {
  Tool tool{.name = "pg_dump",
            .arguments = {std::format("--role={}", dump.owner), std::format("--snapshot={}", dump.snapshot.id),
                          "--exclude-schema=leasehold", "--no-owner", "--no-privileges", "--no-publications",
                          "--no-subscriptions", "--no-security-labels", "--lock-wait-timeout=30s"},
            .login = &dump.login};
  if (!dump.snapshot.large_objects) tool.arguments.emplace_back("--no-large-objects");
  return tool;
}

Tool RestoreTool(const postgres::ConnectOptions& target) {
  return {.name = "pg_restore",
          .arguments = {"--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction"},
          .login = &target};
}

absl::Status RunOne(const Tool& tool, const GoOn& go_on) {
  const ErrorLog log;
  LH_ASSIGN_OR_RETURN(const std::unique_ptr<ChildProcess> child, Start(tool, log));
  LH_RETURN_IF_ERROR(Await({child.get()}, go_on));
  return Succeeded(*child) ? absl::OkStatus() : log.Explain(tool.name);
}

}  // namespace

absl::Status DumpToFolder(const Dump& dump, const fs::path& folder, const GoOn& go_on) {
  Tool tool = DumpTool(dump);
  tool.arguments.insert(tool.arguments.end(),
                        {"--format=directory", "--no-sync", std::format("--file={}", folder.string())});
  return RunOne(tool, go_on);
}

absl::Status RestoreFromFolder(const fs::path& folder, const postgres::ConnectOptions& target, const GoOn& go_on) {
  Tool tool = RestoreTool(target);
  tool.arguments.insert(tool.arguments.end(), {"--format=directory", folder.string()});
  return RunOne(tool, go_on);
}

absl::Status CopyDatabase(const Dump& dump, const postgres::ConnectOptions& target, const GoOn& go_on) {
  std::array<int, 2> pipe = {};
  if (pipe2(pipe.data(), O_CLOEXEC) != 0) return absl::ResourceExhaustedError("no file descriptor left for a pipe");
  absl::Cleanup close_pipe = [&pipe] {
    close(pipe[0]);
    close(pipe[1]);
  };
  const ErrorLog dump_log, restore_log;
  Tool from = DumpTool(dump);
  from.arguments.insert(from.arguments.end(), {"--format=custom", "--compress=0"});
  from.output = pipe[1];
  Tool to = RestoreTool(target);
  to.arguments.emplace_back("--format=custom");
  to.input = pipe[0];
  LH_ASSIGN_OR_RETURN(const std::unique_ptr<ChildProcess> reader, Start(to, restore_log));
  LH_ASSIGN_OR_RETURN(const std::unique_ptr<ChildProcess> writer, Start(from, dump_log));
  std::move(close_pipe).Invoke();  // so that each notices the other's end
  LH_RETURN_IF_ERROR(Await({writer.get(), reader.get()}, go_on));
  // Whoever failed first; the other only misses its peer.
  if (!Succeeded(*writer) && !BrokenPipe(*writer)) return dump_log.Explain("pg_dump");
  return Succeeded(*reader) && Succeeded(*writer) ? absl::OkStatus() : restore_log.Explain("pg_restore");
}

}  // namespace leasehold::provisioner
