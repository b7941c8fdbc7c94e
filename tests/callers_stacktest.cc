// Who calls, over real TLS connections to a gateway with a policy: client certificates, JSON Web Tokens and API tokens
// as principals, from the call to the audit trail; and those who only pretend.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <format>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "common/config/config.h"
#include "common/policy/api_tokens.h"
#include "common/rpc/channel_credentials.h"
#include "common/status/error.h"
#include "common/status/grpc.h"
#include "common/tls/testing_certificates.h"
#include "services/gateway/authn/testing_tokens.h"
#include "tests/stack/gateway.h"
#include "tests/stack/outputs.h"
#include "tests/stack/stack.h"

namespace leasehold::testing {
namespace {

using gateway::TestingKey;
using ::testing::HasSubstr;
using tls::Role;
using tls::TestCertificates;

constexpr char kBilling[] = "spiffe://example.org/billing";
constexpr char kIssuer[] = "https://issuer.example.org";

// What proves who calls; a certificate, a token, both or none.
struct Proof {
  tls::IdentityFiles certificate = {};
  std::string token = {};
  absl::Time read_at = absl::Now();  // when the client looks whether its certificate is valid
};

class Callers : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { ground_ = new Ground(); }
  static void TearDownTestSuite() { delete std::exchange(ground_, nullptr); }

  struct Ground {
    Ground() {
      stack.CreateTenant("acme");
      stack.CreateTenant("globex");
      ApiTokens tokens;
      const NewApiToken robot = MakeApiToken("robot", absl::Now(), absl::InfiniteFuture());
      EXPECT_TRUE(tokens.Add(robot.kept).ok());
      api_token = std::string(robot.text.reveal());
      gateway.emplace(stack, [&](v1::Config& config) {
        v1::GatewayConfig& its = *config.mutable_gateway();
        its.set_grpc_client_ca_file(clients.ca());
        its.set_grpc_client_certificate("optional");
        its.set_tokens_file(clients.Write("tokens", tokens.ToText()));
        its.set_policy_file(clients.Write("policy.yaml", Policy()));
        v1::JwtIssuerConfig& jwt = *its.add_jwt();
        jwt.set_issuer(kIssuer);
        jwt.set_audience("leasehold");
        jwt.set_keys_file(
            clients.Write("keys.json", std::format(R"({{"keys":[{},{},{}]}})", rsa.Jwk(), p256.Jwk(), ed25519.Jwk())));
      });
    }

    static std::string Policy() {
      std::string policy = "rules:\n";
      for (const auto& [name, principal, access] :
           {std::tuple("billing", std::string(kBilling), "read-write"),
            std::tuple("reports", absl::StrCat("jwt:", kIssuer, "/reports"), "read-only"),
            std::tuple("robot", std::string("token:robot"), "read-only")}) {
        absl::StrAppend(&policy, "  - {name: ", name, ", principals: [\"", principal,
                        "\"], operations: [lease.acquire], services: [alpha], tenants: [acme], switch_to: [globex],"
                        " access: [",
                        access, "]}\n");
      }
      return policy;
    }

    Stack stack{{}, "", {"--tls"}};
    TestCertificates clients{"clients' CA"};
    TestCertificates strangers{"another CA"};
    TestingKey rsa = TestingKey::Rsa("rsa");
    TestingKey p256 = TestingKey::P256("p256");
    TestingKey ed25519 = TestingKey::Ed25519("ed25519");
    std::string api_token;
    std::optional<Gateway> gateway;
  };

  static std::string Ca() { return ground_->stack.state_dir() + "/certs/ca.crt"; }
  static tls::IdentityFiles Billing() { return ground_->clients.Make("billing", {.hosts = {}, .uris = {kBilling}}); }
  static std::string Claims(absl::Duration left = absl::Minutes(5), std::string_view issuer = kIssuer,
                            std::string_view audience = "leasehold") {
    return std::format(R"({{"iss":"{}","sub":"reports","aud":"{}","exp":{}}})", issuer, audience,
                       absl::ToUnixSeconds(absl::Now() + left));
  }

