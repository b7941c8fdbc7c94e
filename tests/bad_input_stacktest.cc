// Wrong inputs on every border: one clear error with the field, the value and what is allowed; nothing lost, nothing
// leaked.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/config/config.h"
#include "common/status/error.h"
#include "common/status/grpc.h"
#include "tests/stack/stack.h"

namespace leasehold::testing {
namespace {

using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;

struct Refusal {
  absl::Status status;
  v1::ErrorDetail detail;
};

Refusal Refused(const grpc::Status& status) {
  Refusal refusal;
  refusal.status = FromGrpc(status, "gateway");
  refusal.detail = DetailOf(refusal.status).value_or(v1::ErrorDetail());
  return refusal;
}

Refusal Create(Stack& stack, const v1::Tenant& tenant) {
  v1::CreateTenantRequest request;
  *request.mutable_tenant() = tenant;
  v1::TenantChange change;
  return Refused(stack.tenants().CreateTenant(Deadline().get(), request, &change));
}

Refusal Acquire(Stack& stack, const v1::AcquireLeaseRequest& request) {
  v1::AcquireLeaseResponse response;
  return Refused(stack.leases().AcquireLease(Deadline().get(), request, &response));
}

TEST(BadInput, TenantsOutsideTheGrammar) {
  Stack& stack = SharedStack();
  for (const char* id :
       {"", "Bad_Id!", "a_b", "-a", "a-", "'; DROP DATABASE x; --", "1234567890123456789012345678901234567"}) {
    v1::Tenant tenant;
    tenant.set_id(id);
    const Refusal refusal = Create(stack, tenant);
    EXPECT_EQ(refusal.status.code(), absl::StatusCode::kInvalidArgument) << id;
    EXPECT_EQ(refusal.detail.reason(), v1::REASON_INVALID_FIELD) << id;
    EXPECT_THAT(refusal.detail.field(), HasSubstr("id"));
    EXPECT_FALSE(refusal.detail.allowed().empty());
  }
  v1::Tenant tenant;
  tenant.set_id(FreshTenantId());
  tenant.set_domain("not a domain");
  EXPECT_THAT(Create(stack, tenant).detail.field(), HasSubstr("domain"));
  tenant.set_domain("");
  tenant.set_name("two\nlines");
  EXPECT_THAT(Create(stack, tenant).detail.field(), HasSubstr("name"));
}

TEST(BadInput, ADomainBelongsToOneTenant) {
  Stack& stack = SharedStack();
  v1::Tenant tenant;
  tenant.set_id(FreshTenantId());
  tenant.set_domain(absl::StrCat(tenant.id(), ".example"));
  ASSERT_TRUE(Create(stack, tenant).status.ok());
  EXPECT_EQ(Create(stack, tenant).detail.reason(), v1::REASON_TENANT_EXISTS);
  tenant.set_id(FreshTenantId());
  EXPECT_EQ(Create(stack, tenant).detail.reason(), v1::REASON_DOMAIN_TAKEN);
}

TEST(BadInput, ARequestIdMeansOneRequest) {
  Stack& stack = SharedStack();
  v1::CreateTenantRequest request;
  request.set_request_id(absl::StrCat("request-", FreshTenantId()));
  request.mutable_tenant()->set_id(FreshTenantId());
  v1::TenantChange first;
  v1::TenantChange again;
  ASSERT_TRUE(stack.tenants().CreateTenant(Deadline().get(), request, &first).ok());
  ASSERT_TRUE(stack.tenants().CreateTenant(Deadline().get(), request, &again).ok());
  EXPECT_EQ(first.operation().id(), again.operation().id());
  request.mutable_tenant()->set_id(FreshTenantId());
  const Refusal refusal = Refused(stack.tenants().CreateTenant(Deadline().get(), request, &again));
  EXPECT_EQ(refusal.detail.reason(), v1::REASON_REQUEST_ID_REUSED);
}

TEST(BadInput, LeasesThatCannotBe) {
  Stack& stack = SharedStack();
  const std::string id = stack.CreateTenant(FreshTenantId());
  v1::AcquireLeaseRequest request;
  request.set_service("alpha");
  EXPECT_EQ(Acquire(stack, request).detail.reason(), v1::REASON_INVALID_FIELD) << "no home";
  request.set_tenant("nobody-here");
  EXPECT_EQ(Acquire(stack, request).detail.reason(), v1::REASON_TENANT_NOT_FOUND);
  request.set_tenant(id);
  request.set_service("gamma");
  EXPECT_EQ(Acquire(stack, request).detail.reason(), v1::REASON_SERVICE_NOT_FOUND);
  request.set_service("No_Service");
  EXPECT_EQ(Acquire(stack, request).detail.reason(), v1::REASON_INVALID_FIELD);
  request.set_service("alpha");
  *request.mutable_ttl() = FromDuration(absl::Hours(2));  // the test stack allows 1 h
  const Refusal ttl = Acquire(stack, request);
  EXPECT_EQ(ttl.detail.field(), "ttl");
  EXPECT_THAT(ttl.detail.allowed(), HasSubstr("1h"));
  *request.mutable_ttl() = FromDuration(absl::Seconds(-1));
  EXPECT_EQ(Acquire(stack, request).detail.field(), "ttl");
  request.clear_ttl();
  request.add_switch_to("UPPER");
  EXPECT_THAT(Acquire(stack, request).detail.field(), HasSubstr("switch_to"));
  request.clear_switch_to();
  request.set_connection("legacy");
  EXPECT_EQ(Acquire(stack, request).detail.reason(), v1::REASON_CONNECTION_NOT_FOUND);
}

TEST(BadInput, ATenantThatIsSuspendedHasNoLeases) {
  Stack& stack = SharedStack();
  const std::string id = stack.CreateTenant(FreshTenantId());
  v1::SuspendTenantRequest suspend;
  suspend.set_id(id);
  v1::TenantChange change;
  ASSERT_TRUE(stack.tenants().SuspendTenant(Deadline().get(), suspend, &change).ok());
  v1::AcquireLeaseRequest request;
  request.set_tenant(id);
  request.set_service("alpha");
  EXPECT_TRUE(Eventually([&] { return Acquire(stack, request).detail.reason() == v1::REASON_TENANT_SUSPENDED; }));
}

TEST(BadInput, CredentialsThatAreNotOnesOwn) {
  Stack& stack = SharedStack();
  const std::string id = stack.CreateTenant(FreshTenantId());
  const v1::Credentials credentials = stack.Acquire(id, "alpha").credentials();
  auto login = [&](const std::string& user, const std::string& password, const std::string& database) -> std::string {
    try {
      pqxx::connection sql(absl::StrCat("host=", credentials.host(), " port=", credentials.port(), " user='", user,
                                        "' password='", password, "' dbname='", database, "'"));
      return "";
    } catch (const pqxx::failure& error) {
      return error.what();
    }
  };
  const std::string database = credentials.database();
  ASSERT_EQ(login(credentials.user(), credentials.password(), database), "");
  const std::string wrong_password = login(credentials.user(), "guess", database);
  EXPECT_THAT(wrong_password, HasSubstr("FATAL"));
  std::string tampered = credentials.user();
  tampered[tampered.size() / 2] = tampered[tampered.size() / 2] == 'A' ? 'B' : 'A';
  EXPECT_THAT(login(tampered, credentials.password(), database), HasSubstr("FATAL"));
  EXPECT_THAT(login("postgres", "postgres", database), HasSubstr("FATAL"));
  EXPECT_THAT(login(credentials.user(), credentials.password(), "alpha_central"),
              AllOf(HasSubstr("FATAL"), Not(HasSubstr("127.0.0.1:75"))));
}

TEST(BadInput, AnExpiredLeaseEndsMidQuery) {
  Stack& stack = SharedStack();
  const std::string id = stack.CreateTenant(FreshTenantId());
  Stack::LeaseOptions options;
  options.ttl = absl::Seconds(2);
  const std::string dsn = stack.Acquire(id, "alpha", options).credentials().dsn();
  const absl::Time begin = absl::Now();
  pqxx::connection sql(dsn);
  EXPECT_FALSE(Value(sql, "SELECT pg_sleep(20)").ok());
  EXPECT_LT(absl::Now() - begin, absl::Seconds(3.5));
  EXPECT_TRUE(Eventually([&] {
    return stack.OnInstance("alpha", absl::StrCat("SELECT count(*) FROM pg_stat_activity WHERE usename = 'tenant_", id,
                                                  "_alpha'")) == "0";
  })) << "the query must end on the server, too";
  EXPECT_NE(SqlStateOf([&] { pqxx::connection again(dsn); }), "");
}

TEST(BadInput, TheCommandLineSaysOneLine) {
  Stack& stack = SharedStack();
  const Stack::Output bad = stack.Run({"tenant", "create", "Bad_Id!"});
  EXPECT_EQ(bad.exit_code, 1);
  EXPECT_EQ(std::count(bad.err.begin(), bad.err.end(), '\n'), 1) << bad.err;
  EXPECT_THAT(bad.err, AllOf(HasSubstr("Bad_Id!"), HasSubstr("allowed")));
  EXPECT_EQ(stack.Run({"tenant", "create"}).exit_code, 2);
  EXPECT_EQ(stack.Run({"tenant", "get", "nobody-here"}).exit_code, 1);
  const Stack::Output nobody = stack.Run({"--gateway", "127.0.0.1:1", "tenant", "list"});
  EXPECT_EQ(nobody.exit_code, 1);
  EXPECT_THAT(nobody.err, HasSubstr("127.0.0.1:1"));
}

TEST(BadInput, AWatchOfNobodyEndsAtOnce) {
  Stack& stack = SharedStack();
  const std::string id = FreshTenantId("nobody");
  const absl::Time begin = absl::Now();
  const Stack::Output nobody = stack.Run({"tenant", "watch", id});
  EXPECT_EQ(nobody.exit_code, 1);
  EXPECT_EQ(nobody.err, absl::StrCat("leasehold: there is no tenant ", id, "\n"));
  EXPECT_LT(absl::Now() - begin, absl::Seconds(10));
  // Who names a state may be early, and is told so.
  const Stack::Output early = stack.Run({"tenant", "watch", id, "--until", "active", "--timeout", "300ms"});
  EXPECT_EQ(early.exit_code, 1);
  EXPECT_THAT(early.err, AllOf(HasSubstr(absl::StrCat("there is no tenant ", id, " yet; waiting for it\n")),
                               HasSubstr("is not active after 300ms\n")));
}

TEST(BadInput, AWatchOfOneTenantEndsWithIt) {
  Stack& stack = SharedStack();
  const std::string id = stack.CreateTenant(FreshTenantId());
  Stack::Output watched;
  std::thread watcher(
      [&] { watched = stack.Run({"tenant", "watch", id, "--until", "suspended", "--timeout", "60s"}); });
  EXPECT_EQ(stack.Run({"tenant", "delete", id, "--retention", "2s"}).exit_code, 0);
  watcher.join();
  EXPECT_EQ(watched.exit_code, 1);
  // On a machine so slow that the watch begins after the purge, it waits for the tenant in vain.
  EXPECT_THAT(watched.err, AnyOf(HasSubstr(absl::StrCat("tenant ", id, " was purged before it was suspended\n")),
                                 HasSubstr("is not suspended after 1m\n")));
}

TEST(BadInput, TextThatIsNotUtf8) {
  Stack& stack = SharedStack();
  const Stack::Output bad = stack.Run({"tenant", "get", "\xff"});
  EXPECT_EQ(bad.exit_code, 2);
  EXPECT_THAT(bad.err, AllOf(HasSubstr("argument 3 is '\\xff'; allowed: UTF-8"), Not(HasSubstr("protobuf"))));
  // And from callers that check nothing.
  v1::GetTenantRequest request;
  request.set_id("\xff");
  v1::Tenant tenant;
  const Refusal refusal = Refused(stack.tenants().GetTenant(Deadline().get(), request, &tenant));
  EXPECT_EQ(refusal.status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(refusal.detail.reason(), v1::REASON_INVALID_FIELD);
  EXPECT_THAT(std::string(refusal.status.message()), HasSubstr("UTF-8"));
}

// Runs last: what all the tests above have made the daemons write down.
TEST(ZNoSecrets, NoPasswordIsInAnyLog) {
  Stack& stack = SharedStack();
  const std::string id = stack.CreateTenant(FreshTenantId());
  const v1::Credentials credentials = stack.Acquire(id, "alpha").credentials();
  pqxx::connection sql(credentials.dsn());
  ASSERT_TRUE(Value(sql, "SELECT 1").ok());
  std::vector<std::string> secrets = {credentials.password()};
  for (const auto& entry : std::filesystem::directory_iterator(stack.state_dir() + "/secrets")) {
    std::ifstream file(entry.path());
    std::stringstream text;
    text << file.rdbuf();
    for (absl::string_view word : absl::StrSplit(text.str(), absl::ByAnyChar(" \n"), absl::SkipEmpty())) {
      if (word.size() >= 16) secrets.emplace_back(word);
    }
  }
  ASSERT_GE(secrets.size(), 4u);
  int logs = 0;
  for (const auto& entry : std::filesystem::directory_iterator(stack.state_dir() + "/log")) {
    std::ifstream file(entry.path());
    std::stringstream text;
    text << file.rdbuf();
    for (const std::string& secret : secrets) EXPECT_THAT(text.str(), Not(HasSubstr(secret))) << entry.path();
    ++logs;
  }
  EXPECT_GE(logs, 4);
}

}  // namespace
}  // namespace leasehold::testing
