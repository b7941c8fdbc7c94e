// Processes killed at bad moments: the system converges without a person.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/stack/stack.h"

namespace leasehold::testing {
namespace {

TEST(Recovery, AProvisionerKilledInTheMiddleOfCreatingFinishesAfterwards) {
  Stack& stack = SharedStack();
  std::vector<std::string> ids;
  // Many at once, so that the kill falls into the middle of several creations.
  for (int i = 0; i < 12; ++i) {
    ids.push_back(FreshTenantId());
    stack.PublishCreated(ids.back(), absl::StrCat("event-", ids.back()));
  }
  auto made = [&] {
    int count = 0;
    for (const std::string& id : ids) count += stack.DatabasesOf(id);
    return count;
  };
  ASSERT_TRUE(Eventually([&] { return made() >= 1; }));
  stack.Kill("provisioner/alpha");
  stack.Kill("provisioner/beta");
  const int at_kill = made();
  for (const std::string& id : ids) EXPECT_TRUE(stack.AwaitState(id, v1::TENANT_STATE_ACTIVE, absl::Minutes(1))) << id;
  EXPECT_EQ(made(), 24);
  EXPECT_LT(at_kill, 24) << "the kill came too late to test anything";
  // Nothing half-made is left behind: what still bears such a name is a finished spare.
  EXPECT_TRUE(Eventually([&] {
    return stack.OnInstance("alpha",
                            "SELECT count(*) FROM pg_database WHERE datname LIKE 'leasehold\\_new\\_%' AND NOT EXISTS "
                            "(SELECT FROM leasehold.spares WHERE state = 'ready' AND datname = 'leasehold_new_' || "
                            "database_id)",
                            "alpha_central") == "0";
  }));
}

TEST(Recovery, ALeaseOutlivesItsGateway) {
  Stack& stack = SharedStack();
  const std::string id = stack.CreateTenant(FreshTenantId());
  const v1::AcquireLeaseResponse lease = stack.Acquire(id, "alpha");
  {
    pqxx::connection sql(lease.credentials().dsn());
    ASSERT_TRUE(Value(sql, "INSERT INTO notes (body) VALUES ('before')").ok());
    stack.KillAndAwait("gateway");
    EXPECT_FALSE(Value(sql, "SELECT 1").ok());
  }
  pqxx::connection sql(lease.credentials().dsn());
  EXPECT_EQ(*Value(sql, "SELECT body FROM notes"), "before");
}

TEST(Recovery, ARevocationOutlivesTheGatewayToo) {
  Stack& stack = SharedStack();
  const std::string id = stack.CreateTenant(FreshTenantId());
  const v1::AcquireLeaseResponse lease = stack.Acquire(id, "alpha");
  v1::RevokeLeasesRequest revoke;
  revoke.set_id(lease.lease().id());
  v1::RevokeLeasesResponse revoked;
  ASSERT_TRUE(stack.leases().RevokeLeases(Deadline().get(), revoke, &revoked).ok());
  EXPECT_EQ(revoked.revoked(), 1);
  EXPECT_NE(SqlStateOf([&] { pqxx::connection sql(lease.credentials().dsn()); }), "");
  stack.KillAndAwait("gateway");
  EXPECT_NE(SqlStateOf([&] { pqxx::connection sql(lease.credentials().dsn()); }), "");
}

TEST(Recovery, SessionsGoOnWithNatsAndTheRegistryDown) {
  Stack& stack = SharedStack();
  const std::string id = stack.CreateTenant(FreshTenantId());
  const v1::AcquireLeaseResponse lease = stack.Acquire(id, "alpha");
  pqxx::connection sql(lease.credentials().dsn());
  ASSERT_TRUE(Value(sql, "SELECT 1").ok());
  stack.Kill("nats");
  stack.Kill("postgres/registry");
  EXPECT_EQ(*Value(sql, "INSERT INTO notes (body) VALUES ('on my own') RETURNING body"), "on my own");
  pqxx::connection fresh(lease.credentials().dsn());  // a valid lease still connects
  EXPECT_EQ(*Value(fresh, "SELECT body FROM notes"), "on my own");
  stack.AwaitReady();
  EXPECT_TRUE(stack.AwaitState(id, v1::TENANT_STATE_ACTIVE));
}

TEST(Recovery, AnInstanceThatCrashesComesBackWithItsTenants) {
  Stack& stack = SharedStack();
  const std::string id = stack.CreateTenant(FreshTenantId());
  const v1::AcquireLeaseResponse lease = stack.Acquire(id, "alpha");
  stack.Kill("postgres/alpha");
  EXPECT_TRUE(Eventually([&] {
    try {
      pqxx::connection sql(lease.credentials().dsn());
      return Value(sql, "SELECT count(*) FROM notes").ok();
    } catch (const pqxx::failure&) {
      return false;
    }
  }));
  const std::string later = stack.CreateTenant(FreshTenantId());
  EXPECT_EQ(stack.DatabasesOf(later), 2);
}

TEST(Recovery, AHeldLeaseEndsWithItsCaller) {
  Stack& stack = SharedStack();
  const std::string id = stack.CreateTenant(FreshTenantId());
  v1::AcquireLeaseRequest request;
  request.set_tenant(id);
  request.set_service("alpha");
  grpc::ClientContext context;
  auto reader = stack.leases().HoldLease(&context, request);
  v1::AcquireLeaseResponse held;
  ASSERT_TRUE(reader->Read(&held));
  pqxx::connection sql(held.credentials().dsn());
  ASSERT_TRUE(Value(sql, "SELECT 1").ok());
  context.TryCancel();  // what the gateway sees of a caller that dies
  EXPECT_TRUE(Eventually([&] { return !Value(sql, "SELECT 1").ok(); }, absl::Seconds(3)));
  v1::GetLeaseRequest get;
  get.set_id(held.lease().id());
  v1::Lease lease;
  ASSERT_TRUE(stack.leases().GetLease(Deadline().get(), get, &lease).ok());
  EXPECT_EQ(lease.state(), v1::LEASE_STATE_RELEASED);
}

}  // namespace
}  // namespace leasehold::testing
