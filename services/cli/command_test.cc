#include "services/cli/command.h"

#include <gmock/gmock.h>

#include "common/version/version.h"
#include "services/cli/verbs.h"

namespace leasehold::cli {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;

std::optional<std::string> NoVariables(const char*) { return std::nullopt; }

Environment Gateway(const std::string& address) {
  return [address](const char* name) -> std::optional<std::string> {
    if (std::string_view(name) == "LEASEHOLD_GATEWAY") return address;
    return std::nullopt;
  };
}

struct Outcome {
  int code = 0;
  std::string out;
  std::string err;
  std::string gateway;
  bool json = false;
};

constexpr char kNowhere[] = "127.0.0.1:1";

// The whole grammar, on a gateway that is not there.
Outcome Execute(std::vector<std::string> args, const Environment& env = NoVariables) {
  Command command(env, Terminal{});
  CLI::App app("Leasehold", "leasehold");
  ConfigureRoot(app, command);
  AddCommands(app, command);
  ::testing::internal::CaptureStderr();
  ::testing::internal::CaptureStdout();
  const int code = Execute(app, command, std::move(args));
  std::string out = ::testing::internal::GetCapturedStdout();
  return {code, std::move(out), ::testing::internal::GetCapturedStderr(), command.gateway.address, command.json};
}

TEST(CommandLine, TellsTheTraceIdOnRequest) {
  const auto traced = [](std::string traceparent) -> Environment {
    return [traceparent](const char* name) -> std::optional<std::string> {
      if (std::string_view(name) == "TRACEPARENT") return traceparent;
      return std::nullopt;
    };
  };
  const std::string id = "4bf92f3577b34da6a3ce929d0e0e4736";
  const std::vector<std::string> get = {"tenant", "get", "acme", "--gateway", kNowhere, "--trace"};
  EXPECT_THAT(Execute(get, traced("00-" + id + "-00f067aa0ba902b7-01")).err,
              testing::StartsWith("trace " + id + "\nleasehold: "));
  // What is no traceparent does not count.
  const std::string first = Execute(get, traced("00-" + id)).err;
  EXPECT_THAT(first, MatchesRegex("trace [0-9a-f]{32}\nleasehold: .*\n"));
  EXPECT_NE(first, Execute(get).err);
  EXPECT_THAT(Execute({"tenant", "get", "acme", "--gateway", kNowhere}).err, testing::StartsWith("leasehold: "));
}

TEST(CommandLine, WrongUseIsExitCode2) {
  EXPECT_EQ(Execute({}).code, kUsage);
  EXPECT_EQ(Execute({"tenant"}).code, kUsage);
  EXPECT_EQ(Execute({"tenant", "create"}).code, kUsage);
  EXPECT_EQ(Execute({"tenant", "create", "a", "b"}).code, kUsage);
  EXPECT_EQ(Execute({"tenant", "frobnicate"}).code, kUsage);
  EXPECT_EQ(Execute({"tenant", "get"}).code, kUsage);
  EXPECT_EQ(Execute({"tenant", "get", "acme", "--domain", "x.y"}).code, kUsage);
  EXPECT_EQ(Execute({"tenant", "list", "--state", "bored"}).code, kUsage);
  EXPECT_EQ(Execute({"tenant", "update", "acme"}).code, kUsage);
  EXPECT_EQ(Execute({"tenant", "create", "acme", "--setting", "novalue"}).code, kUsage);
  EXPECT_EQ(Execute({"lease", "acquire", "acme", "core", "--ttl", "soon"}).code, kUsage);
  EXPECT_EQ(Execute({"lease", "acquire", "acme", "core", "--dsn", "--json"}).code, kUsage);
  EXPECT_EQ(Execute({"lease", "revoke"}).code, kUsage);
  EXPECT_EQ(Execute({"man", "nosuch"}).code, kUsage);
  EXPECT_EQ(Execute({"tenant", "list", "--", "-c"}).code, kUsage);
  EXPECT_EQ(Execute({"lease", "hold", "acme", "core", "--exec"}).code, kUsage);
  EXPECT_EQ(Execute({"audit", "--tenant", "acme", "--gateway", kNowhere}).code, kFailed) << "it needs no command";
  const Outcome outcome = Execute({"lease", "acquire", "acme", "core", "--ttl", "soon"});
  EXPECT_THAT(outcome.err, HasSubstr("leasehold: --ttl is 'soon'; allowed: "));
  EXPECT_THAT(outcome.err, HasSubstr("see: leasehold lease acquire --help"));
}

struct Wrong {
  std::vector<std::string> args;
  std::string says;  // all of the first line
  std::string see = "leasehold";
};

TEST(CommandLine, UsageErrorsNameWhatIsWrong) {
  const std::string grammar = "[a-z0-9]([a-z0-9-]{0,34}[a-z0-9])?";
  const std::string address = "; allowed: host:port such as 127.0.0.1:7450 or [::1]:7450, port 1 to 65535";
  const std::string verbs =
      "known here: tenant, lease, psql, operation, backup, migrate, policy, token, status, instances, top, pools, "
      "doctor, audit, keys, log, dev-certs, stack, completion, man, version";
  for (const Wrong& wrong : std::vector<Wrong>{
           {{}, "a command is missing; " + verbs},
           {{"bogus"}, "unknown command 'bogus'; " + verbs},
           {{"--json", "bogus", "--help"}, "unknown command 'bogus'; " + verbs},
           {{"--gateway", kNowhere, "tenat"}, "unknown command 'tenat'; did you mean tenant?"},
           {{"audit", "--tenant", "acme", "verify"},
            "--tenant says nothing to verify, which checks all records; it takes --from",
            "leasehold audit verify"},
           {{"audit", "--follow", "--until", "1h"},
            "--follow shows what is still to come, and --until ends before that: give one of them",
            "leasehold audit"},
           {{"token", "create", "a", "--file", "x", "--ttl", "0"},
            "--ttl is '0'; allowed: longer than 0",
            "leasehold token create"},
           {{"keys", "rotate", "--config", "x", "--settle", "1s"},
            "--settle is '1s'; allowed: 2s or more, in which all daemons take a changed file up",
            "leasehold keys rotate"},
           {{"stack"}, "a command is missing; known here: up, down, status", "leasehold stack"},
           {{"lease", "aquire", "a", "b"}, "unknown command 'aquire'; did you mean acquire?", "leasehold lease"},
           {{""}, "unknown command ''; " + verbs},
           {{"\x1b[31m"}, "unknown command '\\x1b[31m'; " + verbs},
           {{"tenant", "list", "--sate", "active"},
            "unknown option '--sate'; did you mean --state?",
            "leasehold tenant list"},
           {{"stack", "down", "-f"},
            "unknown option '-f'; known here: --ca, --cert, --config, --gateway, --help, --json, --key, --state-dir, "
            "--token-file, --trace, --version",
            "leasehold stack down"},
           {{"tenant", "create", "-a"},
            "unknown option '-a', and ID begins with a letter or a digit: " + grammar,
            "leasehold tenant create"},
           {{"tenant", "create", "--", "-a"},
            "ID is required; what stands behind '--' is another program's",
            "leasehold tenant create"},
           {{"tenant", "create", "a", "-b"},
            "unknown option '-b'; known here: --ca, --cert, --domain, --gateway, --help, --json, --key, --name, "
            "--request-id, "
            "--setting, --timeout, "
            "--token-file, --trace, --version, --wait",
            "leasehold tenant create"},
           {{"tenant", "get", "-a"},
            "unknown option '-a', and ID begins with a letter or a digit",
            "leasehold tenant get"},
           {{"psql", "a", "b", "-c", "SELECT 1"},
            "unknown option '-c'; what psql takes goes behind '--'",
            "leasehold psql"},
           {{"lease", "acquire", "a", "b", "c"},
            "there is no use for 'c'; give TENANT SERVICE",
            "leasehold lease acquire"},
           {{"tenant", "get", "acme", "globex"}, "there is no use for 'globex'", "leasehold tenant get"},
           {{"operation", "list", "--limit", "-5"},
            "--limit is '-5'; allowed: 0 to 2147483647",
            "leasehold operation list"},
           {{"migrate", "apply", "core", "--waves", "10,1"},
            "--waves is '10,1'; allowed: percentages from 1 to 100 that rise, e.g. 1,10",
            "leasehold migrate apply"},
           {{"migrate", "apply", "core", "--waves", ""},
            "--waves is ''; allowed: percentages from 1 to 100 that rise, e.g. 1,10",
            "leasehold migrate apply"},
           {{"migrate", "plan", "core", "--waves", "a,b"},
            "--waves is 'a,b'; allowed: percentages from 1 to 100 that rise, e.g. 1,10",
            "leasehold migrate plan"},
           {{"migrate", "verify", "core", "--parallelism", "0"},
            "--parallelism is '0'; allowed: 1 to 64",
            "leasehold migrate verify"},
           {{"migrate", "apply", "core", "--lock-attempts", "0"},
            "--lock-attempts is '0'; allowed: 1 to 1000",
            "leasehold migrate apply"},
           {{"migrate", "apply", "core", "--only-central", "--tenant", "acme"},
            "--tenant excludes --only-central",
            "leasehold migrate apply"},
           {{"backup", "restore", "acme.2", "--into", "acme-2", "--in-place"},
            "--into is for a new tenant, --in-place for the one that the backup is of; give one of them",
            "leasehold backup restore"},
           {{"backup", "restore", "acme.2", "--in-place", "--setting", "plan=gold"},
            "--setting is for a new tenant, --in-place for the one that the backup is of; give one of them",
            "leasehold backup restore"},
           {{"log", "queries", "maybe"}, "STATE is 'maybe'; allowed: on, off", "leasehold log queries"},
           {{"log", "level", "loud"}, "LEVEL is 'loud'; allowed: debug, info, warning, error", "leasehold log level"},
           {{"log", "level", "--gateway-only"}, "--gateway-only goes with a LEVEL", "leasehold log level"},
           {{"tenant", "get", "\xff"}, "argument 3 is '\\xff'; allowed: UTF-8", "leasehold tenant get"},
           {{"tenant", "create", "a", "--name", "Acm\xe9"},
            "--name is 'Acm\\xe9'; allowed: UTF-8",
            "leasehold tenant create"},
           {{"tenant", "create", "a", "--name=Acm\xe9"},
            "--name is 'Acm\\xe9'; allowed: UTF-8",
            "leasehold tenant create"},
           {{"--gateway", "", "tenant", "list"}, "--gateway is ''" + address, "leasehold tenant list"},
           {{"--gateway", "garbage", "tenant", "list"}, "--gateway is 'garbage'" + address, "leasehold tenant list"},
           {{"tenant", "list", "--gateway=host:99999"}, "--gateway is 'host:99999'" + address, "leasehold tenant list"},
           {{"version", "--gateway", "garbage"}, "--gateway is 'garbage'" + address, "leasehold version"},
           {{"stack", "up", "--config", "x", "--ports", "some"},
            "--ports is 'some'; allowed: fixed, auto",
            "leasehold stack up"}}) {
    const Outcome outcome = Execute(wrong.args);
    EXPECT_EQ(outcome.code, kUsage) << wrong.says;
    const std::string first = "leasehold: " + wrong.says + "\n";
    EXPECT_EQ(outcome.err.substr(0, outcome.err.find('\n') + 1), first);
    EXPECT_EQ(outcome.out, "") << wrong.says;
    EXPECT_EQ(outcome.err, first + "  see: " + wrong.see + " --help\n");
  }
}

TEST(CommandLine, AnUnknownAccessIsAnUnknownOption) {
  const Outcome outcome = Execute({"lease", "acquire", "acme", "core", "--access", "ro"});
  EXPECT_EQ(outcome.code, kUsage);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("unknown option '--access'"), HasSubstr("--read-only")));
}

