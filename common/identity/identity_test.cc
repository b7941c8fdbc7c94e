#include "common/identity/identity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "common/status/error.h"

namespace leasehold {
namespace {

TenantId Tenant(std::string_view text) { return TenantId::Parse(text).value(); }
ServiceName Service(std::string_view text) { return ServiceName::Parse(text).value(); }

TEST(TenantId, TakesItsGrammar) {
  for (const std::string& text : {std::string("a"), std::string("0"), std::string("acme"), std::string("a-b--c"),
                                  std::string("3f2504e0-4f89-11d3-9a0c-0305e82c3301"), std::string(36, 'x')}) {
    const absl::StatusOr<TenantId> id = TenantId::Parse(text);
    ASSERT_TRUE(id.ok()) << id.status();
    EXPECT_EQ(id->str(), text);
  }
}

TEST(TenantId, RefusesTheRestWithFieldValueAndAllowed) {
  for (const std::string& text :
       {std::string(), std::string("-"), std::string("-a"), std::string("a-"), std::string("Acme"), std::string("a_b"),
        std::string("a b"), std::string("a.b"), std::string("a\0b", 3), std::string("ä"), std::string(37, 'x')}) {
    const absl::Status status = TenantId::Parse(text).status();
    EXPECT_EQ(ReasonOf(status), v1::REASON_INVALID_FIELD) << text;
    EXPECT_EQ(DetailOf(status)->field(), "tenant");
    EXPECT_EQ(DetailOf(status)->value(), Printable(text));
    EXPECT_FALSE(DetailOf(status)->allowed().empty());
  }
}

TEST(ServiceName, DropsTheSuffix) {
  EXPECT_EQ(Service("identity").str(), "identity");
  EXPECT_EQ(Service("identity-service").str(), "identity");
  EXPECT_EQ(Service("abcdefghijklmnop-service").str(), "abcdefghijklmnop");
  EXPECT_EQ(Service("service").str(), "service");
  EXPECT_EQ(Service("a").str(), "a");
  EXPECT_EQ(Service("a-").str(), "a-");
}

TEST(ServiceName, OfAParsedNameIsTheSameName) {
  for (const std::string_view text : {"a-service-service", "self-service", "service-service", "x"}) {
    const ServiceName once = Service(text);
    EXPECT_EQ(Service(once.str()), once);
  }
}

TEST(ServiceName, RefusesTheRest) {
  for (const std::string_view text :
       {"", "-service", "1st", "-a", "Identity", "a_b", "a b", "abcdefghijklmnopq", "identity-Service"}) {
    const absl::Status status = ServiceName::Parse(text).status();
    EXPECT_EQ(ReasonOf(status), v1::REASON_INVALID_FIELD) << text;
    EXPECT_EQ(DetailOf(status)->field(), "service");
    EXPECT_EQ(DetailOf(status)->value(), text);
  }
}

TEST(DatabaseName, IsBuiltFromBoth) {
  EXPECT_EQ(TenantDatabaseName(Tenant("acme"), Service("identity")), "tenant_acme_identity");
  EXPECT_EQ(TenantReadOnlyRole(Tenant("acme"), Service("identity")), "tenant_acme_identity_ro");
  EXPECT_EQ(CentralRole(Service("identity")), "identity_central");
  EXPECT_EQ(CentralReadOnlyRole(Service("identity")), "identity_central_ro");
}

TEST(DatabaseName, StaysWithinNameDataLen) {
  EXPECT_EQ(TenantReadOnlyRole(Tenant(std::string(36, 'x')), Service(std::string(16, 'y'))).size(), 63u);
}

TEST(TenantOfDatabase, IsTheInverse) {
  for (const std::string_view tenant : {"acme", "a-b", "identity", "tenant", "0"}) {
    for (const std::string_view service : {"identity", "a-b", "tenant", "ro"}) {
      EXPECT_EQ(TenantOfDatabase(TenantDatabaseName(Tenant(tenant), Service(service)), Service(service)),
                Tenant(tenant));
    }
  }
}

TEST(TenantOfDatabase, KnowsWhatIsNotOurs) {
  const ServiceName identity = Service("identity");
  for (const std::string_view name :
       {"", "postgres", "identity_central", "tenant_identity", "tenant__identity", "tenant_acme_employee",
        "tenant_acme_identity_ro", "tenant_ACME_identity", "tenant_a_b_identity", "xtenant_acme_identity",
        "tenant_acme_identityx", "tenant_acmeidentity"}) {
    EXPECT_EQ(TenantOfDatabase(name, identity), std::nullopt) << name;
  }
  EXPECT_EQ(TenantOfDatabase("tenant_x", Service("x")), std::nullopt);
}

TEST(Domain, IsFoldedAndChecked) {
  EXPECT_EQ(ParseDomain("acme.hrms.local").value(), "acme.hrms.local");
  EXPECT_EQ(ParseDomain("ACME.Example.COM").value(), "acme.example.com");
  EXPECT_EQ(ParseDomain("localhost").value(), "localhost");
  EXPECT_EQ(ParseDomain("xn--bcher-kva.example").value(), "xn--bcher-kva.example");
  const std::string label(63, 'a');
  const std::string longest = label + "." + label + "." + label + "." + std::string(61, 'b');
  EXPECT_EQ(longest.size(), 253u);
  EXPECT_TRUE(ParseDomain(longest).ok());
  for (const std::string& text :
       {std::string(), std::string("."), std::string("a."), std::string(".a"), std::string("a..b"), std::string("-a.b"),
        std::string("a-.b"), std::string("a_b.c"), std::string("a b"), std::string("bücher.example"), label + "a.b",
        longest + "b", std::string("a:80")}) {
    const absl::Status status = ParseDomain(text).status();
    EXPECT_EQ(ReasonOf(status), v1::REASON_INVALID_FIELD) << text;
    EXPECT_EQ(DetailOf(status)->field(), "domain");
  }
}

TEST(DisplayName, CountsCharactersNotBytes) {
  EXPECT_EQ(ParseDisplayName("Acme Corporation").value(), "Acme Corporation");
  EXPECT_EQ(ParseDisplayName("株式会社").value(), "株式会社");
  std::string most;
  for (int i = 0; i < 200; ++i) most += "é";
  EXPECT_TRUE(ParseDisplayName(most).ok());
  for (const std::string& text :
       {std::string(), most + "x", std::string("a\nb"), std::string("a\0b", 3), std::string("\xff"),
        std::string("a\u202eb"), std::string("\x7f"), std::string("\xc3")}) {
    const absl::Status status = ParseDisplayName(text).status();
    EXPECT_EQ(ReasonOf(status), v1::REASON_INVALID_FIELD);
    EXPECT_EQ(DetailOf(status)->field(), "name");
  }
}

TEST(TenantGlob, TakesIdsWithStars) {
  for (const std::string_view text : {"*", "acme", "acme-*", "*-eu-*", "-", "**"}) {
    EXPECT_EQ(ParseTenantGlob(text).value(), text);
  }
  EXPECT_TRUE(ParseTenantGlob(std::string(64, '*')).ok());
  for (const std::string& text : {std::string(), std::string(65, 'a'), std::string("A"), std::string("a?"),
                                  std::string("[a]"), std::string("a_b"), std::string("%")}) {
    const absl::Status status = ParseTenantGlob(text).status();
    EXPECT_EQ(ReasonOf(status), v1::REASON_INVALID_FIELD) << text;
    EXPECT_EQ(DetailOf(status)->field(), "switch_to");
  }
}

TEST(GlobMatches, StarsAndLetters) {
  for (const auto& [glob, text] : std::initializer_list<std::pair<std::string_view, std::string_view>>{
           {"*", ""},
           {"*", "acme"},
           {"", ""},
           {"acme", "acme"},
           {"acme*", "acme"},
           {"acme-*", "acme-eu"},
           {"*-eu", "acme-eu"},
           {"a*e", "acme"},
           {"*a*", "xay"},
           {"*ab", "aab"},
           {"a*b*c", "aXbXbXcXc"},
           {"**", "x"},
       }) {
    EXPECT_TRUE(GlobMatches(glob, text)) << glob << " " << text;
  }
  for (const auto& [glob, text] : std::initializer_list<std::pair<std::string_view, std::string_view>>{
           {"", "a"},
           {"acme", "acme2"},
           {"acme", "xacme"},
           {"acme-*", "acme"},
           {"*-eu", "acme-eu2"},
           {"a*b*c", "acb"},
           {"*ab*ab", "ab"},
           {"a", ""},
           {"*a", "b"},
       }) {
    EXPECT_FALSE(GlobMatches(glob, text)) << glob << " " << text;
  }
}

// The obvious recursive definition; exponential, so only for short texts.
bool Matches(std::string_view glob, std::string_view text) {
  if (glob.empty()) return text.empty();
  if (glob[0] == '*') return Matches(glob.substr(1), text) || (!text.empty() && Matches(glob, text.substr(1)));
  return !text.empty() && glob[0] == text[0] && Matches(glob.substr(1), text.substr(1));
}

// Every word of up to `length` letters of `alphabet`.
std::vector<std::string> Words(std::string_view alphabet, size_t length) {
  std::vector<std::string> words = {""};
  for (size_t begin = 0, n = 0; n < length; ++n) {
    const size_t end = words.size();
    for (; begin < end; ++begin) {
      for (const char c : alphabet) words.push_back(words[begin] + c);
    }
  }
  return words;
}

TEST(GlobMatches, AgreesWithTheDefinition) {
  for (const std::string& glob : Words("ab*", 5)) {
    for (const std::string& text : Words("ab", 5)) {
      ASSERT_EQ(GlobMatches(glob, text), Matches(glob, text)) << glob << " " << text;
    }
  }
}

// A backtracking matcher would take longer than the universe has for this.
TEST(GlobMatches, DoesNotBlowUp) {
  std::string glob;
  for (int i = 0; i < 31; ++i) glob += "a*";
  EXPECT_FALSE(GlobMatches(glob + "b", std::string(100'000, 'a')));
  EXPECT_TRUE(GlobMatches(glob, std::string(100'000, 'a')));
}

}  // namespace
}  // namespace leasehold