  // By TLS, on a connection of its own.
  static absl::StatusOr<v1::AcquireLeaseResponse> Acquire(const Proof& proof, const std::string& tenant = "acme",
                                                          v1::Access access = v1::ACCESS_READ_ONLY) {
    const auto files =
        tls::Credentials::Read(TestCertificates::OptionsOf(Role::kClient, proof.certificate, Ca()), proof.read_at);
    EXPECT_TRUE(files.ok()) << files.status();
    grpc::ChannelArguments own;
    own.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    const auto channel =
        grpc::CreateCustomChannel(ground_->gateway->grpc(), rpc::ChannelCredentials(files->get()), own);
    const auto context = Deadline();
    if (!proof.token.empty()) context->AddMetadata("authorization", "Bearer " + proof.token);
    v1::AcquireLeaseRequest request;
    request.set_tenant(tenant);
    request.set_service("alpha");
    request.set_access(access);
    request.add_switch_to("globex");
    v1::AcquireLeaseResponse response;
    const absl::Status status =
        FromGrpc(v1::LeaseService::NewStub(channel)->AcquireLease(context.get(), request, &response), "gateway");
    if (!status.ok()) return status;
    return response;
  }
  static std::string PrincipalOf(const Proof& proof, v1::Access access = v1::ACCESS_READ_ONLY) {
    const auto acquired = Acquire(proof, "acme", access);
    return acquired.ok() ? acquired->lease().principal() : std::string(ReasonName(ReasonOf(acquired.status())));
  }
  static std::string Refusal(const Proof& proof, const std::string& tenant = "acme",
                             v1::Access access = v1::ACCESS_READ_ONLY) {
    const auto acquired = Acquire(proof, tenant, access);
    return acquired.ok() ? "OK" : std::string(ReasonName(ReasonOf(acquired.status())));
  }

