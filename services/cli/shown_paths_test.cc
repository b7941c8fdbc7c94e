#include "services/cli/shown_paths.h"

#include <gtest/gtest.h>

namespace leasehold::cli {
namespace {

ShownPaths Paths(const std::string& variable) {
  return ShownPaths([variable](const char* name) -> std::optional<std::string> {
    if (std::string_view(name) != "LEASEHOLD_SHOWN_PATHS" || variable.empty()) return std::nullopt;
    return variable;
  });
}

TEST(ShownPaths, AreTheUsers) {
  const ShownPaths paths = Paths("/run/leasehold=.run:/leasehold=.");
  EXPECT_EQ(paths.In("all logs: /run/leasehold/log"), "all logs: .run/log");
  EXPECT_EQ(paths.In("the stack of /run/leasehold is up"), "the stack of .run is up");
  EXPECT_EQ(paths.In("'/run/leasehold'; see /leasehold/examples/hrms, or \"/leasehold\"."),
            "'.run'; see ./examples/hrms, or \".\".");
  EXPECT_EQ(paths.In("--state-dir=/run/leasehold"), "--state-dir=.run");
  EXPECT_EQ(paths.In(""), "");
}

TEST(ShownPaths, OnlyWholeFoldersCount) {
  const ShownPaths paths = Paths("/run/leasehold=.run:/leasehold=.");
  for (const char* text : {"/run/leasehold2/log", "/leasehold-old", "/leasehold.d/x", "/srv/leasehold",
                           "postgresql://h:5432/leasehold", "~/leasehold.d/../leasehold", "leasehold up"}) {
    EXPECT_EQ(paths.In(text), text);
  }
}

TEST(ShownPaths, WithoutTheVariableNothingChanges) {
  for (const char* variable : {"", "nonsense", "=", "=x", "/leasehold="}) {
    EXPECT_EQ(Paths(variable).In("/run/leasehold/log and /leasehold"), "/run/leasehold/log and /leasehold");
  }
}

}  // namespace
}  // namespace leasehold::cli
