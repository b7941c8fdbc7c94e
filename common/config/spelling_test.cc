#include "common/config/spelling.h"

#include <gtest/gtest.h>

#include <vector>

namespace leasehold {
namespace {

TEST(NearestWord, FindsSlipsOfTheFinger) {
  const std::vector<std::string> known = {"acquire", "hold", "list", "release", "renew", "revoke", "show", "switch"};
  EXPECT_EQ(NearestWord("aquire", known), "acquire");
  EXPECT_EQ(NearestWord("lsit", known), "list");
  EXPECT_EQ(NearestWord("relaese", known), "release");
  EXPECT_EQ(NearestWord("Show", known), "show");
  EXPECT_EQ(NearestWord("bogus", known), std::nullopt);
  EXPECT_EQ(NearestWord("", known), std::nullopt);
  EXPECT_EQ(NearestWord(std::string(5000, 'a'), known), std::nullopt);
  EXPECT_EQ(NearestWord("list", {}), std::nullopt);
}

TEST(SpellingHint, ListsAllWhereNothingIsNear) {
  const std::vector<std::string> known = {"url", "replicas"};
  EXPECT_EQ(SpellingHint("ulr", known), "did you mean url?");
  EXPECT_EQ(SpellingHint("something_else", known), "known here: url, replicas");
}

}  // namespace
}  // namespace leasehold
