#include "services/gateway/authn/jwt.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/status/error.h"
#include "services/gateway/authn/testing_tokens.h"

namespace leasehold::gateway {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kIssuer[] = "https://id.example.org";
const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);

std::string Claims(std::string_view more = "") {
  return std::format(R"({{"iss":"{}","sub":"payroll","aud":"leasehold","exp":1800000600{}}})", kIssuer, more);
}

class JwtTest : public testing::Test {
 protected:
  JwtTest() {
    absl::StatusOr<KeySet> keys =
        KeySet::Parse(std::format(R"({{"keys":[{},{},{}]}})", rsa_.Jwk(), p256_.Jwk(R"(,"use":"sig")"), ed_.Jwk()));
    EXPECT_TRUE(keys.ok()) << keys.status();
    issuer_.keys = std::make_shared<const KeySet>(*std::move(keys));
  }

  absl::Status Check(const std::string& token, absl::Time now = kNow) const {
    const absl::StatusOr<Jwt> jwt = ParseJwt(token);
    if (!jwt.ok()) return jwt.status();
    if (absl::Status origin = CheckOrigin(*jwt, issuer_); !origin.ok()) return origin;
    return CheckTime(now, jwt->not_before, jwt->expiry);
  }
  // Refused as a bad token, and nothing of the token in the answer.
  void ExpectBad(const std::string& token, std::string_view why, absl::Time now = kNow) const {
    const absl::Status status = Check(token, now);
    EXPECT_EQ(ReasonOf(status), v1::REASON_BAD_TOKEN) << why << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(std::string(why)));
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr("payroll")));
  }

  // Made once: a key of RSA takes a while.
  static const TestingKey& SharedRsa() {
    static const auto& key = *new TestingKey(TestingKey::Rsa("r"));
    return key;
  }
  const TestingKey& rsa_ = SharedRsa();
  const TestingKey p256_ = TestingKey::P256("p");
  const TestingKey ed_ = TestingKey::Ed25519("e");
  JwtIssuer issuer_{.issuer = kIssuer, .audience = "leasehold", .keys = nullptr};
};

TEST_F(JwtTest, EachAlgorithmIsTaken) {
  for (const TestingKey* key : {&rsa_, &p256_, &ed_}) {
    EXPECT_TRUE(Check(key->Sign(Claims())).ok()) << key->algorithm() << Check(key->Sign(Claims()));
    const std::string no_kid = std::format(R"({{"alg":"{}"}})", key->algorithm());
    EXPECT_TRUE(Check(key->Sign(no_kid, Claims())).ok()) << "the only key of its kind";
  }
  const auto jwt = ParseJwt(ed_.Sign(Claims()));
  ASSERT_TRUE(jwt.ok());
  EXPECT_EQ(jwt->subject, "payroll");
}

TEST_F(JwtTest, ATokenOfKubernetesFits) {
  const std::string claims = std::format(
      R"({{"aud":["leasehold","https://kubernetes.default.svc"],"exp":1800000600,"iat":1799997000,"nbf":1799997000,)"
      R"("iss":"{}","jti":"f3a1","sub":"system:serviceaccount:prod:employee",)"
      R"("kubernetes.io":{{"namespace":"prod","serviceaccount":{{"name":"employee","uid":"1b2c"}},"pod":{{"name":"x"}}}}}})",
      kIssuer);
  EXPECT_TRUE(Check(rsa_.Sign(claims)).ok()) << Check(rsa_.Sign(claims));
  EXPECT_EQ(ParseJwt(rsa_.Sign(claims))->subject, "system:serviceaccount:prod:employee");
}

TEST_F(JwtTest, WhatIsTamperedWithIsRefused) {
  for (const TestingKey* key : {&rsa_, &p256_, &ed_}) {
    const std::string good = key->Sign(Claims());
    const size_t first = good.find('.');
    const size_t second = good.rfind('.');
    const std::string other =
        Base64Url(std::format(R"({{"iss":"{}","sub":"admin","aud":"leasehold","exp":1800000600}})", kIssuer));
    ExpectBad(good.substr(0, first + 1) + other + good.substr(second), "no key of its issuer has signed it");
    // Every byte of the signature counts.
    for (size_t i = second + 1; i + 1 < good.size(); i += 7) {
      std::string bent = good;
      bent[i] = bent[i] == 'A' ? 'B' : 'A';
      ExpectBad(bent, "the bearer token is not valid");
    }
    ExpectBad(good.substr(0, second + 1), "it has no signature");
    ExpectBad(good.substr(0, second), "three parts");
    ExpectBad(good + "." + good, "three parts");
    ExpectBad(good.substr(0, good.size() - 8), "the bearer token is not valid");
  }
}

