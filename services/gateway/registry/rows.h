// How the registry's protos look in its tables: enums as the words after their prefix, times with microseconds,
// settings as a JSON object of strings.
#pragma once

#include <optional>
#include <pqxx/pqxx>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/postgres/postgres.h"
#include "leasehold/v1/backup.pb.h"
#include "leasehold/v1/operation.pb.h"
#include "leasehold/v1/provisioner.pb.h"
#include "leasehold/v1/tenant.pb.h"
#include "services/gateway/registry/settings.h"
#include "services/gateway/registry/tenant_state.h"

namespace leasehold::gateway::rows {

// "ACTIVE"; "PURGED" for UNSPECIFIED, which stands for a tenant that is no longer there.
std::string Text(v1::TenantState state);
std::string Text(v1::ServiceState state);
v1::ServiceState ServiceStateOf(const pqxx::field& field);
std::string Text(v1::DesiredState desired);
std::string Text(v1::OperationKind kind);
std::string Text(v1::OperationState state);
std::string Text(v1::BackupState state);

postgres::Param Time(absl::Time time);                       // absl::InfinitePast() is NULL
postgres::Param Time(const google::protobuf::Timestamp& t);  // 0 is NULL
std::string Bytea(std::string_view bytes);                   // '\x…', the text form of bytea
absl::StatusOr<std::string> FromBytea(std::string_view text);

std::string Json(const Settings& settings);
absl::StatusOr<Settings> SettingsFromJson(std::string_view json);

// One tenant, all that its tables hold.
struct TenantRow {
  std::string id;
  std::string name;
  std::string domain;
  Settings settings;
  Standing standing;
  absl::Time create_time;
  absl::Time update_time;
  absl::Time purge_time = absl::InfinitePast();  // InfinitePast: none
  std::string traceparent;                       // of what asked for the generation; empty: nobody knows

  // As callers see it.
  v1::Tenant ToProto(Services services) const;
};

// Of leasehold.tenants t.
inline constexpr std::string_view kTenantColumns =
    "t.id, t.name, coalesce(t.domain, ''), t.settings::text, t.state, t.desired, t.generation, t.provision_generation,"
    " (extract(epoch FROM t.create_time) * 1000000)::bigint, (extract(epoch FROM t.update_time) * 1000000)::bigint,"
    " (extract(epoch FROM t.purge_time) * 1000000)::bigint, t.create_generation,"
    " coalesce(t.origin_tenant, ''), coalesce(t.origin_backup, ''), t.origin_generation, t.origin_in_place,"
    " t.traceparent";
inline constexpr int kTenantColumnCount = 17;
// From columns 0 to 16; without the services.
absl::StatusOr<TenantRow> TenantOf(const pqxx::row& row);

// Of leasehold.tenant_services s.
inline constexpr std::string_view kServiceColumns =
    "s.service, s.state, s.generation, s.database, s.database_id, s.message, s.attempts,"
    " (extract(epoch FROM s.next_attempt_time) * 1000000)::bigint, s.schema_version,"
    " (extract(epoch FROM s.update_time) * 1000000)::bigint, s.version";
// From column `first` on.
v1::ServiceStatus ServiceOf(const pqxx::row& row, int first);

// Of leasehold.tenants t and leasehold.tenant_services s, whose row may be missing.
inline constexpr std::string_view kDesiredColumns =
    "t.id, t.desired, t.generation, t.create_generation, coalesce(t.origin_tenant, ''), coalesce(t.origin_backup, ''),"
    " t.origin_generation, s.state, s.generation, t.traceparent";
absl::StatusOr<v1::DesiredTenant> DesiredOf(const pqxx::row& row);

// Of leasehold.operations.
inline constexpr std::string_view kOperationColumns =
    "tenant, generation, kind, state, done, total, message,"
    " (extract(epoch FROM create_time) * 1000000)::bigint, (extract(epoch FROM end_time) * 1000000)::bigint,"
    " subject, services::text";
v1::Operation OperationOf(const pqxx::row& row);
// The column `services` of an operation.
std::string ServicesOf(const v1::Operation& operation);

// Of leasehold.backup_services s.
inline constexpr std::string_view kBackupServiceColumns =
    "s.tenant, s.generation, s.service, s.state, s.message, s.attempts, s.bytes, s.manifest_sha256, s.schema_version,"
    " (extract(epoch FROM s.update_time) * 1000000)::bigint";
inline constexpr int kBackupServiceColumnCount = 10;
v1::BackupStatus BackupServiceOf(const pqxx::row& row);

// "<tenant>.<generation>", of operations and backups.
std::string OperationId(std::string_view tenant, int64_t generation);

// A standing's origin as the instances are told of it; nullopt: it has none.
std::optional<v1::Origin> OriginOf(const Source& source);

}  // namespace leasehold::gateway::rows
