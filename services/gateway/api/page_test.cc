#include "services/gateway/api/page.h"

#include <gtest/gtest.h>

#include "common/status/error.h"

namespace leasehold::gateway {
namespace {

TEST(PageTest, SizesHaveLimits) {
  EXPECT_EQ(*PageSize(0, 100, 1000), 100);
  EXPECT_EQ(*PageSize(1000, 100, 1000), 1000);
  EXPECT_EQ(ReasonOf(PageSize(1001, 100, 1000).status()), v1::REASON_INVALID_FIELD);
  EXPECT_EQ(ReasonOf(PageSize(-1, 100, 1000).status()), v1::REASON_INVALID_FIELD);
}

TEST(PageTest, TokensBelongToTheirList) {
  const std::string token = PageToken("tenants", "acme");
  EXPECT_EQ(*PositionOf("tenants", token), "acme");
  EXPECT_EQ(*PositionOf("tenants", ""), "");
  for (const std::string& bad : {token + "x", std::string("acme"), std::string("%%%"), PageToken("tenants", ""),
                                 PageToken("tenant", "s acme"), std::string(1000, 'A')}) {
    EXPECT_EQ(ReasonOf(PositionOf("tenants", bad).status()), v1::REASON_BAD_PAGE_TOKEN) << bad;
  }
  EXPECT_EQ(ReasonOf(PositionOf("operations", token).status()), v1::REASON_BAD_PAGE_TOKEN);
}

}  // namespace
}  // namespace leasehold::gateway
