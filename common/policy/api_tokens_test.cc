#include "common/policy/api_tokens.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/status/error.h"

namespace leasehold {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);

TEST(ApiTokens, AreFoundByWhatTheirHoldersShow) {
  ApiTokens tokens;
  const NewApiToken payroll = MakeApiToken("payroll", kNow, absl::InfiniteFuture());
  const NewApiToken other = MakeApiToken("other", kNow, kNow + absl::Hours(1));
  ASSERT_TRUE(tokens.Add(payroll.kept).ok());
  ASSERT_TRUE(tokens.Add(other.kept).ok());
  EXPECT_FALSE(tokens.Add(payroll.kept).ok());
  const std::string text(payroll.text.reveal());
  ASSERT_NE(tokens.Find(text), nullptr);
  EXPECT_EQ(tokens.Find(text)->name, "payroll");
  for (const std::string& stranger :
       {std::string(), text + "x", text.substr(0, text.size() - 1), text.substr(4), payroll.kept.sha256,
        "lht_" + payroll.kept.sha256.substr(0, 43), std::string("lht_' OR '1'='1")}) {
    EXPECT_EQ(tokens.Find(stranger), nullptr) << stranger;
  }
  EXPECT_TRUE(tokens.Remove("payroll"));
  EXPECT_FALSE(tokens.Remove("payroll"));
  EXPECT_EQ(tokens.Find(text), nullptr);
  ASSERT_NE(tokens.Find(other.text.reveal()), nullptr);
  EXPECT_EQ(tokens.Find(other.text.reveal())->name, "other");
}

TEST(ApiTokens, TheFileHoldsHashesOnlyAndIsReadAgain) {
  ApiTokens tokens;
  const NewApiToken payroll = MakeApiToken("payroll", kNow, kNow + absl::Hours(1));
  ASSERT_TRUE(tokens.Add(payroll.kept).ok());
  const std::string text = tokens.ToText();
  EXPECT_THAT(text, Not(HasSubstr(std::string(payroll.text.reveal().substr(4)))));
  const auto again = ApiTokens::Parse(text);
  ASSERT_TRUE(again.ok()) << again.status();
  ASSERT_EQ(again->list().size(), 1u);
  EXPECT_EQ(again->list()[0].expires, kNow + absl::Hours(1));
  EXPECT_EQ(again->list()[0].created, kNow);
  EXPECT_EQ(again->ToText(), text);
  EXPECT_NE(again->Find(payroll.text.reveal()), nullptr);
}

TEST(ApiTokens, NoTwoAreTheSame) {
  EXPECT_NE(MakeApiToken("a", kNow, kNow).text.reveal(), MakeApiToken("a", kNow, kNow).text.reveal());
}

TEST(ApiTokens, ABadLineIsNamed) {
  const std::string hash(64, 'a');
  const std::string good = "a " + hash + " 2026-01-01T00:00:00Z never\n";
  ASSERT_TRUE(ApiTokens::Parse("# x\n\n" + good).ok());
  for (const std::string& bad :
       {std::string("a"), "A! " + hash + " 2026-01-01T00:00:00Z never",
        "b " + hash.substr(1) + " 2026-01-01T00:00:00Z never", "b " + hash.substr(2) + "zz 2026-01-01T00:00:00Z never",
        std::string("b ") + std::string(64, 'b') + " today never",
        std::string("b ") + std::string(64, 'b') + " 2026-01-01T00:00:00Z soon", good}) {
    const absl::Status status = ApiTokens::Parse(good + bad).status();
    ASSERT_FALSE(status.ok()) << bad;
    EXPECT_EQ(DetailOf(status)->field(), "line 2") << bad;
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr(hash.substr(2)))) << bad;
  }
}

TEST(ApiTokens, NamesAreChecked) {
  for (const char* good : {"a", "payroll-7f9c", "a.b_c", "0"}) EXPECT_TRUE(CheckTokenName(good).ok()) << good;
  for (const char* bad : {"", "-a", "A", "a b", "a'b", "ä", ".."}) EXPECT_FALSE(CheckTokenName(bad).ok()) << bad;
}

}  // namespace
}  // namespace leasehold
