#include "services/cli/command.h"

#include <algorithm>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/secret/secret.h"
#include "common/status/error.h"
#include "common/status/view.h"

namespace leasehold::cli {

void SplitTail(std::vector<std::string>& args, Command& command) {
  auto mark = std::find_if(args.begin(), args.end(), [](const auto& arg) { return arg == "--" || arg == "--exec"; });
  if (mark == args.end()) return;
  command.has_tail = true;
  command.tail.assign(mark + 1, args.end());
  args.erase(mark, args.end());
}

void ConfigureRoot(CLI::App& app, Command& command) {
  app.require_subcommand(1);
  // So that "leasehold tenant get acme --json" finds the options of the root.
  app.fallthrough();
  app.add_option("--gateway", command.gateway, "Where the gateway's gRPC listens")
      ->type_name("HOST:PORT")
      ->envname("LEASEHOLD_GATEWAY")
      ->capture_default_str();
  app.add_flag("--json", command.json, "Print the protobuf JSON mapping instead of tables");
}

CLI::App* AddGroup(CLI::App& parent, const std::string& name, const std::string& about) {
  CLI::App* group = parent.add_subcommand(name, about);
  // Exactly one: a second name is then a positional, so that a tenant may be called "lease".
  group->require_subcommand(1);
  return group;
}

void UsageError(const std::string& message) { throw CLI::ValidationError(message); }

CLI::Option* AddDuration(CLI::App& app, const std::string& name, absl::Duration& target, const std::string& about) {
  return app
      .add_option_function<std::string>(
          name,
          [&target, name](const std::string& text) {
            auto parsed = ParseDurationField(name, text);
            if (!parsed.ok()) UsageError(std::string(parsed.status().message()));
            target = *parsed;
          },
          about)
      ->type_name("DURATION");
}

CLI::Option* AddSettings(CLI::App& app, const std::string& name,
                         std::vector<std::pair<std::string, std::string>>& target, const std::string& about) {
  return app
      .add_option_function<std::vector<std::string>>(
          name,
          [&target, name](const std::vector<std::string>& pairs) {
            for (const auto& pair : pairs) {
              const size_t equals = pair.find('=');
              if (equals == std::string::npos || equals == 0) {
                UsageError(absl::StrCat(name, " is '", Printable(pair), "'; allowed: KEY=VALUE"));
              }
              target.emplace_back(pair.substr(0, equals), pair.substr(equals + 1));
            }
          },
          about)
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
}

std::string NewRequestId() { return RandomHex(16); }

std::string ErrorLine(std::string_view message) {
  return absl::StrCat("leasehold: ", absl::StrReplaceAll(AbslView(message), {{"\r\n", " "}, {"\n", " "}, {"\t", " "}}));
}

int Execute(CLI::App& app, Command& command, std::vector<std::string> args) {
  SplitTail(args, command);
  std::reverse(args.begin(), args.end());  // CLI11 takes a vector from its end
  try {
    app.parse(args);
    if (command.has_tail && !command.takes_tail) UsageError("this command takes no arguments behind '--' or '--exec'");
  } catch (const CLI::Success& asked) {  // --help, --version
    return app.exit(asked, std::cout, std::cerr);
  } catch (const CLI::ParseError& error) {
    const CLI::App* at = &app;
    std::string path = "leasehold";
    while (!at->get_subcommands().empty()) {
      at = at->get_subcommands().front();
      absl::StrAppend(&path, " ", at->get_name());
    }
    std::cerr << ErrorLine(error.what()) << "\n  see: " << path << " --help\n";
    return kUsage;
  }
  absl::StatusOr<int> code = command.run();
  if (code.ok()) return *code;
  std::cout.flush();
  std::cerr << ErrorLine(StdView(code.status().message())) << std::endl;
  return kFailed;
}

}  // namespace leasehold::cli
