#include "tests/stack/tenants.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace leasehold::testing {
namespace {

std::string Logins(Stack& stack, const std::string& id) {
  return stack.OnInstance(
      "alpha", absl::StrCat("SELECT string_agg(rolcanlogin::text, ' ') FROM pg_roles WHERE rolname IN ('", NameOf(id),
                            "', '", NameOf(id), "_ro')"));
}

}  // namespace

std::string NameOf(const std::string& id) { return absl::StrCat("tenant_", id, "_alpha"); }

void Create(Stack& stack, const std::string& id) {
  v1::CreateTenantRequest request;
  request.mutable_tenant()->set_id(id);
  v1::TenantChange change;
  ASSERT_TRUE(stack.tenants().CreateTenant(Deadline().get(), request, &change).ok());
}

void Suspend(Stack& stack, const std::string& id) {
  v1::SuspendTenantRequest request;
  request.set_id(id);
  v1::TenantChange change;
  ASSERT_TRUE(stack.tenants().SuspendTenant(Deadline().get(), request, &change).ok());
}

void Delete(Stack& stack, const std::string& id, absl::Duration retention) {
  v1::DeleteTenantRequest request;
  request.set_id(id);
  request.mutable_retention()->set_seconds(absl::ToInt64Seconds(retention));
  v1::TenantChange change;
  ASSERT_TRUE(stack.tenants().DeleteTenant(Deadline().get(), request, &change).ok());
}

void RemoveAll(Stack& stack) {
  v1::ListTenantsRequest request;
  request.set_page_size(1000);
  v1::ListTenantsResponse all;
  do {
    v1::ListTenantsResponse page;
    ASSERT_TRUE(stack.tenants().ListTenants(Deadline().get(), request, &page).ok());
    request.set_page_token(page.next_page_token());
    all.mutable_tenants()->MergeFrom(page.tenants());
  } while (!request.page_token().empty());
  for (const v1::Tenant& tenant : all.tenants()) Delete(stack, tenant.id());
  for (const v1::Tenant& tenant : all.tenants()) {
    EXPECT_TRUE(stack.AwaitState(tenant.id(), v1::TENANT_STATE_UNSPECIFIED, absl::Minutes(2))) << tenant.id();
  }
}

v1::Operation OperationOf(Stack& stack, const std::string& id) {
  v1::GetOperationRequest request;
  request.set_id(id);
  v1::Operation operation;
  const grpc::Status status = stack.operations().GetOperation(Deadline().get(), request, &operation);
  EXPECT_TRUE(status.ok()) << id << ": " << status.error_message();
  return operation;
}

v1::ServiceState AlphaStateOf(Stack& stack, const std::string& id) {
  v1::GetTenantRequest request;
  request.set_id(id);
  v1::Tenant tenant;
  if (!stack.tenants().GetTenant(Deadline().get(), request, &tenant).ok()) return v1::SERVICE_STATE_UNSPECIFIED;
  for (const auto& service : tenant.services()) {
    if (service.service() == "alpha") return service.state();
  }
  return v1::SERVICE_STATE_UNSPECIFIED;
}

bool IsClosed(Stack& stack, const std::string& id) { return Logins(stack, id) == "false false"; }
bool IsOpen(Stack& stack, const std::string& id) { return Logins(stack, id) == "true true"; }

bool NothingIsLeftOf(Stack& stack, const std::string& id) {
  return stack.Strays("alpha") == 0 &&
         stack.OnInstance("alpha", absl::StrCat("SELECT (SELECT count(*) FROM pg_database WHERE datname = '",
                                                NameOf(id), "') + (SELECT count(*) FROM pg_roles WHERE rolname LIKE '",
                                                NameOf(id), "%')")) == "0";
}

void WriteNote(Stack& stack, const std::string& id, const std::string& body) {
  stack.OnInstance("alpha", absl::StrCat("INSERT INTO notes (body) VALUES ('", body, "')"), NameOf(id));
}

std::string NotesOf(Stack& stack, const std::string& id) {
  return stack.OnInstance("alpha", "SELECT coalesce(string_agg(body, ', ' ORDER BY id), 'none') FROM notes",
                          NameOf(id));
}

}  // namespace leasehold::testing
