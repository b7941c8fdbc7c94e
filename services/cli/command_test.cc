#include "services/cli/command.h"

#include <gmock/gmock.h>

#include "services/cli/verbs.h"

namespace leasehold::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::optional<std::string> NoVariables(const char*) { return std::nullopt; }

struct Outcome {
  int code = 0;
  std::string err;
  std::string gateway;
  bool json = false;
};

// The whole grammar, on a gateway that is not there.
Outcome Execute(std::vector<std::string> args, const Environment& env = NoVariables) {
  Command command(env, Terminal{});
  CLI::App app("Leasehold", "leasehold");
  ConfigureRoot(app, command);
  AddTenant(app, command);
  AddLease(app, command);
  AddPsql(app, command);
  AddOperation(app, command);
  AddVersion(app, command);
  ::testing::internal::CaptureStderr();
  ::testing::internal::CaptureStdout();
  const int code = Execute(app, command, std::move(args));
  (void)::testing::internal::GetCapturedStdout();
  return {code, ::testing::internal::GetCapturedStderr(), command.gateway, command.json};
}

constexpr char kNowhere[] = "127.0.0.1:1";

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
  EXPECT_EQ(Execute({"tenant", "list", "--", "-c"}).code, kUsage);
  EXPECT_EQ(Execute({"lease", "hold", "acme", "core", "--exec"}).code, kUsage);
  const Outcome outcome = Execute({"lease", "acquire", "acme", "core", "--ttl", "soon"});
  EXPECT_THAT(outcome.err, HasSubstr("leasehold: --ttl is 'soon'; allowed: "));
  EXPECT_THAT(outcome.err, HasSubstr("see: leasehold lease acquire --help"));
}

TEST(CommandLine, ASilentGatewayIsExitCode1AndOneLine) {
  const Outcome outcome = Execute({"tenant", "get", "acme", "--gateway", kNowhere});
  EXPECT_EQ(outcome.code, kFailed);
  EXPECT_EQ(outcome.err, "leasehold: the gateway at 127.0.0.1:1 does not answer (is it running? see --gateway)\n");
}

TEST(CommandLine, HelpAndVersionAreExitCode0) {
  EXPECT_EQ(Execute({"--help"}).code, kDone);
  EXPECT_EQ(Execute({"lease", "acquire", "--help"}).code, kDone);
  EXPECT_EQ(Execute({"version"}).code, kDone);
}

TEST(CommandLine, CommonOptionsStandAnywhere) {
  const Outcome outcome = Execute({"tenant", "list", "--json", "--gateway", kNowhere});
  EXPECT_EQ(outcome.gateway, kNowhere);
  EXPECT_TRUE(outcome.json);
  EXPECT_EQ(Execute({"--gateway", kNowhere, "tenant", "list"}).gateway, kNowhere);
}

TEST(CommandLine, TheGatewayComesFromTheEnvironmentUnlessGiven) {
  setenv("LEASEHOLD_GATEWAY", "127.0.0.1:2", 1);
  EXPECT_EQ(Execute({"tenant", "list"}).gateway, "127.0.0.1:2");
  EXPECT_EQ(Execute({"tenant", "list", "--gateway", kNowhere}).gateway, kNowhere);
  unsetenv("LEASEHOLD_GATEWAY");
}

TEST(CommandLine, TenantsMayBeCalledLikeVerbs) {
  for (const char* name : {"lease", "tenant", "get", "list", "psql", "version"}) {
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
