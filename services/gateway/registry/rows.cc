#include "services/gateway/registry/rows.h"

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include <format>

#include "common/config/config.h"
#include "common/secret/secret.h"
#include "common/status/error.h"

namespace leasehold::gateway::rows {
namespace {

constexpr std::string_view kTenantState = "TENANT_STATE_";
constexpr std::string_view kServiceState = "SERVICE_STATE_";
constexpr std::string_view kDesiredState = "DESIRED_STATE_";
constexpr std::string_view kOperationKind = "OPERATION_KIND_";
constexpr std::string_view kOperationState = "OPERATION_STATE_";
constexpr std::string_view kBackupState = "BACKUP_STATE_";
constexpr std::string_view kPurged = "PURGED";

std::string Without(std::string_view prefix, std::string_view name) { return std::string(name.substr(prefix.size())); }

absl::Time TimeOf(const pqxx::field& field) {
  return field.is_null() ? absl::InfinitePast() : absl::FromUnixMicros(field.as<int64_t>());
}

absl::StatusOr<v1::DesiredState> DesiredStateOf(const pqxx::field& field) {
  v1::DesiredState desired = v1::DESIRED_STATE_UNSPECIFIED;
  if (v1::DesiredState_Parse(std::format("{}{}", kDesiredState, field.c_str()), &desired)) return desired;
  return absl::InternalError("a tenant has an unknown desired state");
}

}  // namespace

v1::ServiceState ServiceStateOf(const pqxx::field& field) {
  v1::ServiceState state = v1::SERVICE_STATE_UNSPECIFIED;
  (void)v1::ServiceState_Parse(std::format("{}{}", kServiceState, field.c_str()), &state);
  return state;
}

std::string Text(v1::TenantState state) {
  if (state == v1::TENANT_STATE_UNSPECIFIED) return std::string(kPurged);
  return Without(kTenantState, v1::TenantState_Name(state));
}
std::string Text(v1::ServiceState state) { return Without(kServiceState, v1::ServiceState_Name(state)); }
std::string Text(v1::DesiredState desired) { return Without(kDesiredState, v1::DesiredState_Name(desired)); }
std::string Text(v1::OperationKind kind) { return Without(kOperationKind, v1::OperationKind_Name(kind)); }
std::string Text(v1::OperationState state) { return Without(kOperationState, v1::OperationState_Name(state)); }
std::string Text(v1::BackupState state) { return Without(kBackupState, v1::BackupState_Name(state)); }

postgres::Param Time(absl::Time time) {
  if (time == absl::InfinitePast()) return std::nullopt;
  return absl::FormatTime("%Y-%m-%d %H:%M:%E6S+00", time, absl::UTCTimeZone());
}

postgres::Param Time(const google::protobuf::Timestamp& t) {
  return t.seconds() == 0 && t.nanos() == 0 ? postgres::Param() : Time(ToTime(t));
}

std::string Bytea(std::string_view bytes) { return "\\x" + Hex(bytes); }

absl::StatusOr<std::string> FromBytea(std::string_view text) {
  if (!text.starts_with("\\x")) return absl::InternalError("a bytea column is not in hex form");
  return FromHex(text.substr(2));
}

std::string Json(const Settings& settings) {
  google::protobuf::Struct object;
  for (const auto& [key, value] : settings) (*object.mutable_fields())[key].set_string_value(value);
  std::string json;
  // A Struct of strings always has a JSON form.
  (void)google::protobuf::util::MessageToJsonString(object, &json);
  return json;
}

absl::StatusOr<Settings> SettingsFromJson(std::string_view json) {
  google::protobuf::Struct object;
  if (!google::protobuf::util::JsonStringToMessage(std::string(json), &object).ok()) {
    return absl::InternalError("a tenant's settings are not a JSON object");
  }
  Settings settings;
  for (const auto& [key, value] : object.fields()) settings[key] = value.string_value();
  return settings;
}

v1::Tenant TenantRow::ToProto(Services services) const {
  v1::Tenant tenant;
  tenant.set_id(id);
  tenant.set_name(name);
  tenant.set_domain(domain);
  *tenant.mutable_settings() = settings;
  tenant.set_state(standing.state);
  tenant.set_generation(standing.generation);
  *tenant.mutable_create_time() = FromTime(create_time);
  *tenant.mutable_update_time() = FromTime(update_time);
  if (purge_time != absl::InfinitePast()) *tenant.mutable_purge_time() = FromTime(purge_time);
  for (const std::string& service : services) *tenant.add_services() = CurrentStatus(standing, service);
  tenant.set_message(MessageOf(standing, services));
  return tenant;
}

absl::StatusOr<TenantRow> TenantOf(const pqxx::row& row) {
  TenantRow tenant;
  tenant.id = row[0].as<std::string>();
  tenant.name = row[1].as<std::string>();
  tenant.domain = row[2].as<std::string>();
  LH_ASSIGN_OR_RETURN(tenant.settings, SettingsFromJson(row[3].as<std::string>()));
  const std::string state = row[4].as<std::string>();
  if (state != kPurged && !v1::TenantState_Parse(std::format("{}{}", kTenantState, state), &tenant.standing.state)) {
    return absl::InternalError(std::format("a tenant has the unknown state {}", state));
  }
  LH_ASSIGN_OR_RETURN(tenant.standing.desired, DesiredStateOf(row[5]));
  tenant.standing.generation = row[6].as<int64_t>();
  tenant.standing.provision_generation = row[7].as<int64_t>();
  tenant.create_time = TimeOf(row[8]);
  tenant.update_time = TimeOf(row[9]);
  tenant.purge_time = TimeOf(row[10]);
  tenant.standing.create_generation = row[11].as<int64_t>();
  tenant.standing.origin = {.tenant = row[12].as<std::string>(),
                            .backup = row[13].as<std::string>(),
                            .generation = row[14].as<int64_t>(),
                            .in_place = row[15].as<bool>()};
  tenant.traceparent = row[16].as<std::string>();
  return tenant;
}

absl::StatusOr<v1::DesiredTenant> DesiredOf(const pqxx::row& row) {
  v1::DesiredTenant tenant;
  tenant.set_id(row[0].as<std::string>());
  LH_ASSIGN_OR_RETURN(const v1::DesiredState desired, DesiredStateOf(row[1]));
  tenant.set_desired(desired);
  tenant.set_generation(row[2].as<int64_t>());
  tenant.set_create_generation(row[3].as<int64_t>());
  const Source source{
      .tenant = row[4].as<std::string>(), .backup = row[5].as<std::string>(), .generation = row[6].as<int64_t>()};
  if (auto origin = OriginOf(source)) *tenant.mutable_origin() = *std::move(origin);
  tenant.set_traceparent(row[9].as<std::string>());
  if (row[7].is_null()) return tenant;
  tenant.set_reported_state(ServiceStateOf(row[7]));
  tenant.set_reported_generation(row[8].as<int64_t>());
  return tenant;
}

v1::ServiceStatus ServiceOf(const pqxx::row& row, int first) {
  v1::ServiceStatus status;
  status.set_service(row[first].as<std::string>());
  status.set_state(ServiceStateOf(row[first + 1]));
  status.set_generation(row[first + 2].as<int64_t>());
  status.set_database(row[first + 3].as<std::string>());
  status.set_database_id(row[first + 4].as<std::string>());
  status.set_message(row[first + 5].as<std::string>());
  status.set_attempts(row[first + 6].as<int>());
  if (!row[first + 7].is_null()) *status.mutable_next_attempt_time() = FromTime(TimeOf(row[first + 7]));
  status.set_schema_version(row[first + 8].as<int>());
  if (!row[first + 9].is_null()) *status.mutable_update_time() = FromTime(TimeOf(row[first + 9]));
  status.set_version(row[first + 10].as<int64_t>());
  return status;
}

v1::Operation OperationOf(const pqxx::row& row) {
  v1::Operation operation;
  operation.set_tenant(row[0].as<std::string>());
  operation.set_generation(row[1].as<int64_t>());
  operation.set_id(OperationId(operation.tenant(), operation.generation()));
  v1::OperationKind kind = v1::OPERATION_KIND_UNSPECIFIED;
  (void)v1::OperationKind_Parse(std::format("{}{}", kOperationKind, row[2].c_str()), &kind);
  operation.set_kind(kind);
  v1::OperationState state = v1::OPERATION_STATE_UNSPECIFIED;
  (void)v1::OperationState_Parse(std::format("{}{}", kOperationState, row[3].c_str()), &state);
  operation.set_state(state);
  operation.set_done(row[4].as<int>());
  operation.set_total(row[5].as<int>());
  operation.set_message(row[6].as<std::string>());
  if (state == v1::OPERATION_STATE_CANCELLED) operation.mutable_error()->set_reason(v1::REASON_CANCELLED);
  if (state == v1::OPERATION_STATE_ABORTED) operation.mutable_error()->set_reason(v1::REASON_SUPERSEDED);
  *operation.mutable_create_time() = FromTime(TimeOf(row[7]));
  if (!row[8].is_null()) *operation.mutable_end_time() = FromTime(TimeOf(row[8]));
  operation.set_subject(row[9].as<std::string>());
  v1::Operation services;
  const absl::StatusOr<std::string> bytes = FromBytea(row[10].as<std::string>());
  if (bytes.ok() && services.ParseFromString(*bytes)) operation.mutable_services()->Swap(services.mutable_services());
  return operation;
}

std::string ServicesOf(const v1::Operation& operation) {
  v1::Operation services;
  *services.mutable_services() = operation.services();
  return Bytea(services.SerializeAsString());
}

v1::BackupStatus BackupServiceOf(const pqxx::row& row) {
  v1::BackupStatus status;
  status.set_backup(OperationId(row[0].view(), row[1].as<int64_t>()));
  status.set_service(row[2].as<std::string>());
  v1::BackupState state = v1::BACKUP_STATE_UNSPECIFIED;
  (void)v1::BackupState_Parse(std::format("{}{}", kBackupState, row[3].c_str()), &state);
  status.set_state(state);
  status.set_message(row[4].as<std::string>());
  status.set_attempts(row[5].as<int>());
  status.set_bytes(row[6].as<int64_t>());
  status.set_manifest_sha256(row[7].as<std::string>());
  status.set_schema_version(row[8].as<int>());
  if (!row[9].is_null()) *status.mutable_update_time() = FromTime(TimeOf(row[9]));
  return status;
}

std::optional<v1::Origin> OriginOf(const Source& source) {
  if (source.generation == 0) return std::nullopt;
  v1::Origin origin;
  origin.set_generation(source.generation);
  if (source.tenant.empty()) {
    origin.set_backup(source.backup);
  } else {
    origin.set_tenant(source.tenant);
  }
  return origin;
}

std::string OperationId(std::string_view tenant, int64_t generation) {
  return std::format("{}.{}", tenant, generation);
}

}  // namespace leasehold::gateway::rows
