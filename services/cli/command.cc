#include "services/cli/command.h"

#include <algorithm>
#include <iostream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "common/bearer/bearer.h"
#include "common/secret/secret.h"
#include "common/status/error.h"
#include "common/status/view.h"
#include "common/version/version.h"
#include "services/cli/misuse.h"

namespace leasehold::cli {
namespace {

constexpr char kGateway[] = "--gateway";
constexpr char kCa[] = "--ca";
constexpr char kCaVariable[] = "LEASEHOLD_CA";
constexpr char kCertificate[] = "--cert";
constexpr char kCertificateVariable[] = "LEASEHOLD_CERT";
constexpr char kKey[] = "--key";
constexpr char kKeyVariable[] = "LEASEHOLD_KEY";

int ReportUsage(std::string_view message, std::string_view path) {
  std::cerr << ErrorLine(message) << "\n  see: " << path << " --help\n";
  return kUsage;
}

void CheckGateway(const CLI::App& app, const Command& command) {
  const bool given = app.get_option(kGateway)->count() > 0;
  if (!given && !command.needs_gateway) return;
  const auto address = ParseHostPort(given ? kGateway : "LEASEHOLD_GATEWAY", command.gateway.address);
  if (!address.ok()) UsageError(std::string(address.status().message()));
}

// Here, so that a token is neither left out nor sent in clear without anybody's noticing.
absl::Status CheckToken(const Command& command) {
  if (!command.needs_gateway || command.gateway.token_file.empty()) return absl::OkStatus();
  LH_RETURN_IF_ERROR(ReadSecretFile(command.gateway.token_file).status());
  return CheckTokenMayGo(command.gateway.address, command.gateway.credentials != nullptr);
}

// Without a CA the gateway is spoken to in clear.
void ReadCredentials(const CLI::App& app, Command& command) {
  if (!command.needs_gateway) return;
  const auto file = [&app](const char* flag, const char* variable, const std::string& path) {
    return tls::File{.field = app.get_option(flag)->count() > 0 ? flag : variable, .path = path};
  };
  const tls::Options options{.role = tls::Role::kClient,
                             .certificate = file(kCertificate, kCertificateVariable, command.certificate),
                             .key = file(kKey, kKeyVariable, command.key),
                             .ca = file(kCa, kCaVariable, command.ca)};
  if (options.certificate.path.empty() != options.key.path.empty()) {
    UsageError(absl::StrCat("give both of ", kCertificate, " and ", kKey, ", or neither"));
  }
  if (options.ca.path.empty() && !options.certificate.path.empty()) {
    UsageError(absl::StrCat(kCertificate, " needs ", kCa, ": nothing is shown to a gateway that nobody knows"));
  }
  if (options.ca.path.empty()) return;
  auto credentials = tls::Credentials::Read(options, absl::Now());
  if (!credentials.ok()) UsageError(std::string(credentials.status().message()));
  command.gateway.credentials = *std::move(credentials);
}

}  // namespace

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
  command.gateway.address = command.env("LEASEHOLD_GATEWAY").value_or("");
  if (command.gateway.address.empty()) command.gateway.address = "127.0.0.1:7450";
  command.ca = command.env(kCaVariable).value_or("");
  command.certificate = command.env(kCertificateVariable).value_or("");
  command.key = command.env(kKeyVariable).value_or("");
  app.add_option(kCa, command.ca, "The CAs of the gateway's certificate; with it the connection is TLS (LEASEHOLD_CA)")
      ->type_name("FILE");
  app.add_option(kCertificate, command.certificate, "The client certificate that the gateway is shown (LEASEHOLD_CERT)")
      ->type_name("FILE");
  app.add_option(kKey, command.key, "Its key (LEASEHOLD_KEY)")->type_name("FILE");
  app.add_option(kGateway, command.gateway.address, "Where the gateway's gRPC listens (LEASEHOLD_GATEWAY)")
      ->type_name("HOST:PORT")
      ->capture_default_str();
  command.gateway.token_file = command.env("LEASEHOLD_TOKEN_FILE").value_or("");
  app.add_option("--token-file", command.gateway.token_file,
                 "A file with the token to show the gateway (LEASEHOLD_TOKEN_FILE)")
      ->type_name("FILE");
  command.gateway.trace = ParseTraceparent(command.env("TRACEPARENT").value_or(""));
  if (!command.gateway.trace) command.gateway.trace = NewTrace(/*sampled=*/true);
  app.add_flag("--trace", command.tells_trace,
               "Print on stderr the trace id by which daemons' logs tell of this; it is that of TRACEPARENT if set");
  app.add_flag("--json", command.json, "Print the protobuf JSON mapping instead of tables");
  app.footer("Exit status: 0 done, 1 refused or failed, 2 wrong usage.");
  app.set_version_flag("--version", VersionLine("leasehold"), "Print this program's version and exit");
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

CLI::Option* AddCount(CLI::App& app, const std::string& name, int& target, const std::string& about, Range allowed) {
  return app
      .add_option_function<std::string>(
          name,
          [&target, name, allowed](const std::string& text) {
            if (absl::SimpleAtoi(text, &target) && target >= allowed.least && target <= allowed.most) return;
            UsageError(
                absl::StrCat(name, " is '", Printable(text), "'; allowed: ", allowed.least, " to ", allowed.most));
          },
          about)
      ->type_name("NUMBER");
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
  if (const auto misuse = FindMisuse(app, args)) return ReportUsage(misuse->message, misuse->command);
  std::reverse(args.begin(), args.end());  // CLI11 takes a vector from its end
  try {
    app.parse(args);
    CheckGateway(app, command);
    ReadCredentials(app, command);
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
    if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr) {
      const std::vector<std::string> extras = app.remaining(/*recurse=*/true);
      if (!extras.empty()) {
        return ReportUsage(absl::StrCat("there is no use for '", Printable(extras.front()), "'"), path);
      }
    }
    const bool behind = command.has_tail && dynamic_cast<const CLI::RequiredError*>(&error) != nullptr;
    return ReportUsage(absl::StrCat(error.what(), behind ? "; what stands behind '--' is another program's" : ""),
                       path);
  }
  absl::StatusOr<int> code = kFailed;
  if (absl::Status token = CheckToken(command); !token.ok()) {
    code = std::move(token);
  } else {
    code = command.run();
  }
  std::cout.flush();
  if (code.ok() && !std::cout) code = absl::UnknownError("not all of the output could be written");
  if (command.tells_trace) std::cerr << "trace " << TraceId(command.gateway.trace) << std::endl;
  if (code.ok()) return *code;
  std::string message = command.paths.In(StdView(code.status().message()));
  // What went wrong stands in a daemon's log, and nowhere else.
  if (const auto detail = DetailOf(code.status()); detail && detail->reason() == v1::REASON_INTERNAL) {
    absl::StrAppend(&message, "; trace ", TraceId(command.gateway.trace));
  }
  std::cerr << ErrorLine(message) << std::endl;
  return kFailed;
}

}  // namespace leasehold::cli
