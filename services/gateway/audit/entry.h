// What is recorded of one deed, or of a refusal.
#pragma once

#include <string_view>

#include "leasehold/v1/audit.pb.h"
#include "leasehold/v1/error.pb.h"

namespace leasehold::gateway {

// As v1::AuditEvent; what the texts point to is used during the call that is given the entry, and no longer. They are
// cut to 256 bytes. Never a secret.
struct AuditEntry {
  v1::AuditAction action = v1::AUDIT_ACTION_UNSPECIFIED;
  v1::Reason outcome = v1::REASON_UNSPECIFIED;  // done
  std::string_view principal = {};
  std::string_view holder = {};
  std::string_view address = {};
  std::string_view trace_id = {};
  std::string_view tenant = {};
  std::string_view service = {};
  std::string_view lease = {};
  std::string_view subject = {};
  std::string_view detail = {};
};

}  // namespace leasehold::gateway
