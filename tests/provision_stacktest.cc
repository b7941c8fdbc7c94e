// From an event or a call to rows in a tenant database, and a tenant's life after that.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/config/config.h"
#include "tests/stack/stack.h"

namespace leasehold::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(Provision, AnEventBecomesDatabasesAndALeaseReachesThem) {
  Stack& stack = SharedStack();
  const std::string id = FreshTenantId();
  stack.PublishCreated(id, absl::StrCat("event-", id), absl::StrCat(id, ".test.local"));
  ASSERT_TRUE(stack.AwaitState(id, v1::TENANT_STATE_ACTIVE));
  EXPECT_EQ(stack.DatabasesOf(id), 2);

  pqxx::connection sql(stack.Acquire(id, "alpha").credentials().dsn());
  EXPECT_EQ(*Value(sql, "SELECT current_database()"), absl::StrCat("tenant_", id, "_alpha"));
  EXPECT_EQ(*Value(sql, "INSERT INTO notes (body) VALUES ('hello') RETURNING body"), "hello");
  EXPECT_EQ(*Value(sql, "SELECT count(*) FROM notes WHERE written_at IS NOT NULL"), "1");
}

TEST(Provision, ARefusedAnnouncementLeavesNoDatabases) {
  Stack& stack = SharedStack();
  const std::string first = FreshTenantId(), thief = FreshTenantId();
  const std::string domain = absl::StrCat(first, ".test.local");
  stack.PublishCreated(first, absl::StrCat("event-", first), domain);
  ASSERT_TRUE(stack.AwaitState(first, v1::TENANT_STATE_ACTIVE));
  stack.PublishCreated(thief, absl::StrCat("event-", thief), domain);
  for (const char* service : {"alpha", "beta"}) {
    EXPECT_TRUE(Eventually([&] {
      return stack.OnInstance(service, absl::StrCat("SELECT state FROM leasehold.tenants WHERE id = '", thief, "'"),
                              absl::StrCat(service, "_central")) == "removed";
    })) << service;
  }
  EXPECT_EQ(stack.DatabasesOf(thief), 0);
  EXPECT_EQ(stack.StateOf(thief), v1::TENANT_STATE_UNSPECIFIED);
  stack.CreateTenant(thief);  // with a domain of its own, or none, it may be had
  EXPECT_EQ(stack.DatabasesOf(thief), 2);
}

TEST(Provision, ATenantIsFoundByItsDomain) {
  Stack& stack = SharedStack();
  const std::string id = FreshTenantId();
  stack.PublishCreated(id, absl::StrCat("event-", id), absl::StrCat(id, ".test.local"));
  ASSERT_TRUE(stack.AwaitState(id, v1::TENANT_STATE_ACTIVE));
  v1::AcquireLeaseRequest request;
  request.set_domain(absl::StrCat(id, ".test.local"));
  request.set_service("beta-service");
  v1::AcquireLeaseResponse response;
  const grpc::Status status = stack.leases().AcquireLease(Deadline().get(), request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.lease().tenant(), id);
  pqxx::connection sql(response.credentials().dsn());
  EXPECT_EQ(*Value(sql, "SELECT current_database()"), absl::StrCat("tenant_", id, "_beta"));
}

TEST(Provision, TheOperationEndsWhenEveryServiceIsReady) {
  Stack& stack = SharedStack();
  v1::CreateTenantRequest request;
  request.mutable_tenant()->set_id(FreshTenantId());
  v1::TenantChange change;
  ASSERT_TRUE(stack.tenants().CreateTenant(Deadline().get(), request, &change).ok());
  EXPECT_EQ(change.tenant().state(), v1::TENANT_STATE_PROVISIONING);
  v1::GetOperationRequest watch;
  watch.set_id(change.operation().id());
  auto context = Deadline();
  auto reader = stack.operations().WatchOperation(context.get(), watch);
  v1::Operation operation;
  while (reader->Read(&operation)) {
  }
  ASSERT_TRUE(reader->Finish().ok());
  EXPECT_EQ(operation.state(), v1::OPERATION_STATE_SUCCEEDED) << operation.message();
  EXPECT_EQ(operation.done(), 2);
  EXPECT_EQ(operation.total(), 2);
}

