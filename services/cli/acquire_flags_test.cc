#include "services/cli/acquire_flags.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "common/config/config.h"

namespace leasehold::cli {
namespace {

v1::AcquireLeaseRequest Parse(std::vector<std::string> args) {
  AcquireFlags flags;
  CLI::App app;
  flags.AddTo(app);
  std::ranges::reverse(args);
  app.parse(args);
  flags.Check();
  return flags.Request("me@here");
}

TEST(AcquireFlags, TenantAndService) {
  const auto request = Parse({"acme", "core"});
  EXPECT_EQ(request.tenant(), "acme");
  EXPECT_EQ(request.service(), "core");
  EXPECT_EQ(request.access(), v1::ACCESS_READ_WRITE);
  EXPECT_EQ(request.holder(), "me@here");
  EXPECT_FALSE(request.has_ttl());
  EXPECT_FALSE(request.has_wait_ready());
  EXPECT_TRUE(request.switch_to().empty());
  EXPECT_EQ(request.request_id().size(), 32U);
}

TEST(AcquireFlags, EverythingElse) {
  const auto request = Parse({"acme", "--switch-to", "glob*", "core", "--read-only", "--session", "--ttl", "90s",
                              "--holder", "payroll", "--wait-ready", "1m", "--switch-to", "b"});
  EXPECT_EQ(request.service(), "core");
  EXPECT_EQ(request.access(), v1::ACCESS_READ_ONLY);
  EXPECT_TRUE(request.session());
  EXPECT_EQ(ToDuration(request.ttl()), absl::Seconds(90));
  EXPECT_EQ(ToDuration(request.wait_ready()), absl::Minutes(1));
  EXPECT_EQ(request.holder(), "payroll");
  EXPECT_THAT(request.switch_to(), ::testing::ElementsAre("glob*", "b"));
}

TEST(AcquireFlags, ServiceAloneElsewhere) {
  const auto central = Parse({"--connection", "central", "core", "--switch-to", "*"});
  EXPECT_EQ(central.connection(), "central");
  EXPECT_EQ(central.service(), "core");
  const auto by_domain = Parse({"--domain", "acme.hrms.local", "core"});
  EXPECT_EQ(by_domain.domain(), "acme.hrms.local");
  EXPECT_EQ(by_domain.service(), "core");
}

TEST(AcquireFlags, SaidNotAtAllOrTwice) {
  EXPECT_THROW(Parse({}), CLI::ParseError);
  EXPECT_THROW(Parse({"core"}), CLI::ParseError);
  EXPECT_THROW(Parse({"acme", "core", "more"}), CLI::ParseError);
  EXPECT_THROW(Parse({"--connection", "central", "acme", "core"}), CLI::ParseError);
  EXPECT_THROW(Parse({"--connection", "central", "--domain", "x.y", "core"}), CLI::ParseError);
  EXPECT_THROW(Parse({"acme", "core", "--ttl", "-"}), CLI::ParseError);
}

TEST(ThisUser, IsShortEnoughForAHolder) {
  EXPECT_THAT(ThisUser(), ::testing::HasSubstr("@"));
  EXPECT_LE(ThisUser().size(), 128U);
}

}  // namespace
}  // namespace leasehold::cli