TEST(CommandLine, AValueMayBeginWithADash) {
  EXPECT_EQ(Execute({"--gateway", kNowhere, "tenant", "create", "acme", "--name", "-bogus"}).code, kFailed);
}

TEST(CommandLine, ASilentGatewayIsExitCode1AndOneLine) {
  const Outcome outcome = Execute({"tenant", "get", "acme", "--gateway", kNowhere});
  EXPECT_EQ(outcome.code, kFailed);
  EXPECT_THAT(outcome.err, MatchesRegex("leasehold: the gateway at 127.0.0.1:1 does not answer \\(waited [0-9ms]+\\); "
                                        "is it running there\\? give another with --gateway or LEASEHOLD_GATEWAY\n"));
}

TEST(CommandLine, HelpAndVersionAreExitCode0) {
  EXPECT_EQ(Execute({"--help"}).code, kDone);
  EXPECT_EQ(Execute({"lease", "acquire", "--help"}).code, kDone);
  EXPECT_EQ(Execute({"tenant", "-h"}).code, kDone);
  EXPECT_EQ(Execute({"version"}).out, VersionLine("leasehold") + "\n");
  EXPECT_EQ(Execute({"--version"}).out, VersionLine("leasehold") + "\n");
  EXPECT_EQ(Execute({"--version"}).code, kDone);
  EXPECT_THAT(Execute({"version", "--json"}).out, HasSubstr(std::string(Version())));
}

