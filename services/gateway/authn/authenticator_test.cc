#include "services/gateway/authn/authenticator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/status/error.h"
#include "services/gateway/authn/testing_tokens.h"

namespace leasehold::gateway {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kIssuer[] = "https://id.example.org";

class AuthenticatorTest : public testing::Test {
 protected:
  AuthenticatorTest() : clock_(absl::FromUnixSeconds(1'800'000'000)) { authenticator_.SetIssuer(IssuerWith(key_)); }

  static JwtIssuer IssuerWith(const TestingKey& key) {
    return {.issuer = kIssuer,
            .audience = "leasehold",
            .keys = std::make_shared<const KeySet>(*KeySet::Parse(std::format(R"({{"keys":[{}]}})", key.Jwk())))};
  }
  std::string Jwt(const TestingKey& key) const {
    return key.Sign(std::format(R"({{"iss":"{}","sub":"payroll","aud":"leasehold","exp":1800000600}})", kIssuer));
  }
  // The principal, or the reason of the refusal.
  std::string Of(const std::vector<std::string_view>& headers, const std::string& certificate = "") {
    const auto principal = authenticator_.PrincipalOf({.authorization = headers, .certificate = certificate});
    return principal.ok() ? *principal : std::string(ReasonName(ReasonOf(principal.status())));
  }
  std::string Bearer(std::string_view token) { return Of({std::format("Bearer {}", token)}); }

  FakeClock clock_;
  const TestingKey key_ = TestingKey::Ed25519("a");
  Authenticator authenticator_{clock_};
};

TEST_F(AuthenticatorTest, NothingShownIsAnonymousAndACertificateIsItsName) {
  EXPECT_EQ(Of({}), "anonymous");
  EXPECT_EQ(Of({}, "spiffe://example.org/employee"), "spiffe://example.org/employee");
}

TEST_F(AuthenticatorTest, ATokenThatIsShownHasToBeGood) {
  EXPECT_EQ(Of({"Bearer x"}, "dns:good.example.org"), "BAD_TOKEN");
  EXPECT_EQ(Of({""}, "dns:good.example.org"), "BAD_TOKEN");
  EXPECT_EQ(Of({"Basic dXNlcjpwYXNz"}), "BAD_TOKEN");
  const std::string good = "bearer " + Jwt(key_);
  EXPECT_EQ(Of({good}, "dns:other.example.org"), "jwt:https://id.example.org/payroll");
  EXPECT_EQ(Of({good, good}), "BAD_TOKEN") << "two, of which one might be another's";
}

TEST_F(AuthenticatorTest, AJwtIsTakenUntilItExpires) {
  const std::string token = Jwt(key_);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Bearer(token), "jwt:https://id.example.org/payroll");
  clock_.Advance(absl::Seconds(629));
  EXPECT_EQ(Bearer(token), "jwt:https://id.example.org/payroll");
  clock_.Advance(absl::Seconds(1));
  EXPECT_EQ(Bearer(token), "BAD_TOKEN") << "although its signature is known";
}

TEST_F(AuthenticatorTest, NewKeysEndWhatOldOnesSigned) {
  const std::string token = Jwt(key_);
  EXPECT_EQ(Bearer(token), "jwt:https://id.example.org/payroll");
  const TestingKey next = TestingKey::Ed25519("b");
  authenticator_.SetIssuer(IssuerWith(next));
  EXPECT_EQ(Bearer(token), "BAD_TOKEN");
  EXPECT_EQ(Bearer(Jwt(next)), "jwt:https://id.example.org/payroll");
}

TEST_F(AuthenticatorTest, ApiTokensUntilTheyExpireOrAreRevoked) {
  const NewApiToken payroll = MakeApiToken("payroll", clock_.Now(), absl::InfiniteFuture());
  const NewApiToken brief = MakeApiToken("brief", clock_.Now(), clock_.Now() + absl::Hours(1));
  ApiTokens tokens;
  ASSERT_TRUE(tokens.Add(payroll.kept).ok());
  ASSERT_TRUE(tokens.Add(brief.kept).ok());
  EXPECT_EQ(Bearer(payroll.text.reveal()), "BAD_TOKEN");
  authenticator_.SetTokens(tokens);
  EXPECT_EQ(Bearer(payroll.text.reveal()), "token:payroll");
  EXPECT_EQ(Bearer(brief.text.reveal()), "token:brief");
  clock_.Advance(absl::Hours(1));
  EXPECT_EQ(Bearer(brief.text.reveal()), "BAD_TOKEN");
  ASSERT_TRUE(tokens.Remove("payroll"));
  authenticator_.SetTokens(tokens);
  EXPECT_EQ(Bearer(payroll.text.reveal()), "BAD_TOKEN");
}

TEST_F(AuthenticatorTest, ARefusalHoldsNothingOfTheToken) {
  const std::string secret = "lht_" + std::string(43, 'S');
  const auto refused = authenticator_.PrincipalOf({.authorization = {"Bearer " + secret}, .certificate = ""});
  EXPECT_THAT(std::string(refused.status().message()), Not(HasSubstr("SSS")));
}

}  // namespace
}  // namespace leasehold::gateway