TEST_F(JwtTest, NoneIsNoAlgorithm) {
  for (const char* alg : {"none", "None", "NONE", "nOnE", "", "RS384", "PS256", "ES256K", "HS256", "rs256"}) {
    const std::string header = std::format(R"({{"alg":"{}"}})", alg);
    const std::string unsigned_text = Base64Url(header) + "." + Base64Url(Claims());
    ExpectBad(unsigned_text + ".", "its algorithm is none of");
    ExpectBad(unsigned_text + "." + Base64Url("x"), "its algorithm is none of");
  }
  ExpectBad(rsa_.Sign(R"({"typ":"JWT"})", Claims()), "its algorithm is none of");
  ExpectBad(rsa_.Sign(R"({"alg":["RS256"]})", Claims()), "its algorithm is none of");
}

TEST_F(JwtTest, AKeyIsNotUsedAsAnotherKind) {
  // The public key as an HMAC's secret, in the forms that verifiers have fallen for.
  for (const std::string& secret : {rsa_.PublicPem(), rsa_.Jwk(), std::string()}) {
    ExpectBad(SignHs256(Claims(), secret, "r"), "its algorithm is none of");
  }
  // A header that claims another kind of key than the one that its kid names.
  ExpectBad(ed_.Sign(R"({"alg":"RS256","kid":"e"})", Claims()), "no key of its issuer has signed it");
  ExpectBad(ed_.Sign(R"({"alg":"EdDSA","kid":"r"})", Claims()), "no key of its issuer has signed it");
  ExpectBad(p256_.Sign(R"({"alg":"EdDSA","kid":"p"})", Claims()), "no key of its issuer has signed it");
}

