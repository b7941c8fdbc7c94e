#include "services/cli/key_needs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace leasehold::cli {
namespace {

using testing::HasSubstr;

TEST(KeyNeeds, AKeyGoesOnlyWhenTheProvisionerSaysSo) {
  v1::ServiceOverview service;
  service.set_service("core");
  EXPECT_THAT(WhyOtherKeyIsNeeded(service, "aa"), HasSubstr("does not answer"));
  v1::ProvisionerStatus& provisioner = *service.mutable_provisioner();
  provisioner.set_version("0.1.0");
  EXPECT_THAT(WhyOtherKeyIsNeeded(service, "aa"), HasSubstr("(0.1.0) is too old to say"));
  provisioner.set_role_key("bb");
  EXPECT_THAT(WhyOtherKeyIsNeeded(service, "aa"), HasSubstr("by key bb, and the file's first key is aa"));
  provisioner.set_role_key("aa");
  EXPECT_THAT(WhyOtherKeyIsNeeded(service, "aa"), HasSubstr("has not looked at all tenants"));
  provisioner.set_outdated_secrets(1);
  EXPECT_THAT(WhyOtherKeyIsNeeded(service, "aa"), HasSubstr("1 tenant may have"));
  provisioner.set_outdated_secrets(12);
  EXPECT_THAT(WhyOtherKeyIsNeeded(service, "aa"), HasSubstr("12 tenants may have"));
  provisioner.set_outdated_secrets(0);
  EXPECT_EQ(WhyOtherKeyIsNeeded(service, "aa"), "");
}

}  // namespace
}  // namespace leasehold::cli
