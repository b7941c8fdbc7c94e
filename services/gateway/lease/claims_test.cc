#include "services/gateway/lease/claims.h"

#include <gmock/gmock.h>

#include "common/identity/identity.h"
#include "common/secret/secret.h"
#include "common/status/error.h"

namespace leasehold::gateway {
namespace {

v1::LeaseClaims Valid() {
  v1::LeaseClaims claims;
  claims.set_id(std::string(16, '\x01'));
  claims.set_key_id(7);
  claims.set_service("identity");
  claims.set_tenant("acme");
  claims.set_database_id("0123456789abcdef");
  claims.set_access(v1::ACCESS_READ_WRITE);
  claims.set_issue_ms(1'800'000'000'000);
  claims.set_expire_ms(1'800'000'900'000);
  claims.add_switch_to("globex-*");
  claims.set_holder_hash(HolderHash("payroll"));
  return claims;
}

std::string Raw(std::string_view bytes) { return std::string(kUserNamePrefix) + Base64Url(bytes); }

TEST(Claims, UserNameCarriesAllOfThem) {
  const v1::LeaseClaims claims = Valid();
  const std::string name = UserNameOf(claims);
  EXPECT_THAT(name, testing::MatchesRegex("lh1\\.[A-Za-z0-9_-]+"));
  const auto parsed = ParseUserName(name);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->SerializeAsString(), claims.SerializeAsString());
}

TEST(Claims, LargestLeaseFitsTheUserName) {
  v1::LeaseClaims claims = Valid();
  claims.set_id(std::string(16, '\xff'));
  claims.set_key_id(0xffffffff);
  claims.set_service("a234567890123456");
  claims.set_tenant("123456789012345678901234567890123456");
  claims.set_holder_hash(~uint64_t{0});
  claims.set_session(true);
  claims.set_expire_ms((int64_t{1} << 48) - 1);
  claims.set_issue_ms(claims.expire_ms() - 1);
  claims.clear_switch_to();
  for (int i = 0; i < kMaxSwitchGlobs; ++i) claims.add_switch_to(std::string(kMaxSwitchBytes / kMaxSwitchGlobs, 'a'));
  const std::string name = UserNameOf(claims);
  EXPECT_LE(name.size(), kMaxUserName);
  EXPECT_TRUE(ParseUserName(name).ok());
  claims.set_switch_to(0, claims.switch_to(0) + "a");
  EXPECT_FALSE(ParseUserName(UserNameOf(claims)).ok());
}

TEST(Claims, EveryRefusalReadsTheSame) {
  const std::string good = UserNameOf(Valid());
  for (const std::string& bad :
       {std::string(), std::string("postgres"), std::string("lh1."), std::string("lh2.") + good.substr(4), good + "=",
        good + "A", good.substr(0, good.size() - 2), std::string(kUserNamePrefix) + "!!!!",
        std::string(kUserNamePrefix) + std::string(5000, 'A'), Raw("\xff\xff\xff")}) {
    EXPECT_EQ(ParseUserName(bad).status(), BadCredentials()) << bad;
  }
  EXPECT_EQ(ReasonOf(BadCredentials()), v1::REASON_BAD_CREDENTIALS);
}

TEST(Claims, OtherSpellingsOfTheSameClaimsAreRefused) {
  const std::string bytes = Valid().SerializeAsString();
  EXPECT_TRUE(ParseUserName(Raw(bytes)).ok());
  EXPECT_FALSE(ParseUserName(Raw(bytes + std::string("\x58\x00", 2))).ok()) << "a default value spelled out";
  EXPECT_FALSE(ParseUserName(Raw(bytes + std::string("\xf8\x07\x01", 3))).ok()) << "an unknown field";
  EXPECT_FALSE(ParseUserName(Raw(bytes + std::string("\x10\x07", 2))).ok()) << "a field twice";
}

TEST(Claims, EachFieldKeepsToItsGrammar) {
  const std::vector<std::function<void(v1::LeaseClaims&)>> breaks = {
      [](auto& c) { c.set_id("short"); },
      [](auto& c) { c.set_service("identity-service"); },
      [](auto& c) { c.set_service("Identity"); },
      [](auto& c) { c.set_tenant("ac_me"); },
      [](auto& c) { c.clear_tenant(); },
      [](auto& c) { c.set_connection("central"); },
      [](auto& c) { c.set_database_id("0123456789ABCDEF"); },
      [](auto& c) { c.clear_database_id(); },
      [](auto& c) { c.clear_access(); },
      [](auto& c) { c.set_access(static_cast<v1::Access>(9)); },
      [](auto& c) { c.set_issue_ms(c.expire_ms()); },
      [](auto& c) { c.set_issue_ms(-1); },
      [](auto& c) { c.set_expire_ms(int64_t{1} << 48); },
      [](auto& c) { c.add_switch_to("Ac*"); },
      [](auto& c) {
        for (int i = 0; i < kMaxSwitchGlobs; ++i) c.add_switch_to("a");
      },
  };
  for (size_t i = 0; i < breaks.size(); ++i) {
    v1::LeaseClaims claims = Valid();
    breaks[i](claims);
    EXPECT_EQ(ReasonOf(CheckClaims(claims)), v1::REASON_INVALID_FIELD) << i;
    EXPECT_EQ(ParseUserName(UserNameOf(claims)).status(), BadCredentials()) << i;
  }
}

TEST(Claims, NamedConnectionHasNoTenant) {
  v1::LeaseClaims claims = Valid();
  claims.clear_tenant();
  claims.clear_database_id();
  claims.set_connection("central");
  EXPECT_TRUE(ParseUserName(UserNameOf(claims)).ok());
  claims.set_connection("other");
  EXPECT_FALSE(ParseUserName(UserNameOf(claims)).ok());
}

TEST(Claims, HolderHashTellsHoldersApart) {
  EXPECT_EQ(HolderHash(""), 0u);
  EXPECT_NE(HolderHash("a"), HolderHash("b"));
  EXPECT_EQ(HolderHash("a"), 0xca978112ca1bbdcau);  // the head of SHA-256("a")
}

}  // namespace
}  // namespace leasehold::gateway
