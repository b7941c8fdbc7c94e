#include <gmock/gmock.h>

#include <optional>

#include "common/status/error.h"
#include "services/gateway/lease/claims.h"
#include "services/gateway/lease/lease_room.h"
#include "services/gateway/lease/signed_authority.h"

namespace leasehold::gateway {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class AuthorityTest : public LeaseRoomTest {
 protected:
  AuthorityTest() { directory_.Set("acme", v1::TENANT_STATE_ACTIVE); }

  LeaseIssuer::Issued Issue(LeaseTerms terms) {
    if (terms.ttl == absl::ZeroDuration()) terms.ttl = absl::Minutes(1);
    auto issued = issuer_.Issue(terms, terms.tenant, terms.tenant ? "00112233445566aa" : "");
    EXPECT_TRUE(issued.ok()) << issued.status();
    return *std::move(issued);
  }
  LeaseTerms Terms() { return {.service = *ServiceName::Parse("identity"), .tenant = Tenant("acme")}; }
  GrantPtr Granted(const LeaseTerms& terms) {
    auto grant = authority_.Authenticate(Issue(terms).credentials.user());
    EXPECT_TRUE(grant.ok()) << grant.status();
    return *grant;
  }
  static TenantId Tenant(const std::string& id) { return *TenantId::Parse(id); }
  absl::StatusOr<Route> Resolve(const GrantPtr& grant, const std::optional<TenantId>& tenant) {
    std::optional<absl::StatusOr<Route>> result;
    authority_.Resolve(grant, tenant, [&](absl::StatusOr<Route> route) { result = std::move(route); });
    return result ? *result : absl::InternalError("no answer");
  }
  std::unique_ptr<LeaseAuthority::Attachment> Attach(const GrantPtr& grant, const std::optional<TenantId>& tenant) {
    return authority_.Attach(grant, tenant, [this](const absl::Status& why) { ends_.push_back(ReasonOf(why)); });
  }
  SignedLeaseAuthority authority_{keys_, services_, book_, watchers_, directory_};
  std::vector<Reason> ends_;
};

TEST_F(AuthorityTest, SessionsBeyondTheBoundEndAtOnce) {
  LeaseTerms terms = Terms();
  terms.bounds.sessions_per_lease = 2;
  const GrantPtr grant = Granted(terms);
  const auto first = Attach(grant, Tenant("acme"));
  auto second = Attach(grant, Tenant("acme"));
  EXPECT_THAT(ends_, IsEmpty());
  {
    const auto third = Attach(grant, Tenant("acme"));
    EXPECT_THAT(ends_, ElementsAre(v1::REASON_QUOTA_EXCEEDED));
  }
  EXPECT_EQ(authority_.sessions_refused(), 1);
  second.reset();
  const auto next = Attach(grant, Tenant("acme"));
  EXPECT_EQ(ends_.size(), 1u) << "there is room again";
}

TEST_F(AuthorityTest, GrantSaysWhatTheLeaseSays) {
  LeaseTerms terms = Terms();
  terms.access = v1::ACCESS_READ_ONLY;
  terms.session = true;
  terms.switch_to = {"globex-*"};
  terms.holder = "payroll";
  const auto issued = Issue(terms);
  const auto grant = authority_.Authenticate(issued.credentials.user());
  ASSERT_TRUE(grant.ok()) << grant.status();
  EXPECT_EQ((*grant)->service.str(), "identity");
  EXPECT_EQ((*grant)->home_tenant, Tenant("acme"));
  EXPECT_EQ((*grant)->start_tenant, Tenant("acme"));
  EXPECT_TRUE((*grant)->read_only);
  EXPECT_TRUE((*grant)->session);
  EXPECT_EQ((*grant)->holder, "payroll");
  EXPECT_EQ((*grant)->password.reveal(), issued.credentials.password());
  EXPECT_TRUE((*grant)->MayUse(Tenant("acme")));
  EXPECT_TRUE((*grant)->MayUse(Tenant("globex-1")));
  EXPECT_FALSE((*grant)->MayUse(Tenant("globex")));
  EXPECT_EQ(authority_.ExpiryOf(*grant), clock_.Now() + absl::Minutes(1));
}

TEST_F(AuthorityTest, DsnNamesTheAdvertisedAddressEscaped) {
  const auto issued = Issue(Terms());
  EXPECT_EQ(issued.credentials.dsn(), "postgresql://" + issued.credentials.user() + ":" +
                                          issued.credentials.password() + "@db.example:7432/tenant_acme_identity");
  v1::Credentials odd;
  odd.set_host("::1");
  odd.set_port(1);
  odd.set_user("a:b@c");
  odd.set_password("p/w%");
  odd.set_database("x y?");
  EXPECT_EQ(DsnOf(odd), "postgresql://a%3Ab%40c:p%2Fw%25@[::1]:1/x%20y%3F");
}

TEST_F(AuthorityTest, StrangersAllReadTheSameAndCauseNoLookup) {
  const auto issued = Issue(Terms());
  v1::LeaseClaims claims = *ParseUserName(issued.credentials.user());
  claims.set_key_id(9);
  const std::string unknown_key = UserNameOf(claims);
  claims = *ParseUserName(issued.credentials.user());
  claims.set_service("payroll");
  const std::string unknown_service = UserNameOf(claims);
  for (const std::string& user : {std::string("postgres"), unknown_key, unknown_service}) {
    EXPECT_EQ(authority_.Authenticate(user).status(), BadCredentials()) << user;
  }
  EXPECT_EQ(directory_.lookups(), 0u);
}

TEST_F(AuthorityTest, TamperedClaimsChangeThePassword) {
  const auto issued = Issue(Terms());
  v1::LeaseClaims claims = *ParseUserName(issued.credentials.user());
  claims.set_tenant("globex");
  const auto grant = authority_.Authenticate(UserNameOf(claims));
  ASSERT_TRUE(grant.ok());
  EXPECT_NE((*grant)->password.reveal(), issued.credentials.password());
}

TEST_F(AuthorityTest, OldKeysStillVerify) {
  v1::LeaseClaims claims = *ParseUserName(Issue(Terms()).credentials.user());
  EXPECT_EQ(claims.key_id(), 2u);
  claims.set_key_id(1);
  const auto grant = authority_.Authenticate(UserNameOf(claims));
  ASSERT_TRUE(grant.ok());
  EXPECT_EQ((*grant)->password.reveal(), keys_.PasswordOf(1, UserNameOf(claims))->reveal());
}

TEST_F(AuthorityTest, EndedLeasesSayWhy) {
  const auto end_of = [this](const auto& issued) {
    return ReasonOf((*authority_.Authenticate(issued.credentials.user()))->ended);
  };
  const auto expired = Issue(Terms());
  Pass(absl::Minutes(1));
  EXPECT_EQ(end_of(expired), v1::REASON_LEASE_EXPIRED);
  const auto released = Issue(Terms());
  ASSERT_TRUE(book_.Release(released.id).ok());
  EXPECT_EQ(end_of(released), v1::REASON_LEASE_RELEASED);
  const auto revoked = Issue(Terms());
  v1::Revocation conditions;
  conditions.set_tenant("acme");
  book_.Revoke(conditions);
  EXPECT_EQ(end_of(revoked), v1::REASON_LEASE_REVOKED);
}

TEST_F(AuthorityTest, RoutesToTheTenantsDatabase) {
  const auto route = Resolve(Granted(Terms()), Tenant("acme"));
  ASSERT_TRUE(route.ok()) << route.status();
  EXPECT_EQ(route->database, "tenant_acme_identity");
  EXPECT_EQ(route->role, "tenant_acme_identity");
  EXPECT_EQ(route->database_id, "00112233445566aa");
  LeaseTerms terms = Terms();
  terms.access = v1::ACCESS_READ_ONLY;
  const auto read_only = Resolve(Granted(terms), Tenant("acme"));
  ASSERT_TRUE(read_only.ok());
  EXPECT_EQ(read_only->role, "tenant_acme_identity_ro");
  EXPECT_TRUE(read_only->read_only);
}

TEST_F(AuthorityTest, RoutesToTheCentralDatabase) {
  LeaseTerms terms = Terms();
  terms.tenant = std::nullopt;
  terms.connection = "central";
  const auto route = Resolve(Granted(terms), std::nullopt);
  ASSERT_TRUE(route.ok()) << route.status();
  EXPECT_EQ(route->tenant, std::nullopt);
  EXPECT_EQ(route->database, "identity_central");
  EXPECT_EQ(route->role, "identity_central");
  EXPECT_EQ(route->database_id, "central");
  terms.access = v1::ACCESS_READ_ONLY;
  EXPECT_EQ(Resolve(Granted(terms), std::nullopt)->role, "identity_central_ro");
}

TEST_F(AuthorityTest, RefusesWhatTheLeaseOrTheTenantForbids) {
  directory_.Set("globex", v1::TENANT_STATE_ACTIVE);
  const GrantPtr grant = Granted(Terms());
  EXPECT_EQ(ReasonOf(Resolve(grant, Tenant("globex")).status()), v1::REASON_SWITCH_NOT_ALLOWED);
  EXPECT_EQ(ReasonOf(Resolve(grant, std::nullopt).status()), v1::REASON_SWITCH_NOT_ALLOWED);
  LeaseTerms terms = Terms();
  terms.switch_to = {"*"};
  const GrantPtr wide = Granted(terms);
  EXPECT_TRUE(Resolve(wide, Tenant("globex")).ok());
  EXPECT_EQ(ReasonOf(Resolve(wide, Tenant("nobody")).status()), v1::REASON_TENANT_NOT_FOUND);
  directory_.Set("globex", v1::TENANT_STATE_SUSPENDED, v1::SERVICE_STATE_CLOSED);
  EXPECT_EQ(ReasonOf(Resolve(wide, Tenant("globex")).status()), v1::REASON_TENANT_SUSPENDED);
  directory_.Set("globex", v1::TENANT_STATE_PROVISIONING, v1::SERVICE_STATE_PENDING);
  EXPECT_EQ(ReasonOf(Resolve(wide, Tenant("globex")).status()), v1::REASON_TENANT_NOT_READY);
}

TEST_F(AuthorityTest, NobodyIsRefusedForWhatTheCacheSaysAlone) {
  const GrantPtr grant = Granted(Terms());
  directory_.SetCached("acme", v1::TENANT_STATE_PROVISIONING, v1::SERVICE_STATE_PENDING);
  EXPECT_TRUE(Resolve(grant, Tenant("acme")).ok());
  directory_.SetCached("acme", v1::TENANT_STATE_ACTIVE, v1::SERVICE_STATE_READY, "00000000000000ff");
  EXPECT_TRUE(Resolve(grant, Tenant("acme")).ok()) << "the cache still knows the id's last tenant";
  directory_.SetCached("acme", v1::TENANT_STATE_SUSPENDED, v1::SERVICE_STATE_CLOSED);
  directory_.SetDown(true);
  EXPECT_EQ(ReasonOf(Resolve(grant, Tenant("acme")).status()), v1::REASON_TENANT_SUSPENDED);
}

TEST_F(AuthorityTest, HomeIsReachedWithTheRegistryDown) {
  LeaseTerms terms = Terms();
  terms.switch_to = {"*"};
  const GrantPtr grant = Granted(terms);
  directory_.SetDown(true);
  const auto route = Resolve(grant, Tenant("acme"));
  ASSERT_TRUE(route.ok()) << route.status();
  EXPECT_EQ(route->database_id, "00112233445566aa");
  EXPECT_EQ(ReasonOf(Resolve(grant, Tenant("globex")).status()), v1::REASON_REGISTRY_UNAVAILABLE);
}

TEST_F(AuthorityTest, SessionHearsOfTheLeasesEndOnce) {
  const GrantPtr grant = Granted(Terms());
  const auto attachment = Attach(grant, Tenant("acme"));
  EXPECT_EQ(watchers_.Sessions(grant->id), 1);
  Pass(absl::Seconds(59));
  EXPECT_THAT(ends_, IsEmpty());
  Pass(absl::Seconds(1));
  EXPECT_THAT(ends_, ElementsAre(v1::REASON_LEASE_EXPIRED));
  directory_.Set("acme", v1::TENANT_STATE_SUSPENDED);
  EXPECT_THAT(ends_, ElementsAre(v1::REASON_LEASE_EXPIRED));
  EXPECT_EQ(authority_.ExpiryOf(grant), absl::InfinitePast());
}

TEST_F(AuthorityTest, SessionOfAnotherGatewaysLeaseHearsToo) {
  FakeClock clock;
  LeaseBook other_book(clock, watchers_, outbox_, {});
  LeaseIssuer other(keys_, services_, other_book, {"x", 1});
  LeaseTerms terms = Terms();
  terms.ttl = absl::Minutes(1);
  const auto issued = other.Issue(terms, terms.tenant, "00112233445566aa");
  const auto grant = authority_.Authenticate(issued->credentials.user());
  ASSERT_TRUE(grant.ok());
  EXPECT_EQ(book_.size(), 0u) << "nothing is kept of a client that has proven nothing";
  const auto attachment = Attach(*grant, Tenant("acme"));
  Pass(absl::Minutes(1));
  EXPECT_THAT(ends_, ElementsAre(v1::REASON_LEASE_EXPIRED));
}

TEST_F(AuthorityTest, SessionEndsWithItsTenant) {
  const GrantPtr grant = Granted(Terms());
  auto attachment = Attach(grant, Tenant("acme"));
  directory_.Set("acme", v1::TENANT_STATE_DEGRADED, v1::SERVICE_STATE_FAILED);
  EXPECT_THAT(ends_, IsEmpty()) << "a failed migration is no reason to end";
  directory_.Set("acme", v1::TENANT_STATE_SUSPENDED);
  EXPECT_THAT(ends_, ElementsAre(v1::REASON_TENANT_SUSPENDED));

  ends_.clear();
  directory_.Set("acme", v1::TENANT_STATE_ACTIVE);
  attachment = Attach(grant, Tenant("acme"));
  directory_.Set("acme", v1::TENANT_STATE_DELETED);
  EXPECT_THAT(ends_, ElementsAre(v1::REASON_TENANT_DELETED));

  ends_.clear();
  attachment = Attach(grant, Tenant("acme"));
  EXPECT_THAT(ends_, ElementsAre(v1::REASON_TENANT_DELETED)) << "it was so before it attached";
}

TEST_F(AuthorityTest, SessionEndsWhenItsDatabaseIsReplaced) {
  const GrantPtr grant = Granted(Terms());
  auto attachment = Attach(grant, Tenant("acme"));
  directory_.Set("acme", v1::TENANT_STATE_PROVISIONING, v1::SERVICE_STATE_PENDING);
  EXPECT_THAT(ends_, ElementsAre(v1::REASON_TENANT_NOT_READY)) << "while a backup is being restored";

  ends_.clear();
  directory_.Set("acme", v1::TENANT_STATE_ACTIVE);
  attachment = Attach(grant, Tenant("acme"));
  directory_.Set("acme", v1::TENANT_STATE_ACTIVE, v1::SERVICE_STATE_READY, "ffffffffffffffff");
  EXPECT_THAT(ends_, ElementsAre(v1::REASON_TENANT_NOT_READY)) << "also if nothing of the restore was seen but its end";
}

TEST_F(AuthorityTest, MovedSessionFollowsItsNewTenant) {
  directory_.Set("globex", v1::TENANT_STATE_ACTIVE);
  LeaseTerms terms = Terms();
  terms.switch_to = {"*"};
  const auto attachment = Attach(Granted(terms), Tenant("acme"));
  attachment->MovedTo(Tenant("globex"));
  EXPECT_EQ(directory_.followers(), 1u);
  directory_.Set("acme", v1::TENANT_STATE_SUSPENDED);
  EXPECT_THAT(ends_, IsEmpty());
  attachment->MovedTo(std::nullopt);
  EXPECT_EQ(directory_.followers(), 0u);
  attachment->MovedTo(Tenant("globex"));
  directory_.Remove("globex");
  EXPECT_THAT(ends_, ElementsAre(v1::REASON_TENANT_NOT_FOUND));
}

TEST_F(AuthorityTest, RegistryOutageEndsNoSession) {
  const GrantPtr grant = Granted(Terms());
  directory_.SetDown(true);
  const auto attachment = Attach(grant, Tenant("acme"));
  EXPECT_THAT(ends_, IsEmpty());
}

TEST_F(AuthorityTest, AttachingToAnEndedLeaseEndsAtOnce) {
  const GrantPtr grant = Granted(Terms());
  ASSERT_TRUE(book_.Release(grant->id).ok());
  const auto attachment = Attach(grant, Tenant("acme"));
  EXPECT_THAT(ends_, ElementsAre(v1::REASON_LEASE_RELEASED));
}

TEST_F(AuthorityTest, DetachedSessionHearsNothing) {
  const GrantPtr grant = Granted(Terms());
  auto attachment = Attach(grant, Tenant("acme"));
  attachment.reset();
  EXPECT_EQ(watchers_.Sessions(grant->id), 0);
  EXPECT_EQ(directory_.followers(), 0u);
  directory_.Set("acme", v1::TENANT_STATE_SUSPENDED);
  Pass(absl::Hours(1));
  EXPECT_THAT(ends_, IsEmpty());
}

TEST_F(AuthorityTest, SwitchedLeaseStartsElsewhere) {
  LeaseTerms terms = Terms();
  terms.switch_to = {"globex"};
  const auto issued = Issue(terms);
  ASSERT_TRUE(book_.Switch(issued.id, "globex").ok());
  const auto grant = authority_.Authenticate(issued.credentials.user());
  EXPECT_EQ((*grant)->start_tenant, Tenant("globex"));
  EXPECT_EQ((*grant)->home_tenant, Tenant("acme"));
}

}  // namespace
}  // namespace leasehold::gateway
