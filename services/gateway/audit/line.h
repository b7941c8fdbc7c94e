// An event as the trail keeps it: one line of JSON.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "leasehold/v1/audit.pb.h"
#include "services/gateway/audit/entry.h"

namespace leasehold::gateway {

// protobuf's JSON mapping of the v1::AuditEvent without `id`, members in the order of the fields, and a newline. A
// tenant, service or lease that is none by its grammar is left out: who asks for it by that name may have mistaken the
// field.
void AppendAuditLine(std::string& out, absl::Time time, const AuditEntry& entry);

// With or without the newline.
absl::StatusOr<v1::AuditEvent> ParseAuditLine(std::string_view line);

// What a line holds whose text member `name` is `value`.
std::string AuditMember(std::string_view name, std::string_view value);

}  // namespace leasehold::gateway
