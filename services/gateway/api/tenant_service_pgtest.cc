// TenantService, OperationService and ProvisionerService as a caller meets them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "services/gateway/api/registry_service_fixture.h"

namespace leasehold::gateway {
namespace {

class TenantServiceTest : public RegistryServiceTest {};

TEST_F(TenantServiceTest, CreateIsRepeatableAndRefusalsCarryTheirReason) {
  v1::TenantChange first, again;
  ASSERT_TRUE(Create("acme", &first, "r1").ok());
  EXPECT_EQ(first.tenant().name(), "acme");
  ASSERT_TRUE(Create("acme", &again, "r1").ok());
  EXPECT_EQ(again.SerializeAsString(), first.SerializeAsString());
  EXPECT_EQ(ReasonOf(Create("globex", nullptr, "r1")), v1::REASON_REQUEST_ID_REUSED);
  EXPECT_EQ(ReasonOf(Create("acme")), v1::REASON_TENANT_EXISTS);
  const absl::Status bad = Create("no_underscore");
  EXPECT_EQ(ReasonOf(bad), v1::REASON_INVALID_FIELD);
  EXPECT_EQ(DetailOf(bad)->field(), "tenant.id");
  EXPECT_EQ(DetailOf(bad)->value(), "no_underscore");
}

TEST_F(TenantServiceTest, ListsGiveOutPagesUntilTheLast) {
  for (const char* id : {"a", "b", "c"}) ASSERT_TRUE(Create(id).ok());
  v1::ListTenantsRequest request;
  request.set_page_size(2);
  std::string ids;
  int pages = 0;
  do {
    v1::ListTenantsResponse page;
    grpc::ClientContext context;
    ASSERT_TRUE(tenants_->ListTenants(&context, request, &page).ok());
    for (const v1::Tenant& tenant : page.tenants()) ids += tenant.id();
    request.set_page_token(page.next_page_token());
    ++pages;
  } while (!request.page_token().empty());
  EXPECT_EQ(ids, "abc");
  EXPECT_EQ(pages, 2);

  request.set_page_token("forged");
  v1::ListTenantsResponse page;
  grpc::ClientContext context;
  EXPECT_EQ(ReasonOf(FromGrpc(tenants_->ListTenants(&context, request, &page), "the test")), v1::REASON_BAD_PAGE_TOKEN);

  v1::ListOperationsRequest operations;
  operations.set_page_size(1);
  ids.clear();
  do {
    v1::ListOperationsResponse next;
    grpc::ClientContext call;
    ASSERT_TRUE(operations_->ListOperations(&call, operations, &next).ok());
    for (const v1::Operation& operation : next.operations()) ids += operation.tenant();
    operations.set_page_token(next.next_page_token());
  } while (!operations.page_token().empty());
  EXPECT_EQ(ids, "cba") << "newest first; of the same moment, the greatest id";
}

TEST_F(TenantServiceTest, WatchTellsThePresentThenChangesThenThatOneIsGone) {
  ASSERT_TRUE(Create("acme").ok());
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
  const auto reader = tenants_->WatchTenants(&context, v1::WatchTenantsRequest());
  v1::WatchTenantsResponse response;
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.tenant().id(), "acme");
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_TRUE(response.synced());

  // Reads until `done`, for states on the way may or may not be seen.
  const auto until = [&](const auto& done) {
    while (reader->Read(&response)) {
      if (done()) return true;
    }
    return false;
  };
  Report("acme", "core", v1::SERVICE_STATE_READY, 1);
  Report("acme", "identity", v1::SERVICE_STATE_READY, 1);
  EXPECT_TRUE(until([&] { return response.tenant().state() == v1::TENANT_STATE_ACTIVE; }));
  ASSERT_TRUE(Create("globex").ok());
  EXPECT_TRUE(until([&] { return response.tenant().id() == "globex"; }));