  static Ground* ground_;
};

Callers::Ground* Callers::ground_ = nullptr;

TEST_F(Callers, CertificatesArePrincipals) {
  EXPECT_EQ(PrincipalOf({.certificate = Billing()}, v1::ACCESS_READ_WRITE), kBilling);
  EXPECT_EQ(Refusal({.certificate = Billing()}, "globex", v1::ACCESS_READ_WRITE), "NOT_PERMITTED");
  const auto dns = ground_->clients.Make("dns", {.hosts = {"billing.example.org"}});
  EXPECT_EQ(Refusal({.certificate = dns}), "NOT_PERMITTED") << "known, and in no rule";
  EXPECT_EQ(Refusal({}), "NO_CREDENTIALS");
  // The same name by a CA that nobody believes, and one that has ended, do not get past the handshake.
  const auto forged = ground_->strangers.Make("billing", {.hosts = {}, .uris = {kBilling}});
  EXPECT_EQ(Acquire({.certificate = forged}, "acme", v1::ACCESS_READ_WRITE).status().code(),
            absl::StatusCode::kUnavailable);
  const auto ended = ground_->clients.Make(
      "ended",
      {.hosts = {}, .uris = {kBilling}, .begin = absl::Now() - absl::Hours(3), .end = absl::Now() - absl::Hours(2)});
  EXPECT_EQ(Acquire({.certificate = ended, .read_at = absl::Now() - absl::Minutes(150)}, "acme", v1::ACCESS_READ_WRITE)
                .status()
                .code(),
            absl::StatusCode::kUnavailable);
}

TEST_F(Callers, TokensArePrincipals) {
  for (const TestingKey* key : {&ground_->rsa, &ground_->p256, &ground_->ed25519}) {
    EXPECT_EQ(PrincipalOf({.token = key->Sign(Claims())}), absl::StrCat("jwt:", kIssuer, "/reports"))
        << key->algorithm();
  }
  EXPECT_EQ(Refusal({.token = ground_->rsa.Sign(Claims())}, "globex"), "NOT_PERMITTED");
  EXPECT_EQ(Refusal({.token = ground_->rsa.Sign(Claims())}, "acme", v1::ACCESS_READ_WRITE), "NOT_PERMITTED");
  EXPECT_EQ(PrincipalOf({.token = ground_->api_token}), "token:robot");
}

TEST_F(Callers, TokensThatProveNothing) {
  const TestingKey& rsa = ground_->rsa;
  const std::string good = rsa.Sign(Claims());
  const std::vector<std::string> parts = absl::StrSplit(good, '.');
  const std::string others = Base64Url(
      std::string_view(R"({"iss":"https://issuer.example.org","sub":"billing","aud":"leasehold","exp":9999999999})"));
  for (const auto& [what, token] : std::vector<std::pair<std::string, std::string>>{
           {"alg none", Base64Url(R"({"alg":"none"})") + "." + parts[1] + "."},
           {"alg None", Base64Url(R"({"alg":"None","kid":"rsa"})") + "." + parts[1] + "." + parts[2]},
           {"no signature", parts[0] + "." + parts[1] + "."},
           {"an HMAC by the public key", gateway::SignHs256(Claims(), rsa.PublicPem(), "rsa")},
           {"another key's algorithm", rsa.Sign(R"({"alg":"ES256","kid":"p256"})", Claims())},
           {"another's claims under its signature", parts[0] + "." + others + "." + parts[2]},
           {"a key of its own", TestingKey::Rsa("rsa").Sign(Claims())},
           {"expired", rsa.Sign(Claims(-absl::Minutes(10)))},
           {"another issuer", rsa.Sign(Claims(absl::Minutes(5), "https://evil.example.org"))},
           {"for somebody else", rsa.Sign(Claims(absl::Minutes(5), kIssuer, "payroll"))},
           {"an API token that nobody made", "lht_" + std::string(43, 'A')},
           {"words", "hunter2"}}) {
    const auto acquired = Acquire({.token = token});
    EXPECT_EQ(acquired.status().code(), absl::StatusCode::kUnauthenticated) << what;
    EXPECT_EQ(ReasonOf(acquired.status()), v1::REASON_BAD_TOKEN) << what;
    EXPECT_THAT(std::string(acquired.status().message()), ::testing::Not(HasSubstr(token))) << what;
    // A good certificate beside it does not make up for it.
    EXPECT_EQ(Refusal({.certificate = Billing(), .token = token}, "acme", v1::ACCESS_READ_WRITE), "BAD_TOKEN") << what;
  }
}

// A policy that is replaced while calls come: whole, or not at all.
TEST_F(Callers, ABadPolicyKeepsTheOldOne) {
  const std::string good = Ground::Policy();
  const auto failures = [] {
    return ValueOf(MetricsOf(ground_->gateway->http()), "leasehold_reload_failures_total{file=\"policy\"}");
  };
  const auto billing = [](const std::string& tenant) {
    return Refusal({.certificate = Billing()}, tenant, v1::ACCESS_READ_WRITE);
  };
  for (const std::string& bad :
       {std::string("rules:\n  - {name: open, principals: ['*'], operations: ['*'"),             // half
        std::string("rules:\n  - {name: open, principals: ['*'], operations: [lease.aquire]}"),  // no operation
        absl::StrReplaceAll(good, {{"tenants: [acme]", "tenant: ['*']"}})}) {                    // no field
    const double before = failures();
    ground_->clients.Write("policy.yaml", bad);
    ASSERT_TRUE(Eventually([&] { return failures() > before; })) << bad;
    EXPECT_EQ(billing("acme"), "OK") << bad;
    EXPECT_EQ(billing("globex"), "NOT_PERMITTED") << bad;
    EXPECT_EQ(Refusal({}), "NO_CREDENTIALS") << bad;
  }
  EXPECT_THAT(ground_->gateway->Log(), HasSubstr("did you mean lease.acquire?"));
  EXPECT_THAT(ground_->gateway->Log(), HasSubstr("what was read before stays"));
  ground_->clients.Write("policy.yaml", absl::StrReplaceAll(good, {{"[acme]", "[globex]"}}));
  EXPECT_TRUE(Eventually([&] { return billing("acme") == "NOT_PERMITTED"; }));
  ground_->clients.Write("policy.yaml", "");
  EXPECT_TRUE(Eventually([&] { return billing("globex") == "NOT_PERMITTED"; })) << "an empty one allows nothing";
  ground_->clients.Write("policy.yaml", good);
  EXPECT_TRUE(Eventually([&] { return billing("acme") == "OK"; }));
}

// In whose name the trail tells of what happens by SQL.
TEST_F(Callers, AreToldOfInTheTrail) {
  const auto lease = Acquire({.certificate = Billing()}, "acme", v1::ACCESS_READ_WRITE);
  ASSERT_TRUE(lease.ok()) << lease.status();
  {
    pqxx::connection session(lease->credentials().dsn() + "?sslmode=verify-full&sslrootcert=" + Ca());
    pqxx::nontransaction(session).exec("SET leasehold.tenant = 'globex'");
    EXPECT_EQ(*Value(session, "SELECT current_database()"), "tenant_globex_alpha");
    EXPECT_EQ(Value(session, "SET leasehold.tenant = 'nobody'").status().message(), "42501");
  }
  const auto told = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"audit", "--principal", kBilling, "--lease", lease->lease().id(), "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Stack::Output output = ground_->stack.Run(arguments);
    return output.out + output.err;
  };
  EXPECT_TRUE(Eventually([&] {
    const std::string switches = told({"--action", "session-switch"});
    return switches.contains("\"globex\"") && switches.contains("SWITCH_NOT_ALLOWED");
  })) << told({});
  EXPECT_THAT(told({"--action", "lease-acquire"}), HasSubstr(lease->lease().id()));
}

}  // namespace
}  // namespace leasehold::testing
