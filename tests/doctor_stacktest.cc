// `leasehold doctor`: what somebody did on an instance shows, with whose turn it is.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/stack/stack.h"

namespace leasehold::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

bool AwaitDoctor(Stack& stack, const std::vector<std::string>& arguments, int exit_code, const std::string& text) {
  std::vector<std::string> command = {"doctor"};
  command.insert(command.end(), arguments.begin(), arguments.end());
  Stack::Output last;
  const bool met = Eventually([&] {
    last = stack.Run(command);
    return last.exit_code == exit_code && (last.out + last.err).contains(text);
  });
  if (!met) ADD_FAILURE() << "exit " << last.exit_code << "\n" << last.out << last.err;
  return met;
}

TEST(Doctor, AHealthyStackNeedsNobody) {
  Stack& stack = SharedStack();
  stack.CreateTenant(FreshTenantId());
  EXPECT_TRUE(AwaitDoctor(stack, {}, 0, "nothing amiss"));
  const Stack::Output json = stack.Run({"doctor", "--json", "--service", "alpha"});
  EXPECT_EQ(json.exit_code, 0);
  EXPECT_THAT(json.out, AllOf(HasSubstr("\"alpha\""), Not(HasSubstr("\"beta\"")), HasSubstr("lastPassTime")));
}

TEST(Doctor, ANameThatSomebodyElseHasIsReportedAndNotTouched) {
  Stack& stack = SharedStack();
  const std::string id = FreshTenantId();
  const std::string name = absl::StrCat("tenant_", id, "_alpha");
  stack.OnInstance("alpha", absl::StrCat("CREATE DATABASE \"", name, "\""));
  stack.OnInstance("alpha", "CREATE TABLE theirs (n int)", name);
  EXPECT_TRUE(AwaitDoctor(stack, {"--tenant", id}, 1, "foreign"));
  stack.PublishCreated(id, absl::StrCat("event-", id));
  ASSERT_TRUE(stack.AwaitState(id, v1::TENANT_STATE_DEGRADED));
  const Stack::Output shown = stack.Run({"tenant", "get", id});
  EXPECT_THAT(shown.out, HasSubstr("Leasehold did not make"));
  EXPECT_TRUE(AwaitDoctor(stack, {}, 1, absl::StrCat("tenant ", id)));
  EXPECT_EQ(stack.OnInstance("alpha", "SELECT count(*) FROM theirs", name), "0");
  EXPECT_TRUE(Eventually([&] {
    return stack.OnInstance(
               "beta", absl::StrCat("SELECT count(*) FROM pg_database WHERE datname = 'tenant_", id, "_beta'")) == "1";
  })) << "the other service is not held up";
  stack.OnInstance("alpha", absl::StrCat("DROP DATABASE \"", name, "\""));
  EXPECT_TRUE(stack.AwaitState(id, v1::TENANT_STATE_ACTIVE));
  EXPECT_TRUE(AwaitDoctor(stack, {"--tenant", id}, 0, "nothing amiss"));
}

TEST(Doctor, ARoleThatSomebodyElseHasIsReportedAndNotTouched) {
  Stack& stack = SharedStack();
  const std::string id = FreshTenantId();
  const std::string name = absl::StrCat("tenant_", id, "_beta_ro");
  stack.OnInstance("beta", absl::StrCat("CREATE ROLE \"", name, "\" PASSWORD 'theirs'"));
  stack.PublishCreated(id, absl::StrCat("event-", id));
  ASSERT_TRUE(stack.AwaitState(id, v1::TENANT_STATE_DEGRADED));
  EXPECT_TRUE(AwaitDoctor(stack, {"--tenant", id, "--service", "beta"}, 1, name));
  EXPECT_EQ(stack.OnInstance("beta", absl::StrCat("SELECT rolcanlogin FROM pg_roles WHERE rolname = '", name, "'")),
            "f");
  stack.OnInstance("beta", absl::StrCat("DROP ROLE \"", name, "\""));
  EXPECT_TRUE(stack.AwaitState(id, v1::TENANT_STATE_ACTIVE));
}

TEST(Doctor, WhatWasWidenedIsTakenBack) {
  Stack& stack = SharedStack();
  const std::string id = stack.CreateTenant(FreshTenantId());
  const std::string name = absl::StrCat("tenant_", id, "_alpha");
  stack.OnInstance("alpha", absl::StrCat("GRANT CONNECT ON DATABASE \"", name, "\" TO PUBLIC"));
  EXPECT_TRUE(Eventually([&] {
    return stack.OnInstance("alpha", absl::StrCat("SELECT has_database_privilege('tenant_", id, "_alpha_ro', '", name,
                                                  "', 'TEMPORARY') OR datacl::text LIKE '%{=%' OR datacl::text LIKE "
                                                  "'%,=%' FROM pg_database WHERE datname = '",
                                                  name, "'")) == "f";
  }));
  EXPECT_TRUE(AwaitDoctor(stack, {"--tenant", id}, 0, "nothing amiss"));
}

TEST(Doctor, AWrongNameIsOneClearLine) {
  Stack& stack = SharedStack();
  EXPECT_TRUE(AwaitDoctor(stack, {"--service", "alpha"}, 0, "alpha"));
  const Stack::Output unknown = stack.Run({"doctor", "--service", "gamma"});
  EXPECT_EQ(unknown.exit_code, 1);
  EXPECT_THAT(unknown.err, HasSubstr("there is no service gamma"));
  const Stack::Output nobody = stack.Run({"doctor", "--tenant", "nobody"});
  EXPECT_EQ(nobody.exit_code, 1);
  EXPECT_THAT(nobody.err, HasSubstr("nobody"));
  EXPECT_EQ(stack.Run({"lease", "list", "--service", "gamma"}).exit_code, 1);
  const Stack::Output bad = stack.Run({"doctor", "--tenant", "No_Such"});
  EXPECT_EQ(bad.exit_code, 1);
  EXPECT_THAT(bad.err, HasSubstr("tenant"));
}

}  // namespace
}  // namespace leasehold::testing
