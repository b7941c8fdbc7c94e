#include "services/gateway/pool/statement.h"

#include <gmock/gmock.h>

#include <format>
#include <limits>

namespace leasehold::gateway {
namespace {

using namespace std::string_view_literals;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr size_t kMuch = std::numeric_limits<size_t>::max();

TEST(StatementTableTest, OneTextIsOneStatement) {
  StatementTable table;
  const StatementPtr one = table.Intern("select 1\0\0\0"sv, "");
  EXPECT_EQ(one, table.Intern("select 1\0\0\0"sv, ""));
  EXPECT_NE(one, table.Intern("select 1\0\0\1\0\0\0\x19"sv, "")) << "with a parameter's type";
  EXPECT_NE(one, table.Intern("select 2\0\0\0"sv, ""));
  EXPECT_EQ(one->sql(), "select 1");
  EXPECT_TRUE(one->effects.none());
}

TEST(StatementTableTest, AnotherPathIsAnotherStatement) {
  StatementTable table;
  const StatementPtr here = table.Intern("select * from t\0\0\0"sv, "");
  const StatementPtr there = table.Intern("select * from t\0\0\0"sv, "other");
  EXPECT_NE(here, there);
  EXPECT_NE(here->name, there->name);
  EXPECT_EQ(there, table.Intern("select * from t\0\0\0"sv, "other"));
}

TEST(StatementTableTest, WhatIsInUseSurvivesTheSweepingAndNamesAreNotGivenTwice) {
  StatementTable table;
  const StatementPtr kept = table.Intern("kept", "");
  const StatementPtr beside = table.Intern("kept", "path");
  std::string last;
  for (int i = 0; i < 2'000; ++i) {
    const StatementPtr passing = table.Intern(std::format("passing {}", i), std::format("{}", i % 3));
    EXPECT_NE(passing->name, last);
    last = passing->name;
  }
  EXPECT_EQ(table.Intern("kept", ""), kept);
  EXPECT_EQ(table.Intern("kept", "path"), beside);
}

class PreparedSetTest : public testing::Test {
 protected:
  StatementTable table_;
  StatementPtr a_ = table_.Intern("a", "");
  StatementPtr b_ = table_.Intern("b", "");
  StatementPtr c_ = table_.Intern("c", "");
  PreparedSet set_;
};

TEST_F(PreparedSetTest, KnowsWhenWhatWasPrepared) {
  EXPECT_EQ(set_.Use(*a_), 0u);
  EXPECT_THAT(set_.Add(a_, 7, 2, kMuch), IsEmpty());
  EXPECT_EQ(set_.Use(*a_), 7u);
  EXPECT_EQ(set_.Use(*b_), 0u);
  EXPECT_THAT(set_.Add(a_, 9, 2, kMuch), IsEmpty()) << "anew";
  EXPECT_EQ(set_.Use(*a_), 9u);
  EXPECT_EQ(set_.size(), 1u);
}

TEST_F(PreparedSetTest, TheLeastRecentlyUsedGoes) {
  set_.Add(a_, 1, 2, kMuch);
  set_.Add(b_, 2, 2, kMuch);
  set_.Use(*a_);
  EXPECT_THAT(set_.Add(c_, 3, 2, kMuch), ElementsAre(b_));
  EXPECT_EQ(set_.Use(*b_), 0u);
  EXPECT_EQ(set_.Use(*a_), 1u);
  EXPECT_EQ(set_.size(), 2u);
}

TEST_F(PreparedSetTest, SoManyGoThatTheTextsAreNotTooLongInAll) {
  const StatementPtr longer = table_.Intern(std::string(8, 'l'), "");
  set_.Add(a_, 1, 9, 10);
  set_.Add(b_, 2, 9, 10);
  set_.Add(c_, 3, 9, 10);
  EXPECT_EQ(set_.bytes(), 3u);
  set_.Use(*a_);
  EXPECT_THAT(set_.Add(longer, 4, 9, 10), ElementsAre(b_));
  EXPECT_EQ(set_.bytes(), 10u);
  EXPECT_THAT(set_.Add(longer, 5, 9, 10), IsEmpty()) << "it counts once";
  EXPECT_EQ(set_.bytes(), 10u);
  // One that is too long by itself has the server to itself.
  const StatementPtr longest = table_.Intern(std::string(11, 'x'), "");
  EXPECT_THAT(set_.Add(longest, 6, 9, 10), ElementsAre(c_, a_, longer));
  EXPECT_EQ(set_.Use(*longest), 6u);
  EXPECT_EQ(set_.bytes(), 11u);
}

TEST_F(PreparedSetTest, RemoveAndClear) {
  set_.Add(a_, 1, 5, kMuch);
  set_.Add(b_, 2, 5, kMuch);
  set_.Remove(*a_);
  set_.Remove(*c_);  // which it has not
  EXPECT_EQ(set_.Use(*a_), 0u);
  EXPECT_EQ(set_.size(), 1u);
  EXPECT_EQ(set_.bytes(), 1u);
  set_.Clear();
  EXPECT_EQ(set_.bytes(), 0u);
  EXPECT_EQ(set_.Use(*b_), 0u);
  EXPECT_EQ(set_.size(), 0u);
}

TEST_F(PreparedSetTest, AStatementLivesAsLongAsAServerKnowsIt) {
  const std::string name = a_->name;
  set_.Add(a_, 1, 5, kMuch);
  a_.reset();
  EXPECT_EQ(table_.Intern("a", "")->name, name);
}

}  // namespace
}  // namespace leasehold::gateway