TEST(Provision, ALeaseCanWaitForATenantThatIsStillBeingMade) {
  Stack& stack = SharedStack();
  const std::string id = FreshTenantId();
  v1::CreateTenantRequest create;
  create.mutable_tenant()->set_id(id);
  v1::TenantChange change;
  ASSERT_TRUE(stack.tenants().CreateTenant(Deadline().get(), create, &change).ok());
  v1::AcquireLeaseRequest request;
  request.set_tenant(id);
  request.set_service("alpha");
  *request.mutable_wait_ready() = FromDuration(absl::Seconds(20));
  v1::AcquireLeaseResponse response;
  const grpc::Status status = stack.leases().AcquireLease(Deadline(absl::Seconds(30)).get(), request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  pqxx::connection sql(response.credentials().dsn());
  EXPECT_EQ(*Value(sql, "SELECT count(*) FROM notes"), "0");
}

TEST(Provision, SuspendEndsSessionsWithinASecondAndResumeKeepsTheData) {
  Stack& stack = SharedStack();
  const std::string id = stack.CreateTenant(FreshTenantId());
  const std::string dsn = stack.Acquire(id, "alpha").credentials().dsn();
  pqxx::connection sql(dsn);
  ASSERT_TRUE(Value(sql, "INSERT INTO notes (body) VALUES ('kept')").ok());

  v1::SuspendTenantRequest suspend;
  suspend.set_id(id);
  v1::TenantChange change;
  ASSERT_TRUE(stack.tenants().SuspendTenant(Deadline().get(), suspend, &change).ok());
  const absl::Time suspended = absl::Now();
  EXPECT_TRUE(Eventually([&] { return !Value(sql, "SELECT 1").ok(); }, absl::Seconds(5)));
  EXPECT_LT(absl::Now() - suspended, absl::Seconds(1));
  EXPECT_NE(SqlStateOf([&] { pqxx::connection again(dsn); }), "");
  // PostgreSQL itself refuses, also past the gateway.
  EXPECT_TRUE(Eventually([&] {
    return stack.OnInstance("alpha", absl::StrCat("SELECT rolcanlogin FROM pg_roles WHERE rolname = 'tenant_", id,
                                                  "_alpha'")) == "f";
  }));

  v1::ResumeTenantRequest resume;
  resume.set_id(id);
  ASSERT_TRUE(stack.tenants().ResumeTenant(Deadline().get(), resume, &change).ok());
  ASSERT_TRUE(stack.AwaitState(id, v1::TENANT_STATE_ACTIVE));
  pqxx::connection resumed(stack.Acquire(id, "alpha").credentials().dsn());
  EXPECT_EQ(*Value(resumed, "SELECT body FROM notes"), "kept");
}

TEST(Provision, ADeletedTenantIsUnreachableAtOnceAndPurgedAfterItsRetention) {
  Stack& stack = SharedStack();
  const std::string id = stack.CreateTenant(FreshTenantId());
  const std::string dsn = stack.Acquire(id, "alpha").credentials().dsn();
  pqxx::connection sql(dsn);
  v1::DeleteTenantRequest request;
  request.set_id(id);
  *request.mutable_retention() = FromDuration(absl::Seconds(3));
  v1::TenantChange change;
  ASSERT_TRUE(stack.tenants().DeleteTenant(Deadline().get(), request, &change).ok());
  EXPECT_EQ(change.tenant().state(), v1::TENANT_STATE_DELETED);
  EXPECT_TRUE(Eventually([&] { return !Value(sql, "SELECT 1").ok(); }, absl::Seconds(2)));
  EXPECT_TRUE(Eventually([&] { return stack.DatabasesOf(id) == 0; }));
  EXPECT_TRUE(stack.AwaitState(id, v1::TENANT_STATE_UNSPECIFIED)) << "the id is free again";
  stack.CreateTenant(id);  // and can be used
  EXPECT_EQ(stack.DatabasesOf(id), 2);
}

TEST(Provision, WatchShowsPresentStatesThenChanges) {
  Stack& stack = SharedStack();
  const std::string id = stack.CreateTenant(FreshTenantId());
  v1::WatchTenantsRequest request;
  request.set_id(id);
  auto context = Deadline();
  auto reader = stack.tenants().WatchTenants(context.get(), request);
  v1::WatchTenantsResponse event;
  ASSERT_TRUE(reader->Read(&event));
  EXPECT_EQ(event.tenant().id(), id);
  ASSERT_TRUE(reader->Read(&event));
  EXPECT_TRUE(event.synced());
  v1::UpdateTenantRequest update;
  update.set_id(id);
  update.set_name("Renamed");
  v1::TenantChange change;
  ASSERT_TRUE(stack.tenants().UpdateTenant(Deadline().get(), update, &change).ok());
  ASSERT_TRUE(reader->Read(&event));
  EXPECT_EQ(event.tenant().name(), "Renamed");
  context->TryCancel();
}

TEST(Provision, TheCommandLineTellsTheSameStory) {
  Stack& stack = SharedStack();
  const std::string id = FreshTenantId();
  const Stack::Output created = stack.Run({"tenant", "create", id, "--name", "Acme", "--wait"});
  ASSERT_EQ(created.exit_code, 0) << created.err;
  const Stack::Output shown = stack.Run({"tenant", "get", id, "--json"});
  EXPECT_THAT(shown.out, HasSubstr("TENANT_STATE_ACTIVE"));
  const Stack::Output dsn = stack.Run({"lease", "acquire", id, "alpha", "--dsn"});
  pqxx::connection sql(std::string(absl::StripAsciiWhitespace(dsn.out)));
  EXPECT_EQ(*Value(sql, "SELECT current_database()"), absl::StrCat("tenant_", id, "_alpha"));
  const Stack::Output psql = stack.Run({"psql", id, "beta", "--", "-XAtc", "SELECT current_database()"});
  EXPECT_EQ(psql.exit_code, 0) << psql.err;
  EXPECT_THAT(psql.out, HasSubstr(absl::StrCat("tenant_", id, "_beta")));

  ASSERT_TRUE(Value(sql, "BEGIN").ok());
  const Stack::Output pools = stack.Run({"pools", "alpha"});
  EXPECT_EQ(pools.exit_code, 0) << pools.err;
  EXPECT_THAT(pools.out, AllOf(HasSubstr("HIT RATE"), HasSubstr(id), HasSubstr("/20"), Not(HasSubstr("beta"))));
  const Stack::Output json = stack.Run({"pools", "--json"});
  EXPECT_THAT(json.out, AllOf(HasSubstr("\"maxConnections\": 20"), HasSubstr("\"beta\""), HasSubstr(id)));
  const Stack::Output unknown = stack.Run({"pools", "gamma"});
  EXPECT_EQ(unknown.exit_code, 1);
  EXPECT_EQ(unknown.err, "leasehold: there is no service gamma; configured: alpha, beta\n");
}

}  // namespace
}  // namespace leasehold::testing
