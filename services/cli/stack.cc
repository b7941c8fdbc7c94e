// leasehold stack up|down|status
#include "services/cli/stack/state_file.h"

#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <iostream>
#include <memory>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "common/daemon/daemon.h"
#include "common/status/error.h"
#include "services/cli/relative_time.h"
#include "services/cli/stack/run_lock.h"
#include "services/cli/stack/supervisor.h"
#include "services/cli/table.h"
#include "services/cli/verbs.h"

namespace leasehold::cli {
namespace {

struct Flags : stack::StackOptions {
  std::string ports_word = "fixed";
  bool no_restart = false;
  bool no_fsync = false;
};

std::string ThisProgram() {
  std::error_code error;
  const auto path = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? "leasehold" : path.string();
}

// They name one instance to a provisioner, or lead libpq elsewhere; the stack has several instances of its own.
void ForgetForeignVariables() {
  for (const char* name :
       {"DB_HOST", "DB_PORT", "DB_DATABASE", "DB_USERNAME", "DB_PASSWORD", "SERVICE_NAME", "LEASEHOLD_PROVISIONER_HTTP",
        "LEASEHOLD_REGISTRY_PASSWORD", "PGHOSTADDR", "PGSERVICE", "PGPASSWORD", "PGOPTIONS"}) {
    unsetenv(name);
  }
}

// The reason on the first line, then what the logs say.
void PrintFailure(const Command& command, const std::string& text) {
  const std::string message = command.paths.In(text);
  const size_t end = message.find('\n');
  std::cerr << ErrorLine(message.substr(0, end)) << (end == std::string::npos ? "" : message.substr(end)) << std::endl;
}

absl::StatusOr<int> Up(const Command& command, const Flags& flags) {
  ForgetForeignVariables();
  SignalWaiter signals;  // before the first thread
  absl::Mutex screen;
  const auto say = [&](const std::string& line) {
    absl::MutexLock lock(&screen);
    std::cerr << absl::FormatTime("%H:%M:%S  ", absl::Now(), absl::LocalTimeZone()) << command.paths.In(line)
              << std::endl;
  };
  stack::Supervisor supervisor(flags, command.env, say);
  absl::Status ended;
  // Its threads fork; ours waits for signals and lives as long as they do.
  std::thread supervision([&] {
    ended = supervisor.Run();
    signals.Wake();
  });
  for (int stops = 0;;) {
    if (signals.Wait() == 0) break;
    if (++stops == 1) {
      supervisor.RequestStop();
    } else {
      say("killing everything");
      supervisor.Kill();
    }
  }
  supervision.join();
  if (ended.ok()) return kDone;
  PrintFailure(command, std::string(StdView(ended.message())));
  return kFailed;
}

absl::StatusOr<int> Down(const Command& command, const std::string& state_dir) {
  constexpr absl::Duration kPatience = absl::Seconds(60);
  LH_ASSIGN_OR_RETURN(const auto supervisor, stack::FindSupervisor(state_dir));
  if (!supervisor) {
    std::cout << "no stack runs in " << command.paths.In(state_dir) << '\n';
    return kDone;
  }
  kill(supervisor->pid, SIGTERM);
  const absl::Time give_up = absl::Now() + kPatience;
  while (stack::Identify(supervisor->pid) == supervisor) {
    if (absl::Now() > give_up) {
      return absl::DeadlineExceededError(absl::StrCat("the stack of ", state_dir, " (pid ", supervisor->pid,
                                                      ") has not stopped after ", ShortDuration(kPatience)));
    }
    absl::SleepFor(absl::Milliseconds(20));
  }
  std::cout << "stopped the stack of " << command.paths.In(state_dir) << '\n';
  return kDone;
}

Colour ColourOf(const std::string& state) {
  if (state == "ready") return Colour::kGreen;
  return state == "starting" || state == "waiting" ? Colour::kYellow : Colour::kRed;
}

absl::StatusOr<int> Status(const Command& command, const std::string& state_dir) {
  LH_ASSIGN_OR_RETURN(const auto supervisor, stack::FindSupervisor(state_dir));
  stack::StackState state{.state = "down", .pid = 0, .components = {}};
  if (supervisor) {
    auto read = stack::ReadStackState(state_dir);
    if (read.ok()) state = *std::move(read);
    if (read.ok() && state.pid != supervisor->pid)
      state = {.state = "starting", .pid = supervisor->pid, .components = {}};
  }
  if (command.json) {
    std::cout << stack::ToJson(state);
    return supervisor ? kDone : kFailed;
  }
  if (!supervisor) return absl::NotFoundError(absl::StrCat("no stack runs in ", state_dir));
  Table table({"COMPONENT", "STATE", "PID", "ADDRESS", "UP", "RESTARTS"});
  for (const auto& component : state.components) {
    const bool up = component.up_since != absl::InfinitePast();
    table.AddRow({component.name,
                  {component.state, ColourOf(component.state)},
                  component.pid > 0 ? absl::StrCat(component.pid) : "",
                  component.address,
                  up ? ShortDuration(absl::Now() - component.up_since) : "",
                  absl::StrCat(component.restarts)});
  }
  std::cout << "the stack of " << command.paths.In(state_dir) << " is " << state.state << " (pid " << supervisor->pid
            << ")\n\n"
            << table.Render(command.terminal);
  return kDone;
}

void AddStateDir(CLI::App& app, Flags& flags) {
  app.add_option("--state-dir", flags.state_dir,
                 "Where data, secrets, logs and stack.env are kept (LEASEHOLD_STATE_DIR)")
      ->type_name("DIR")
      ->capture_default_str();
}

std::shared_ptr<Flags> NewFlags(const Command& command) {
  auto flags = std::make_shared<Flags>();
  flags->state_dir = command.env("LEASEHOLD_STATE_DIR").value_or("");
  if (flags->state_dir.empty()) flags->state_dir = ".run";
  return flags;
}

void AddUp(CLI::App& group, Command& command) {
  std::shared_ptr<Flags> flags = NewFlags(command);
  CLI::App* up = group.add_subcommand("up", "Run it in the foreground until Ctrl-C");
  up->add_option("--config", flags->config_path, "The configuration file")->required()->type_name("FILE");
  AddStateDir(*up, *flags);
  up->add_option("--ports", flags->ports_word, "fixed: those of the configuration; auto: free ones")
      ->type_name("fixed|auto")
      ->capture_default_str();
  up->add_flag("--no-restart", flags->no_restart, "Leave a component that ends alone");
  up->add_flag("--fresh", flags->fresh, "Remove the data of former runs first");
  up->add_flag("--tls", flags->tls, "Encrypt all that passes between them, with certificates made for it");
  up->add_flag("--insecure", flags->insecure, "Let the daemons listen beyond loopback without TLS");
  up->add_flag("--no-fsync", flags->no_fsync, "Faster, for data that may be lost when the machine goes down");
  up->callback([flags, &command] {
    if (flags->ports_word != "fixed" && flags->ports_word != "auto") {
      UsageError(absl::StrCat("--ports is '", Printable(flags->ports_word), "'; allowed: fixed, auto"));
    }
    command.needs_gateway = false;
    command.run = [flags, &command] {
      flags->state_dir = std::filesystem::absolute(flags->state_dir).lexically_normal().string();
      flags->ports = flags->ports_word == "auto" ? stack::PortMode::kAuto : stack::PortMode::kFixed;
      flags->restart = !flags->no_restart;
      flags->durable = !flags->no_fsync;
      flags->program = ThisProgram();
      return Up(command, *flags);
    };
  });
}

void AddDown(CLI::App& group, Command& command) {
  std::shared_ptr<Flags> flags = NewFlags(command);
  CLI::App* down = group.add_subcommand("down", "Stop it; nothing to do if none runs");
  AddStateDir(*down, *flags);
  down->add_option("--config", flags->config_path, "Not needed; taken so that one line serves all three")
      ->type_name("FILE");
  down->callback([flags, &command] {
    command.needs_gateway = false;
    command.run = [flags, &command] { return Down(command, flags->state_dir); };
  });
}

void AddStackStatus(CLI::App& group, Command& command) {
  std::shared_ptr<Flags> flags = NewFlags(command);
  CLI::App* status = group.add_subcommand("status", "Show its components; exit code 1 if none runs");
  AddStateDir(*status, *flags);
  status->add_option("--config", flags->config_path, "Not needed; taken so that one line serves all three")
      ->type_name("FILE");
  status->callback([flags, &command] {
    command.needs_gateway = false;
    command.run = [flags, &command] { return Status(command, flags->state_dir); };
  });
}

}  // namespace

void AddStack(CLI::App& app, Command& command) {
  CLI::App* group = AddGroup(app, "stack", "A whole stack on this machine: PostgreSQL, NATS, gateway, provisioners");
  AddUp(*group, command);
  AddDown(*group, command);
  AddStackStatus(*group, command);
}

}  // namespace leasehold::cli
