#include "services/provisioner/reconcile/turns.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace leasehold::provisioner {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TenantId Id(std::string_view text) { return *TenantId::Parse(text); }

TEST(Turns, AsManyAsThereMayBeAndThenInOrder) {
  std::vector<TenantId> again;
  Turns turns(2, [&again](const TenantId& id) { again.push_back(id); });
  EXPECT_TRUE(turns.Begin(Id("a")));
  EXPECT_TRUE(turns.Begin(Id("b")));
  EXPECT_FALSE(turns.Begin(Id("z")));
  EXPECT_FALSE(turns.Begin(Id("c")));
  EXPECT_THAT(again, IsEmpty());
  turns.End();
  EXPECT_THAT(again, ElementsAre(Id("z")));
  EXPECT_TRUE(turns.Begin(Id("z")));
  EXPECT_FALSE(turns.Begin(Id("d"))) << "the other is not over";
  turns.End();
  turns.End();
  EXPECT_THAT(again, ElementsAre(Id("z"), Id("c"), Id("d")));
  EXPECT_TRUE(turns.Begin(Id("e"))) << "one that is told need not come";
}

TEST(Turns, WhoeverAsksTwiceWaitsOnce) {
  std::vector<TenantId> again;
  Turns turns(1, [&again](const TenantId& id) { again.push_back(id); });
  ASSERT_TRUE(turns.Begin(Id("a")));
  EXPECT_FALSE(turns.Begin(Id("b")));
  EXPECT_FALSE(turns.Begin(Id("b")));
  turns.End();
  ASSERT_TRUE(turns.Begin(Id("b")));
  turns.End();
  EXPECT_THAT(again, ElementsAre(Id("b")));
}

}  // namespace
}  // namespace leasehold::provisioner
