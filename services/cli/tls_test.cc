// The command line's side of TLS, without a gateway.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/tls/testing_certificates.h"
#include "services/cli/verbs.h"

namespace leasehold::cli {
namespace {

using ::testing::HasSubstr;

struct Outcome {
  int code = 0;
  std::string error;
  bool encrypted = false;
};

Outcome List(std::vector<std::string> flags, std::map<std::string, std::string> variables = {}) {
  variables.emplace("LEASEHOLD_GATEWAY", "127.0.0.1:1");
  Command command(
      [variables](const char* name) {
        const auto found = variables.find(name);
        return found == variables.end() ? std::nullopt : std::optional(found->second);
      },
      Terminal{});
  CLI::App app("Leasehold", "leasehold");
  ConfigureRoot(app, command);
  AddTenant(app, command);
  flags.insert(flags.begin(), {"tenant", "list"});
  ::testing::internal::CaptureStderr();
  const int code = Execute(app, command, std::move(flags));
  return {.code = code,
          .error = ::testing::internal::GetCapturedStderr(),
          .encrypted = command.gateway.credentials != nullptr};
}

class CommandLineTlsTest : public testing::Test {
 protected:
  tls::TestCertificates certificates_;
  const tls::IdentityFiles own_ = certificates_.Make("client");
};

TEST_F(CommandLineTlsTest, InClearWithoutACa) { EXPECT_FALSE(List({}).encrypted); }

TEST_F(CommandLineTlsTest, FromFlagsAndVariables) {
  EXPECT_TRUE(List({"--ca", certificates_.ca()}).encrypted);
  EXPECT_TRUE(List({}, {{"LEASEHOLD_CA", certificates_.ca()}}).encrypted);
  EXPECT_TRUE(List({"--ca", certificates_.ca(), "--cert", own_.certificate, "--key", own_.key}).encrypted);
  EXPECT_TRUE(
      List({},
           {{"LEASEHOLD_CA", certificates_.ca()}, {"LEASEHOLD_CERT", own_.certificate}, {"LEASEHOLD_KEY", own_.key}})
          .encrypted);
  EXPECT_FALSE(List({"--ca", ""}, {{"LEASEHOLD_CA", certificates_.ca()}}).encrypted) << "the flag counts more";
}

TEST_F(CommandLineTlsTest, WrongFilesAreWrongUse) {
  const auto expect = [](const Outcome& outcome, const std::string& why) {
    EXPECT_EQ(outcome.code, kUsage) << outcome.error;
    EXPECT_THAT(outcome.error, HasSubstr(why));
  };
  expect(List({"--ca", "/nowhere"}), "--ca is '/nowhere'; allowed: a readable PEM file");
  expect(List({}, {{"LEASEHOLD_CA", "/nowhere"}}), "LEASEHOLD_CA is '/nowhere'");
  expect(List({"--ca", own_.key}), "--ca is '");
  expect(List({"--ca", certificates_.ca(), "--cert", own_.certificate}), "both of --cert and --key");
  expect(List({"--cert", own_.certificate, "--key", own_.key}), "--cert needs --ca");
  expect(List({"--ca", certificates_.ca(), "--cert", own_.certificate, "--key", certificates_.Make("x").key}),
         "--key is '");
}

}  // namespace
}  // namespace leasehold::cli
