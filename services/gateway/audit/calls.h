// Which gRPC calls are recorded, and what of a call its event tells.
#pragma once

#include <string>
#include <string_view>

#include "services/gateway/audit/entry.h"

namespace leasehold::gateway {

// What an event tells of a call. The texts point into the request and the answer, or into what is kept beside them.
struct CallTold {
  AuditEntry entry;
  std::string detail;  // entry.detail, if it had to be made
};

struct AuditedCall {
  v1::AuditAction action;
  // Of tenants, backups, migrations: what `audit.on_failure: refuse` answers only when it is stored.
  bool change;
  // `request`: the message that the method takes. `response`: its answer; nullptr if it was refused.
  void (*tell)(const void* request, const void* response, CallTold& told);
};

// Of "/leasehold.v1.TenantService/CreateTenant". nullptr: only refusals for who calls are recorded.
const AuditedCall* FindAuditedCall(std::string_view method);

}  // namespace leasehold::gateway
