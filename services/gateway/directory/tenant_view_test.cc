#include <gtest/gtest.h>

#include "common/status/error.h"
#include "services/gateway/directory/directory.h"

namespace leasehold::gateway {
namespace {

TenantView Acme(v1::TenantState state, v1::ServiceState identity) {
  TenantView view{.id = *TenantId::Parse("acme"), .state = state, .generation = 1, .services = {}};
  view.services["identity"] = {.state = identity, .database_id = "00112233445566aa", .generation = 1};
  return view;
}

TEST(TenantViewTest, UsableSaysWhyNot) {
  const ServiceName identity = *ServiceName::Parse("identity");
  const ServiceName payroll = *ServiceName::Parse("payroll");
  struct Case {
    v1::TenantState state;
    v1::ServiceState service;
    Reason want;  // UNSPECIFIED: usable
  };
  for (const Case& c : {
           Case{v1::TENANT_STATE_ACTIVE, v1::SERVICE_STATE_READY, v1::REASON_UNSPECIFIED},
           Case{v1::TENANT_STATE_PROVISIONING, v1::SERVICE_STATE_READY, v1::REASON_UNSPECIFIED},
           Case{v1::TENANT_STATE_DEGRADED, v1::SERVICE_STATE_READY, v1::REASON_UNSPECIFIED},
           Case{v1::TENANT_STATE_DEGRADED, v1::SERVICE_STATE_FAILED, v1::REASON_TENANT_NOT_READY},
           Case{v1::TENANT_STATE_PROVISIONING, v1::SERVICE_STATE_PENDING, v1::REASON_TENANT_NOT_READY},
           Case{v1::TENANT_STATE_SUSPENDED, v1::SERVICE_STATE_READY, v1::REASON_TENANT_SUSPENDED},
           Case{v1::TENANT_STATE_DELETED, v1::SERVICE_STATE_READY, v1::REASON_TENANT_DELETED},
           Case{v1::TENANT_STATE_PURGING, v1::SERVICE_STATE_READY, v1::REASON_TENANT_DELETED},
       }) {
    EXPECT_EQ(ReasonOf(Acme(c.state, c.service).Usable(identity)), c.want)
        << v1::TenantState_Name(c.state) << " " << v1::ServiceState_Name(c.service);
  }
  EXPECT_EQ(ReasonOf(Acme(v1::TENANT_STATE_ACTIVE, v1::SERVICE_STATE_READY).Usable(payroll)),
            v1::REASON_SERVICE_NOT_FOUND);
}

}  // namespace
}  // namespace leasehold::gateway
