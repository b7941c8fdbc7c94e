// leasehold token create|list|revoke --file FILE: API tokens, in the file that gateways read.
#include <fcntl.h>
#include <google/protobuf/struct.pb.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <memory>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/policy/api_tokens.h"
#include "common/status/error.h"
#include "services/cli/json.h"
#include "services/cli/stack/files.h"
#include "services/cli/table.h"
#include "services/cli/verbs.h"

namespace leasehold::cli {
namespace {

absl::Status Failed(const std::string& doing, const std::string& path) {
  return absl::FailedPreconditionError(absl::StrCat("cannot ", doing, " ", path, ": ", std::strerror(errno)));
}

absl::StatusOr<ApiTokens> Read(const std::string& path, bool may_be_missing) {
  if (may_be_missing && !std::filesystem::exists(path)) return ApiTokens();
  LH_ASSIGN_OR_RETURN(const std::string text, ReadTextFile("tokens", path));
  absl::StatusOr<ApiTokens> tokens = ApiTokens::Parse(text);
  if (!tokens.ok()) return absl::FailedPreconditionError(absl::StrCat(path, ": ", tokens.status().message()));
  return tokens;
}

// A gateway reads all of it or all of the old one. It has an account of its own mostly, so that a file that is there
// keeps its owner and its mode: one that the gateway cannot read revokes nothing.
absl::Status Write(const std::string& path, const ApiTokens& tokens) {
  return std::filesystem::exists(path) ? stack::ReplaceFileAtomically(path, tokens.ToText())
                                       : stack::WriteFileAtomically(path, tokens.ToText(), 0600);
}

// Two that change it at once would lose one's change.
absl::Status Change(const std::string& path, const std::function<absl::Status(ApiTokens&)>& change) {
  const std::string beside = path + ".lock";
  const int fd = open(beside.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return Failed("write", beside);
  const absl::Cleanup unlock = [fd] { close(fd); };
  if (flock(fd, LOCK_EX) != 0) return Failed("lock", beside);
  LH_ASSIGN_OR_RETURN(ApiTokens tokens, Read(path, true));
  LH_RETURN_IF_ERROR(change(tokens));
  return Write(path, tokens);
}

std::string TimeText(absl::Time time) {
  return time == absl::InfiniteFuture() ? "never"
                                        : absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", time, absl::UTCTimeZone());
}

// {"name":"payroll","createTime":"…","expireTime":"…"}; without an end, without the last.
google::protobuf::Struct JsonOf(const ApiToken& token) {
  google::protobuf::Struct json;
  (*json.mutable_fields())["name"].set_string_value(token.name);
  (*json.mutable_fields())["createTime"].set_string_value(TimeJson(token.created));
  if (token.expires != absl::InfiniteFuture()) {
    (*json.mutable_fields())["expireTime"].set_string_value(TimeJson(token.expires));
  }
  return json;
}

std::string JsonOf(const ApiTokens& tokens) {
  google::protobuf::Struct json;
  google::protobuf::ListValue& list = *(*json.mutable_fields())["tokens"].mutable_list_value();
  for (const ApiToken& token : tokens.list()) *list.add_values()->mutable_struct_value() = JsonOf(token);
  return ToJson(json);
}

struct Flags {
  std::string file;
  std::string name;
  absl::Duration ttl = absl::InfiniteDuration();
};

CLI::App* AddVerb(CLI::App& group, const std::string& name, const std::string& about,
                  const std::shared_ptr<Flags>& flags) {
  CLI::App* verb = group.add_subcommand(name, about);
  verb->add_option("--file", flags->file, "The gateway's tokens file, gateway.tokens_file")->required();
  return verb;
}

void CheckName(const std::string& name) {
  if (const absl::Status status = CheckTokenName(name); !status.ok()) UsageError(std::string(status.message()));
}

void AddCreate(CLI::App& group, Command& command) {
  auto flags = std::make_shared<Flags>();
  CLI::App* verb = AddVerb(group, "create", "Make a token and print it: it is shown this once", flags);
  verb->add_option("NAME", flags->name, "Who it is for: the policy calls its holder token:NAME")->required();
  AddDuration(*verb, "--ttl", flags->ttl, "How long it is valid; left out: until it is revoked");
  verb->callback([flags, &command] {
    CheckName(flags->name);
    if (flags->ttl == absl::ZeroDuration()) UsageError("--ttl is '0'; allowed: longer than 0");
    command.needs_gateway = false;
    command.run = [flags, &command]() -> absl::StatusOr<int> {
      const absl::Time now = absl::Now();
      const NewApiToken token = MakeApiToken(flags->name, now, now + flags->ttl);
      LH_RETURN_IF_ERROR(Change(flags->file, [&](ApiTokens& tokens) { return tokens.Add(token.kept); }));
      if (command.json) {
        google::protobuf::Struct json = JsonOf(token.kept);
        (*json.mutable_fields())["token"].set_string_value(std::string(token.text.reveal()));
        std::cout << ToJson(json);
      } else {
        std::cout << token.text.reveal() << "\n";
      }
      return kDone;
    };
  });
}

void AddList(CLI::App& group, Command& command) {
  auto flags = std::make_shared<Flags>();
  CLI::App* verb = AddVerb(group, "list", "Show the tokens that there are, by name", flags);
  verb->callback([flags, &command] {
    command.needs_gateway = false;
    command.run = [flags, &command]() -> absl::StatusOr<int> {
      LH_ASSIGN_OR_RETURN(const ApiTokens tokens, Read(flags->file, false));
      if (command.json) {
        std::cout << JsonOf(tokens);
        return kDone;
      }
      Table table({"NAME", "CREATED", "EXPIRES"});
      for (const ApiToken& token : tokens.list()) {
        const bool over = token.expires <= absl::Now();
        table.AddRow(
            {token.name, TimeText(token.created), absl::StrCat(TimeText(token.expires), over ? " (over)" : "")});
      }
      std::cout << table.Render(command.terminal);
      return kDone;
    };
  });
}

void AddRevoke(CLI::App& group, Command& command) {
  auto flags = std::make_shared<Flags>();
  CLI::App* verb = AddVerb(group, "revoke", "End a token: gateways refuse it within some seconds", flags);
  verb->add_option("NAME", flags->name, "The token's name")->required();
  verb->callback([flags, &command] {
    CheckName(flags->name);
    command.needs_gateway = false;
    command.run = [flags, &command]() -> absl::StatusOr<int> {
      ApiTokens left;
      LH_RETURN_IF_ERROR(Change(flags->file, [&](ApiTokens& tokens) -> absl::Status {
        if (!tokens.Remove(flags->name)) {
          return absl::NotFoundError(absl::StrCat("there is no token ", flags->name, " in ", flags->file));
        }
        left = tokens;
        return absl::OkStatus();
      }));
      if (command.json) {
        std::cout << JsonOf(left);
      } else {
        std::cout << "token " << flags->name
                  << " revoked; leases that it acquired live on until they end or are revoked\n";
      }
      return kDone;
    };
  });
}

}  // namespace

void AddToken(CLI::App& app, Command& command) {
  CLI::App* group = AddGroup(app, "token", "API tokens for callers without certificates: made, listed, revoked");
  AddCreate(*group, command);
  AddList(*group, command);
  AddRevoke(*group, command);
}

}  // namespace leasehold::cli
