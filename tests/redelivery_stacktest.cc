// Events twice, out of order, malformed, and over a NATS restart: nothing changes but latency.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/stack/stack.h"

namespace leasehold::testing {
namespace {

int64_t GenerationOf(Stack& stack, const std::string& id) {
  v1::GetTenantRequest request;
  request.set_id(id);
  v1::Tenant tenant;
  return stack.tenants().GetTenant(Deadline().get(), request, &tenant).ok() ? tenant.generation() : -1;
}

TEST(Redelivery, TheSameEventManyTimesMakesOneTenant) {
  Stack& stack = SharedStack();
  const std::string id = FreshTenantId();
  for (int i = 0; i < 5; ++i) stack.PublishCreated(id, absl::StrCat("event-", id));          // the very same
  for (int i = 0; i < 5; ++i) stack.PublishCreated(id, absl::StrCat("event-", id, "-", i));  // under new ids
  ASSERT_TRUE(stack.AwaitState(id, v1::TENANT_STATE_ACTIVE));
  // A later tenant has passed through the same streams, so the copies above have been seen by now.
  const std::string later = FreshTenantId();
  stack.PublishCreated(later, absl::StrCat("event-", later));
  ASSERT_TRUE(stack.AwaitState(later, v1::TENANT_STATE_ACTIVE));
  EXPECT_EQ(GenerationOf(stack, id), 1);
  EXPECT_EQ(stack.StateOf(id), v1::TENANT_STATE_ACTIVE);
  EXPECT_EQ(stack.DatabasesOf(id), 2);
}

TEST(Redelivery, AnOldEventDoesNotUndoANewerChange) {
  Stack& stack = SharedStack();
  const std::string id = stack.CreateTenant(FreshTenantId());
  v1::SuspendTenantRequest suspend;
  suspend.set_id(id);
  v1::TenantChange change;
  ASSERT_TRUE(stack.tenants().SuspendTenant(Deadline().get(), suspend, &change).ok());
  auto closed = [&] {
    return stack.OnInstance("alpha", absl::StrCat("SELECT rolcanlogin FROM pg_roles WHERE rolname = 'tenant_", id,
                                                  "_alpha'")) == "f";
  };
  ASSERT_TRUE(Eventually(closed));
  // Generation 1 again, as the registry's relay said it first, and a creation from another service.
  stack.PublishRaw(absl::StrCat("tenants.", id, ".created"),
                   absl::StrCat(R"({"specversion":"1.0","id":"replay","source":"leasehold-gateway",)",
                                R"("type":"leasehold.tenant.created.v1","data":{"id":")", id,
                                R"(","generation":"1","desired":"DESIRED_STATE_PRESENT"}})"));
  stack.PublishCreated(id, absl::StrCat("event-", id));
  const std::string later = FreshTenantId();
  stack.PublishCreated(later, absl::StrCat("event-", later));
  ASSERT_TRUE(stack.AwaitState(later, v1::TENANT_STATE_ACTIVE));
  EXPECT_TRUE(closed());
  EXPECT_EQ(stack.StateOf(id), v1::TENANT_STATE_SUSPENDED);
}

TEST(Redelivery, AMalformedEventIsParkedAndTheNextOneIsNot) {
  Stack& stack = SharedStack();
  stack.PublishRaw("tenants.bad.created", "not json at all");
  stack.PublishRaw("tenants.bad.created", R"({"specversion":"1.0","data":{"id":"Bad_Id!"}})");
  const std::string id = FreshTenantId();
  stack.PublishCreated(id, absl::StrCat("event-", id));
  ASSERT_TRUE(stack.AwaitState(id, v1::TENANT_STATE_ACTIVE));
  auto consumer = stack.nats().Subscribe(
      {.stream = "PROVISIONING", .durable = absl::StrCat("test-", id), .filter_subject = "provisioning.dead.alpha"});
  ASSERT_TRUE(consumer.ok()) << consumer.status();
  std::vector<std::string> parked;
  EXPECT_TRUE(Eventually([&] {
    auto messages = (*consumer)->Fetch(10, absl::Milliseconds(200));
    if (messages.ok()) {
      for (const auto& message : *messages) {
        parked.emplace_back(message->payload());
        message->Ack();
      }
    }
    return parked.size() >= 2;
  }));
}

TEST(Redelivery, AnEventPublishedRightAfterNatsComesBackIsNotLost) {
  Stack& stack = SharedStack();
  const std::string before = FreshTenantId();
  stack.PublishCreated(before, absl::StrCat("event-", before));
  stack.KillAndAwait("nats");
  const std::string after = FreshTenantId();
  stack.PublishCreated(after, absl::StrCat("event-", after));
  EXPECT_TRUE(stack.AwaitState(before, v1::TENANT_STATE_ACTIVE));
  EXPECT_TRUE(stack.AwaitState(after, v1::TENANT_STATE_ACTIVE));
}

TEST(Redelivery, ATenantCreatedWhileNatsIsDownIsProvisionedAfterwards) {
  Stack& stack = SharedStack();
  const pid_t nats = stack.Kill("nats");
  v1::CreateTenantRequest request;
  const std::string id = FreshTenantId();
  request.mutable_tenant()->set_id(id);
  v1::TenantChange change;
  const grpc::Status status = stack.tenants().CreateTenant(Deadline().get(), request, &change);
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_TRUE(Eventually([&] { return stack.PidOf("nats") > 0 && stack.PidOf("nats") != nats; }));
  EXPECT_TRUE(stack.AwaitState(id, v1::TENANT_STATE_ACTIVE));
}

}  // namespace
}  // namespace leasehold::testing
