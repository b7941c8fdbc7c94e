// Requests of TenantService, checked field by field and turned into what the store takes. INVALID_FIELD names the
// field.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "leasehold/v1/tenant.pb.h"
#include "services/gateway/registry/store.h"

namespace leasehold::gateway {

// Of a request's field "tenant": id, name, domain and settings.
absl::StatusOr<NewTenant> CheckNew(const v1::Tenant& tenant);
absl::StatusOr<TenantEdit> CheckUpdate(const v1::UpdateTenantRequest& request);
// nullopt: as configured.
absl::StatusOr<std::optional<absl::Duration>> CheckRetention(const v1::DeleteTenantRequest& request);
// Of a request's field "id".
absl::StatusOr<TenantId> CheckId(std::string_view id);

// At most 128 printable ASCII characters, or empty. The fingerprint covers the method and all other fields.
absl::StatusOr<RequestKey> CheckRequestId(std::string_view method, const google::protobuf::Message& request);

}  // namespace leasehold::gateway
