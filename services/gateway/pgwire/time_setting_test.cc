#include "services/gateway/pgwire/time_setting.h"

#include <gtest/gtest.h>

namespace leasehold::gateway::pgwire {
namespace {

TEST(TimeSettingTest, IsReadAsPostgresReadsIt) {
  EXPECT_EQ(ParseTimeSetting("0"), absl::ZeroDuration());
  EXPECT_EQ(ParseTimeSetting("300"), absl::Milliseconds(300));
  EXPECT_EQ(ParseTimeSetting("10s"), absl::Seconds(10));
  EXPECT_EQ(ParseTimeSetting("  5 min "), absl::Minutes(5));
  EXPECT_EQ(ParseTimeSetting("1.5h"), absl::Minutes(90));
  EXPECT_EQ(ParseTimeSetting("1e3ms"), absl::Seconds(1));
  EXPECT_EQ(ParseTimeSetting("1600us"), absl::Milliseconds(2));
  EXPECT_EQ(ParseTimeSetting("2d"), absl::Hours(48));
  EXPECT_EQ(ParseTimeSetting("2147483647"), absl::Milliseconds(2147483647));
}

TEST(TimeSettingTest, WhatIsNone) {
  for (const char* text : {"", " ", "soon", "5 minutes", "5 Min", "-1", "2147483648", "25d", "nan", "inf", "1 s s",
                           "010", "0x10", "1..2", "s"}) {
    EXPECT_EQ(ParseTimeSetting(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace leasehold::gateway::pgwire
