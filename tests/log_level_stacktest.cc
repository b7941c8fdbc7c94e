// What is worth a line, said while daemons run.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/stack/outputs.h"
#include "tests/stack/stack.h"

namespace leasehold::testing {
namespace {

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

// Whether a tenant that is made now leaves lines of level debug in a daemon's log.
bool Details(Stack& stack, const std::string& component, const std::string& message) {
  const std::string before = LogOf(stack, component);
  const std::string id = stack.CreateTenant(FreshTenantId());
  // What it logs at info comes behind what it logs at debug of the same.
  EXPECT_TRUE(Eventually([&] { return absl::StrContains(LogOf(stack, "provisioner-alpha"), id); }));
  const std::string said = LogOf(stack, component).substr(before.size());
  return absl::StrContains(said, "\"level\":\"debug\"") && absl::StrContains(said, message);
}

TEST(LogLevel, ChangesInEveryDaemonWhileItRuns) {
  Stack& stack = SharedStack();
  EXPECT_FALSE(Details(stack, "provisioner-alpha", "event taken"));
  const Stack::Output debug = stack.Run({"log", "level", "debug"});
  EXPECT_EQ(debug.exit_code, 0) << debug.err;
  EXPECT_THAT(debug.out, AllOf(ContainsRegex("gateway +debug"), ContainsRegex("provisioner/alpha +debug"),
                               ContainsRegex("provisioner/beta +debug")));
  EXPECT_TRUE(Details(stack, "provisioner-alpha", "event taken"));
  EXPECT_TRUE(Details(stack, "gateway", "event published"));

  EXPECT_EQ(stack.Run({"log", "level", "info", "--service", "alpha"}).exit_code, 0);
  EXPECT_FALSE(Details(stack, "provisioner-alpha", "event taken"));
  EXPECT_TRUE(Details(stack, "provisioner-beta", "event taken"));
  EXPECT_EQ(stack.Run({"log", "level", "info", "--gateway-only"}).exit_code, 0);
  EXPECT_THAT(stack.Run({"log", "level"}).out,
              AllOf(ContainsRegex("gateway +info"), ContainsRegex("provisioner/alpha +info"),
                    ContainsRegex("provisioner/beta +debug")));
  EXPECT_THAT(LogOf(stack, "provisioner-alpha"), HasSubstr("\"message\":\"log level changed\""));
  EXPECT_TRUE(Eventually(
      [&] { return absl::StrContains(stack.Run({"audit", "--json", "--limit", "1000"}).out, "level debug"); }));
}

TEST(LogLevel, WhatIsNoneIsRefused) {
  Stack& stack = SharedStack();
  const Stack::Output loud = stack.Run({"log", "level", "loud"});
  EXPECT_EQ(loud.exit_code, 2);
  EXPECT_THAT(loud.err, HasSubstr("LEVEL is 'loud'; allowed: debug, info, warning, error"));
  const Stack::Output payroll = stack.Run({"log", "level", "debug", "--service", "payroll"});
  EXPECT_EQ(payroll.exit_code, 1);
  EXPECT_THAT(payroll.err, AllOf(HasSubstr("payroll"), HasSubstr("alpha, beta"), Not(HasSubstr("internal"))));
}

TEST(LogLevel, IsTheConfigurationsAgainAfterARestart) {
  Stack& stack = SharedStack();
  EXPECT_EQ(stack.Run({"log", "level", "error", "--service", "beta"}).exit_code, 0);
  stack.KillAndAwait("provisioner/beta");
  EXPECT_TRUE(
      Eventually([&] { return absl::StrContains(stack.Run({"log", "level", "--service", "beta"}).out, " info"); }));
}

}  // namespace
}  // namespace leasehold::testing
