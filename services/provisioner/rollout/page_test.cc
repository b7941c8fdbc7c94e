#include "services/provisioner/rollout/page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/status/error.h"

namespace leasehold::provisioner {
namespace {

TEST(PageTest, ATokenIsTheNumberOfADatabase) {
  EXPECT_EQ(PageOf(0, "")->begin, 0);
  EXPECT_EQ(PageOf(0, "")->end, 1000);
  EXPECT_EQ(PageOf(3, "1000")->begin, 1000);
  EXPECT_EQ(PageOf(3, "1000")->end, 1003);
  for (const std::string bad :
       {"x", "0", "-1", "+1", " 1", "1 ", "1x", "0x10", "1.5", "4294967296", "18446744073709551615", "acme"}) {
    const absl::Status status = PageOf(3, bad).status();
    EXPECT_EQ(ReasonOf(status), v1::REASON_BAD_PAGE_TOKEN) << bad;
    EXPECT_THAT(std::string(status.message()), testing::HasSubstr("page_token")) << bad;
  }
}

TEST(PageTest, SizesHaveLimits) {
  EXPECT_EQ(*PageSize(0, 200, 500), 200);
  EXPECT_EQ(*PageSize(500, 200, 500), 500);
  for (const int bad : {-1, 501}) {
    EXPECT_EQ(ReasonOf(PageSize(bad, 200, 500).status()), v1::REASON_INVALID_FIELD) << bad;
  }
  EXPECT_THAT(std::string(PageOf(1001, "").status().message()),
              testing::HasSubstr("page_size is '1001'; allowed: 0 to 1000"));
}

TEST(PageTest, ATaskTokenIsWhatTheyAreOrderedBy) {
  for (const std::string good : {"", "true tenant_acme_identity", "false identity_central"}) {
    EXPECT_TRUE(CheckTaskToken(good).ok()) << good;
  }
  for (const std::string& bad :
       {std::string("5"), std::string("true"), std::string("true "), std::string("maybe tenant_acme_identity"),
        "true " + std::string(64, 'x'), std::string("true a\0b", 8), std::string("true a b")}) {
    EXPECT_EQ(ReasonOf(CheckTaskToken(bad)), v1::REASON_BAD_PAGE_TOKEN) << bad;
  }
}

}  // namespace
}  // namespace leasehold::provisioner
