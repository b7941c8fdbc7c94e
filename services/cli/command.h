// What the verbs of the command line share: the options every command takes, usage errors, exit codes.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/config/config.h"
#include "services/cli/gateway_client.h"
#include "services/cli/shown_paths.h"
#include "services/cli/terminal.h"

namespace leasehold::cli {

inline constexpr int kDone = 0;
inline constexpr int kFailed = 1;
inline constexpr int kUsage = 2;

// One command line. A verb's file adds its options to a CLI::App and, in the callback, leaves what to do in `run`; main
// runs it after all of the line was understood.
struct Command {
  // Returns the exit code; a Status becomes one line on stderr and exit code 1.
  using Run = std::function<absl::StatusOr<int>()>;

  Command(Environment environment, Terminal screen) : env(std::move(environment)), terminal(screen), paths(env) {}

  const Environment env;
  const Terminal terminal;
  const ShownPaths paths;

  GatewayTarget gateway;  // checked before `run`
  std::string ca;         // paths of PEM files, read before `run`
  std::string certificate;
  std::string key;
  bool needs_gateway = true;  // cleared by a verb that calls none
  bool json = false;
  bool tells_trace = false;  // on stderr, at the end

  // What follows "--" or "--exec": another program's arguments, taken off before CLI11 looks.
  std::vector<std::string> tail;
  bool has_tail = false;
  bool takes_tail = false;  // set by a verb that knows what to do with it

  Run run;
};

// Moves everything behind the first "--" or "--exec" of `args` into command.tail.
void SplitTail(std::vector<std::string>& args, Command& command);

// Parses `args` (without the program's name), then runs. Returns the exit code.
int Execute(CLI::App& app, Command& command, std::vector<std::string> args);

// A new root with --gateway, --json and exactly one verb required.
void ConfigureRoot(CLI::App& app, Command& command);

// A verb under which exactly one more must be named: "tenant", "lease".
CLI::App* AddGroup(CLI::App& parent, const std::string& name, const std::string& about);

// Throws the exception that CLI11 turns into a usage error.
[[noreturn]] void UsageError(const std::string& message);

// An option that takes a duration such as "15m"; anything else is a usage error. `target` keeps its value when it is
// not given.
CLI::Option* AddDuration(CLI::App& app, const std::string& name, absl::Duration& target, const std::string& about);

struct Range {
  int least = 0;
  int most = std::numeric_limits<int>::max();
};
// An option that takes a whole number.
CLI::Option* AddCount(CLI::App& app, const std::string& name, int& target, const std::string& about,
                      Range allowed = {});

// "K=V" pairs; a key without "=" is a usage error.
CLI::Option* AddSettings(CLI::App& app, const std::string& name,
                         std::vector<std::pair<std::string, std::string>>& target, const std::string& about);

// A request_id: 32 hex digits, new at each call.
std::string NewRequestId();

// `message` as it goes to stderr: "leasehold: …" on a single line.
std::string ErrorLine(std::string_view message);

}  // namespace leasehold::cli