TEST(CommandLine, CommonOptionsStandAnywhere) {
  const Outcome outcome = Execute({"tenant", "list", "--json", "--gateway", kNowhere});
  EXPECT_EQ(outcome.gateway, kNowhere);
  EXPECT_TRUE(outcome.json);
  EXPECT_EQ(Execute({"--gateway", kNowhere, "tenant", "list"}).gateway, kNowhere);
}

TEST(CommandLine, TheGatewayComesFromTheEnvironmentUnlessGiven) {
  EXPECT_EQ(Execute({"tenant", "list"}, Gateway("127.0.0.1:2")).gateway, "127.0.0.1:2");
  EXPECT_EQ(Execute({"tenant", "list", "--gateway", kNowhere}, Gateway("127.0.0.1:2")).gateway, kNowhere);
  EXPECT_EQ(Execute({"version"}, Gateway("")).gateway, "127.0.0.1:7450") << "an empty variable counts as unset";
  const Outcome bad = Execute({"tenant", "list"}, Gateway("garbage"));
  EXPECT_EQ(bad.code, kUsage);
  EXPECT_THAT(bad.err, HasSubstr("LEASEHOLD_GATEWAY is 'garbage'; allowed: host:port"));
  EXPECT_EQ(Execute({"version"}, Gateway("garbage")).code, kDone) << "it calls no gateway";
}

