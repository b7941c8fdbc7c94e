#include "services/gateway/pool/setting_table.h"

#include <gtest/gtest.h>

#include <format>

namespace leasehold::gateway {
namespace {

TEST(SettingTableTest, EqualSetsAreTheSame) {
  SettingTable table;
  const SettingsPtr one = table.Intern({{"a", "1"}, {"b", "2"}});
  EXPECT_EQ(one, table.Intern({{"b", "2"}, {"a", "1"}}));
  EXPECT_NE(one, table.Intern({{"a", "1"}}));
  EXPECT_NE(one, table.Intern({{"a", "1"}, {"b", "3"}}));
  EXPECT_EQ(one->at("b"), "2");
}

TEST(SettingTableTest, NoneIsNull) {
  SettingTable table;
  EXPECT_EQ(table.Intern({}), nullptr);
  EXPECT_EQ(table.Without(table.Intern({{"a", "1"}}), "a"), nullptr);
  EXPECT_EQ(table.Without(nullptr, "a"), nullptr);
}

TEST(SettingTableTest, WithAndWithout) {
  SettingTable table;
  const SettingsPtr a = table.With(nullptr, "a", "1");
  const SettingsPtr ab = table.With(a, "b", "2");
  EXPECT_EQ(ab, table.Intern({{"a", "1"}, {"b", "2"}}));
  EXPECT_EQ(table.With(ab, "b", "2"), ab) << "set to what it is";
  EXPECT_EQ(table.Without(ab, "b"), a);
  EXPECT_EQ(table.Without(a, "b"), a) << "not set";
  EXPECT_EQ(a->size(), 1u) << "sets never change";
}

TEST(SettingTableTest, NamesAndValuesDoNotRunIntoEachOther) {
  SettingTable table;
  EXPECT_NE(table.Intern({{"a", "bc"}}), table.Intern({{"ab", "c"}}));
  EXPECT_NE(table.Intern({{"a", ""}, {"b", ""}}), table.Intern({{"a", "b"}}));
}

TEST(SettingTableTest, WhatIsInUseSurvivesTheSweeping) {
  SettingTable table;
  const SettingsPtr kept = table.Intern({{"kept", "1"}});
  for (int i = 0; i < 1'000; ++i) table.Intern({{"passing", std::format("{}", i)}});
  EXPECT_EQ(table.Intern({{"kept", "1"}}), kept);
}

}  // namespace
}  // namespace leasehold::gateway
