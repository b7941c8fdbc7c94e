// What the registry tells for `leasehold status`.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "common/config/config.h"
#include "services/gateway/registry/store_fixture.h"

namespace leasehold::gateway {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class StoreOverviewTest : public StoreTest {
 protected:
  v1::GetStatusResponse Overview() {
    auto overview = store_->Overview();
    EXPECT_TRUE(overview.ok()) << overview.status();
    return overview.ok() ? *std::move(overview) : v1::GetStatusResponse();
  }
  void Create(const std::string& id) {
    const auto created = store_->Create({.id = Id(id), .name = id, .domain = "", .settings = {}, .active = true});
    ASSERT_TRUE(created.ok()) << created.status();
  }
  // "core READY 1"
  static std::vector<std::string> States(const v1::GetStatusResponse& overview) {
    std::vector<std::string> states;
    for (const auto& service : overview.services()) {
      for (const auto& tenants : service.tenants()) {
        states.push_back(std::format("{} {} {}", service.service(), v1::ServiceState_Name(tenants.state()).substr(14),
                                     tenants.count()));
      }
    }
    return states;
  }
  // "acme/core PENDING"
  static std::vector<std::string> Unready(const v1::GetStatusResponse& overview) {
    std::vector<std::string> unready;
    for (const auto& each : overview.unready()) {
      unready.push_back(
          std::format("{}/{} {}", each.tenant(), each.service(), v1::ServiceState_Name(each.state()).substr(14)));
    }
    return unready;
  }
};

TEST_F(StoreOverviewTest, NamesTheServicesWithoutTenantsToo) {
  const v1::GetStatusResponse overview = Overview();
  ASSERT_EQ(overview.services_size(), 2);
  EXPECT_EQ(overview.services(0).service(), "core");
  EXPECT_EQ(overview.services(1).service(), "identity");
  EXPECT_THAT(overview.tenants(), IsEmpty());
  EXPECT_THAT(overview.unready(), IsEmpty());
  EXPECT_EQ(overview.operations_running(), 0);
}

TEST_F(StoreOverviewTest, FollowsATenantFromItsCreationOn) {
  Create("acme");
  v1::GetStatusResponse overview = Overview();
  ASSERT_EQ(overview.tenants_size(), 1);
  EXPECT_EQ(overview.tenants(0).state(), v1::TENANT_STATE_PROVISIONING);
  EXPECT_EQ(overview.tenants(0).count(), 1);
  EXPECT_THAT(States(overview), ElementsAre("core PENDING 1", "identity PENDING 1"));
  EXPECT_THAT(Unready(overview), ElementsAre("acme/core PENDING", "acme/identity PENDING"));
  EXPECT_EQ(ToTime(overview.unready(0).since_time()), clock_.Now());
  EXPECT_EQ(overview.operations_running(), 1);
  ASSERT_EQ(overview.operations_size(), 1);
  EXPECT_EQ(overview.operations(0).id(), "acme.1");

  ReportAll(v1::SERVICE_STATE_READY, 1);
  overview = Overview();
  EXPECT_EQ(overview.tenants(0).state(), v1::TENANT_STATE_ACTIVE);
  EXPECT_THAT(States(overview), ElementsAre("core READY 1", "identity READY 1"));
  EXPECT_THAT(Unready(overview), IsEmpty());
  EXPECT_EQ(overview.operations_running(), 0);
}

TEST_F(StoreOverviewTest, FailedOnesComeFirstWithTheReason) {
  Create("globex");
  clock_.Advance(absl::Minutes(1));
  Create("acme");
  v1::ServiceStatus failed = Status("identity", v1::SERVICE_STATE_FAILED, 1);
  failed.set_message("no space left");
  ASSERT_TRUE(store_->Report(Id("acme"), failed).ok());
  const v1::GetStatusResponse overview = Overview();
  EXPECT_THAT(Unready(overview), ElementsAre("acme/identity FAILED", "globex/core PENDING", "globex/identity PENDING",
                                             "acme/core PENDING"));
  EXPECT_EQ(overview.unready(0).message(), "no space left");
  EXPECT_EQ(overview.unready(0).since_time().seconds(), 1'800'000'000) << "when it was reported";
  EXPECT_THAT(States(overview), ElementsAre("core PENDING 2", "identity FAILED 1", "identity PENDING 1"));
}

TEST_F(StoreOverviewTest, WhatWasReportedBeforeTheLastChangeIsPending) {
  Create("acme");
  ReportAll(v1::SERVICE_STATE_READY, 1);
  ASSERT_TRUE(store_->Suspend(Id("acme")).ok());
  EXPECT_THAT(States(Overview()), ElementsAre("core PENDING 1", "identity PENDING 1"));
  ReportAll(v1::SERVICE_STATE_CLOSED, 2);
  EXPECT_THAT(States(Overview()), ElementsAre("core CLOSED 1", "identity CLOSED 1"));
}

TEST_F(StoreOverviewTest, ListsTheOldestTenOperations) {
  for (int i = 0; i < 12; ++i) {
    Create(std::format("t{:02}", i));
    clock_.Advance(absl::Seconds(1));
  }
  const v1::GetStatusResponse overview = Overview();
  EXPECT_EQ(overview.operations_running(), 12);
  ASSERT_EQ(overview.operations_size(), 10);
  EXPECT_EQ(overview.operations(0).id(), "t00.1");
  EXPECT_EQ(overview.operations(9).id(), "t09.1");
}

}  // namespace
}  // namespace leasehold::gateway