TEST(CommandLine, TenantsMayBeCalledLikeVerbs) {
  for (const char* name : {"lease", "tenant", "get", "list", "psql", "version", "help"}) {
    EXPECT_EQ(Execute({"--gateway", kNowhere, "lease", "acquire", name, "core"}).code, kFailed) << name;
    EXPECT_EQ(Execute({"--gateway", kNowhere, "tenant", "get", name}).code, kFailed) << name;
  }
}

TEST(SplitTail, TakesWhatBelongsToAnotherProgram) {
  Command command(NoVariables, Terminal{});
  std::vector<std::string> args = {"psql", "acme", "core", "--", "-c", "SELECT 1", "--", "--exec"};
  SplitTail(args, command);
  EXPECT_THAT(args, ElementsAre("psql", "acme", "core"));
  EXPECT_THAT(command.tail, ElementsAre("-c", "SELECT 1", "--", "--exec"));
  EXPECT_TRUE(command.has_tail);
}

TEST(ErrorLine, IsOneLine) { EXPECT_EQ(ErrorLine("a\nb\r\nc"), "leasehold: a b c"); }

TEST(NewRequestId, IsNewEachTime) {
  EXPECT_EQ(NewRequestId().size(), 32U);
  EXPECT_NE(NewRequestId(), NewRequestId());
}

}  // namespace
}  // namespace leasehold::cli
