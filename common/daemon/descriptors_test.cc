#include "common/daemon/descriptors.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

namespace leasehold {
namespace {

class DescriptorsTest : public testing::Test {
 protected:
  DescriptorsTest() { getrlimit(RLIMIT_NOFILE, &before_); }
  ~DescriptorsTest() override { setrlimit(RLIMIT_NOFILE, &before_); }
  void SetSoftLimit(rlim_t soft) {
    const rlimit limit{.rlim_cur = soft, .rlim_max = before_.rlim_max};
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  }
  rlimit before_{};
};

TEST_F(DescriptorsTest, TheSoftLimitIsRaisedToTheHardOne) {
  SetSoftLimit(512);
  ASSERT_EQ(DescriptorLimit(), 512);
  const int raised = RaiseDescriptorLimit();
  EXPECT_EQ(raised, DescriptorLimit());
  rlimit now{};
  getrlimit(RLIMIT_NOFILE, &now);
  EXPECT_EQ(now.rlim_cur, before_.rlim_max);
}

TEST_F(DescriptorsTest, WhatTheDaemonOpensIsKeptTwiceAndHalfOfItFromCallersToo) {
  SetSoftLimit(1000);
  const DescriptorBudget budget(100);
  EXPECT_EQ(budget.ForClients(), 800);
  EXPECT_EQ(budget.ForCallers(), 900);
}

TEST_F(DescriptorsTest, AQuarterAtMostIsKeptAndALimitThatChangesCounts) {
  SetSoftLimit(1000);
  const DescriptorBudget budget(1'000'000);
  EXPECT_EQ(budget.ForClients(), 750);
  EXPECT_EQ(budget.ForCallers(), 875);
  SetSoftLimit(400);
  EXPECT_EQ(budget.ForClients(), 300);
}

TEST_F(DescriptorsTest, NothingIsKeptUnasked) {
  SetSoftLimit(1000);
  EXPECT_EQ(DescriptorBudget().ForClients(), 1000);
}

}  // namespace
}  // namespace leasehold