TEST_F(JwtTest, KeysThatATokenBringsAlongAreNotLookedAt) {
  const TestingKey mine = TestingKey::Ed25519("mine");
  ExpectBad(mine.Sign(std::format(R"({{"alg":"EdDSA","kid":"e","jwk":{}}})", mine.Jwk()), Claims()),
            "no key of its issuer has signed it");
  ExpectBad(mine.Sign(R"({"alg":"EdDSA","jku":"https://evil.example.org/keys"})", Claims()),
            "no key of its issuer has signed it");
  ExpectBad(mine.Sign(Claims()), "no key of its issuer has signed it");  // an unknown kid
  ExpectBad(ed_.Sign(R"({"alg":"EdDSA","kid":"e","crit":["exp"]})", Claims()), "critical");
  ExpectBad(ed_.Sign(R"({"alg":"EdDSA","kid":7})", Claims()), "kid");
  ExpectBad(ed_.Sign(R"({"alg":"EdDSA","kid":"../../etc/passwd"})", Claims()), "no key of its issuer has signed it");
  ExpectBad(ed_.Sign(R"({"alg":"EdDSA","kid":"' OR 1=1 --"})", Claims()), "no key of its issuer has signed it");
}

TEST_F(JwtTest, TimesAreKeptToWithALittleLeeway) {
  const std::string good = ed_.Sign(Claims(R"(,"nbf":1799999900)"));
  const absl::Time expiry = absl::FromUnixSeconds(1'800'000'600);
  const absl::Time begin = absl::FromUnixSeconds(1'799'999'900);
  EXPECT_TRUE(Check(good, expiry + absl::Seconds(29)).ok());
  ExpectBad(good, "it has expired", expiry + absl::Seconds(30));
  ExpectBad(good, "it has expired", expiry + absl::Hours(10000));
  EXPECT_TRUE(Check(good, begin - absl::Seconds(30)).ok());
  ExpectBad(good, "its time has not come yet", begin - absl::Seconds(31));
  const auto with = [&](std::string_view exp) {
    return ed_.Sign(std::format(R"({{"iss":"{}","sub":"payroll","aud":"leasehold"{}}})", kIssuer, exp));
  };
  for (const char* exp : {"", R"(,"exp":"1800000600")", R"(,"exp":null)", R"(,"exp":-1)", R"(,"exp":1e300)",
                          R"(,"exp":[1800000600])", R"(,"exp":true)"}) {
    ExpectBad(with(exp), "time of expiry");
  }
  ExpectBad(ed_.Sign(Claims(R"(,"nbf":"soon")")), "its nbf is no time");
}

TEST_F(JwtTest, IssuerAndAudienceAreToTheLetter) {
  const auto with = [&](std::string_view iss, std::string_view aud) {
    return ed_.Sign(std::format(R"({{"iss":{},"sub":"payroll","aud":{},"exp":1800000600}})", iss, aud));
  };
  const std::string issuer = std::format("\"{}\"", kIssuer);
  EXPECT_TRUE(Check(with(issuer, R"(["x","leasehold"])")).ok());
  for (const char* aud : {R"("Leasehold")", R"("leasehold2")", R"("")", "[]", "null", R"(["leasehol"])",
                          R"([["leasehold"]])", R"({"leasehold":1})", R"(["leasehold",1])"}) {
    ExpectBad(with(issuer, aud), "audience");
  }
  for (const char* iss :
       {R"("https://id.example.org/")", R"("HTTPS://id.example.org")", R"("https://evil.example.org")"}) {
    ExpectBad(with(iss, R"("leasehold")"), "its issuer is not known here");
  }
  ExpectBad(with("null", R"("leasehold")"), "it names no issuer");
  for (const char* sub : {R"("")", "null", "7", R"("a\u0000b")", R"("a\nb")"}) {
    ExpectBad(ed_.Sign(std::format(R"({{"iss":"{}","sub":{},"aud":"leasehold","exp":1800000600}})", kIssuer, sub)),
              "it names no subject");
  }
  ExpectBad(ed_.Sign(std::format(R"({{"iss":"{}","sub":"{}","aud":"leasehold","exp":1800000600}})", kIssuer,
                                 std::string(257, 'x'))),
            "it names no subject");
}

TEST_F(JwtTest, WhatIsNoTokenIsRefused) {
  for (const std::string& text :
       {std::string(), std::string("."), std::string(".."), std::string("..."), std::string("a.b.c"),
        std::string("' OR '1'='1"), std::string("lht_abc"), std::string("\xff\xfe.\xff.\xff"),
        Base64Url("{}") + "." + Base64Url("{}") + "." + Base64Url("x"), Base64Url("[]") + "." + Base64Url("[]") + ".AA",
        Base64Url("{'alg':'EdDSA'}") + "." + Base64Url(Claims()) + ".AA"}) {
    ExpectBad(text, "the bearer token is not valid");
  }
  ExpectBad(ed_.Sign(Claims(std::format(R"(,"x":"{}")", std::string(kMaxJwt, 'x')))), "longer than");
  const std::string deep = std::string(1000, '[') + std::string(1000, ']');
  ExpectBad(ed_.Sign(Claims(std::format(R"(,"x":{})", deep))), "not JSON");
}

TEST(KeySet, WhatCannotBeUsedIsNamed) {
  const TestingKey ed = TestingKey::Ed25519("a");
  const auto field_of = [](const std::string& text) {
    const absl::Status status = KeySet::Parse(text).status();
    const auto detail = DetailOf(status);
    return detail ? detail->field() : "?" + std::string(status.message());
  };
  const auto keys = [](std::string_view text) { return std::format(R"({{"keys":[{}]}})", text); };
  EXPECT_EQ(field_of(""), "keys");
  EXPECT_EQ(field_of("[]"), "keys");
  EXPECT_EQ(field_of(R"({"keys":{}})"), "keys");
  EXPECT_EQ(field_of(keys("")), "keys");
  EXPECT_EQ(field_of(keys("7")), "keys[0]");
  EXPECT_EQ(field_of(keys(ed.Jwk() + "," + ed.Jwk())), "keys[1].kid");
  EXPECT_EQ(field_of(keys(ed.Jwk(R"(,"d":"AA")"))), "keys[0]");
  EXPECT_EQ(field_of(keys(R"({"kty":"oct","k":"AAAA"})")), "keys[0]");
  EXPECT_EQ(field_of(keys(R"({"kty":"OKP","crv":"Ed25519","x":"AAAA"})")), "keys[0].x");
  EXPECT_EQ(field_of(keys(R"({"kty":"RSA","e":"AQAB"})")), "keys[0].n");
  EXPECT_EQ(field_of(keys(TestingKey::Rsa("s", 1024).Jwk())), "keys[0].n");
  const std::string zeros = Base64Url(std::string(32, '\0'));
  EXPECT_EQ(field_of(keys(std::format(R"({{"kty":"EC","crv":"P-256","x":"{}","y":"{}"}})", zeros, zeros))), "keys[0]")
      << "a point that is not on the curve";
}

TEST(KeySet, KeysOfOtherKindsAndUsesAreSkipped) {
  const TestingKey ed = TestingKey::Ed25519("a");
  const TestingKey other = TestingKey::Ed25519("b");
  const auto keys = KeySet::Parse(std::format(
      R"({{"keys":[{},{},{{"kty":"EC","crv":"P-384","x":"AA","y":"AA"}},{{"kty":"OKP","crv":"X25519","x":"AA"}},{}]}})",
      ed.Jwk(R"(,"alg":"EdDSA")"), other.Jwk(R"(,"use":"enc")"), TestingKey::Ed25519("c").Jwk(R"(,"alg":"RS256")")));
  ASSERT_TRUE(keys.ok()) << keys.status();
  EXPECT_EQ(keys->size(), 1u);
}

TEST(KeySet, WithoutAKidTheOnlyKeyOfTheKindCounts) {
  const TestingKey a = TestingKey::Ed25519("a");
  const TestingKey b = TestingKey::Ed25519("b");
  const auto keys = KeySet::Parse(std::format(R"({{"keys":[{},{}]}})", a.Jwk(), b.Jwk()));
  ASSERT_TRUE(keys.ok());
  const auto jwt = ParseJwt(a.Sign(R"({"alg":"EdDSA"})", Claims()));
  ASSERT_TRUE(jwt.ok());
  EXPECT_FALSE(keys->Verifies("", jwt->algorithm, jwt->signed_text, jwt->signature));
  EXPECT_TRUE(keys->Verifies("a", jwt->algorithm, jwt->signed_text, jwt->signature));
  EXPECT_FALSE(keys->Verifies("b", jwt->algorithm, jwt->signed_text, jwt->signature));
}

}  // namespace
}  // namespace leasehold::gateway