  v1::DeleteTenantRequest request;
  request.set_id("acme");
  request.mutable_retention();
  v1::TenantChange change;
  grpc::ClientContext call;
  ASSERT_TRUE(tenants_->DeleteTenant(&call, request, &change).ok());
  EXPECT_TRUE(until([&] { return response.tenant().state() == v1::TENANT_STATE_PURGING; }));
  Report("acme", "core", v1::SERVICE_STATE_REMOVED, 3);
  Report("acme", "identity", v1::SERVICE_STATE_REMOVED, 3);
  EXPECT_TRUE(until([&] { return response.removed() == "acme"; }));
  context.TryCancel();
}

TEST_F(TenantServiceTest, WatchOfOneTenantEndsWithIt) {
  ASSERT_TRUE(Create("globex").ok());
  v1::WatchTenantsRequest request;
  v1::WatchTenantsResponse response;
  request.set_id("acme");
  {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
    const auto nobody = tenants_->WatchTenants(&context, request);
    EXPECT_FALSE(nobody->Read(&response));
    const absl::Status status = FromGrpc(nobody->Finish(), "the test");
    EXPECT_EQ(ReasonOf(status), v1::REASON_TENANT_NOT_FOUND);
    EXPECT_THAT(std::string(status.message()), testing::HasSubstr("acme"));
  }

  ASSERT_TRUE(Create("acme").ok());
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
  const auto reader = tenants_->WatchTenants(&context, request);
  ASSERT_TRUE(reader->Read(&response));
  ASSERT_TRUE(reader->Read(&response));
  ASSERT_TRUE(response.synced());
  v1::DeleteTenantRequest deletion;
  deletion.set_id("acme");
  deletion.mutable_retention();
  v1::TenantChange change;
  grpc::ClientContext call;
  ASSERT_TRUE(tenants_->DeleteTenant(&call, deletion, &change).ok());
  do {
    ASSERT_TRUE(reader->Read(&response));
  } while (response.tenant().state() != v1::TENANT_STATE_PURGING);
  const int64_t generation = response.tenant().generation();
  Report("acme", "core", v1::SERVICE_STATE_REMOVED, generation);
  Report("acme", "identity", v1::SERVICE_STATE_REMOVED, generation);
  std::string last;
  while (reader->Read(&response)) last = response.removed();
  EXPECT_EQ(last, "acme");
  EXPECT_TRUE(reader->Finish().ok());
}

TEST_F(TenantServiceTest, WatchOfOneServiceTellsOnlyOfIt) {
  ASSERT_TRUE(Create("acme").ok());
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
  v1::WatchTenantsRequest request;
  request.set_id("acme");
  request.set_service("core");
  const auto reader = tenants_->WatchTenants(&context, request);
  v1::WatchTenantsResponse response;
  ASSERT_TRUE(reader->Read(&response));
  ASSERT_TRUE(reader->Read(&response));
  ASSERT_TRUE(response.synced());
  Report("acme", "identity", v1::SERVICE_STATE_READY, 1);
  ASSERT_TRUE(Create("globex").ok());
  Report("acme", "core", v1::SERVICE_STATE_READY, 1);
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.tenant().id(), "acme");
  EXPECT_EQ(response.tenant().state(), v1::TENANT_STATE_ACTIVE) << "not what identity did before";
  context.TryCancel();

  grpc::ClientContext refused;
  request.set_service("payroll");
  const auto none = tenants_->WatchTenants(&refused, request);
  EXPECT_FALSE(none->Read(&response));
  EXPECT_EQ(ReasonOf(FromGrpc(none->Finish(), "the test")), v1::REASON_SERVICE_NOT_FOUND);
}

TEST_F(TenantServiceTest, WatchOperationEndsWithItsFinalState) {
  ASSERT_TRUE(Create("acme").ok());
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
  v1::GetOperationRequest request;
  request.set_id("acme.1");
  const auto reader = operations_->WatchOperation(&context, request);
  v1::Operation operation;
  ASSERT_TRUE(reader->Read(&operation));
  EXPECT_EQ(operation.done(), 0);
  EXPECT_EQ(operation.message(), "waiting for core, identity");
  Report("acme", "core", v1::SERVICE_STATE_READY, 1);
  ASSERT_TRUE(reader->Read(&operation));
  EXPECT_EQ(operation.done(), 1);
  Report("acme", "identity", v1::SERVICE_STATE_READY, 1);
  ASSERT_TRUE(reader->Read(&operation));
  EXPECT_EQ(operation.state(), v1::OPERATION_STATE_SUCCEEDED);
  EXPECT_FALSE(reader->Read(&operation));
  EXPECT_TRUE(reader->Finish().ok());

  for (const auto& [id, reason] :
       {std::pair("acme.9", v1::REASON_OPERATION_NOT_FOUND), std::pair("acme", v1::REASON_INVALID_FIELD)}) {
    grpc::ClientContext other;
    request.set_id(id);
    const auto none = operations_->WatchOperation(&other, request);
    EXPECT_FALSE(none->Read(&operation));
    EXPECT_EQ(ReasonOf(FromGrpc(none->Finish(), "the test")), reason) << id;
  }
}

TEST_F(TenantServiceTest, ProvisionersSeeWhatIsWantedAndWhatTheyReported) {
  ASSERT_TRUE(Create("acme").ok());
  ASSERT_TRUE(Create("globex").ok());
  Report("acme", "core", v1::SERVICE_STATE_READY, 1);
  v1::ListDesiredRequest request;
  request.set_service("core-service");
  request.set_page_size(1);
  v1::ListDesiredResponse page;
  {
    grpc::ClientContext context;
    ASSERT_TRUE(provisioners_->ListDesired(&context, request, &page).ok());
  }
  ASSERT_EQ(page.tenants_size(), 1);
  EXPECT_EQ(page.tenants(0).desired(), v1::DESIRED_STATE_PRESENT);
  EXPECT_EQ(page.tenants(0).reported_state(), v1::SERVICE_STATE_READY);
  EXPECT_EQ(page.tenants(0).reported_generation(), 1);
  request.set_page_token(page.next_page_token());
  {
    grpc::ClientContext context;
    ASSERT_TRUE(provisioners_->ListDesired(&context, request, &page).ok());
  }
  ASSERT_EQ(page.tenants_size(), 1);
  EXPECT_EQ(page.tenants(0).id(), "globex");
  EXPECT_EQ(page.tenants(0).reported_state(), v1::SERVICE_STATE_UNSPECIFIED);
  EXPECT_EQ(page.next_page_token(), "");
  // A token of one service's list is not one of another's.
  request.set_service("identity");
  grpc::ClientContext context;
  EXPECT_EQ(ReasonOf(FromGrpc(provisioners_->ListDesired(&context, request, &page), "the test")),
            v1::REASON_BAD_PAGE_TOKEN);
}

}  // namespace
}  // namespace leasehold::gateway
