#include "services/gateway/gate/methods.h"

#include <algorithm>

#include "absl/container/flat_hash_map.h"
#include "absl/log/absl_check.h"
#include "common/policy/policy.h"

namespace leasehold::gateway {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

constexpr Named kEvery = {Named::How::kAll, {}};
constexpr Named By(std::string_view field) { return {Named::How::kBy, field}; }
constexpr Named Optionally(std::string_view field) { return {Named::How::kOptionally, field}; }
constexpr Named ByPrefix(std::string_view field) { return {Named::How::kByPrefix, field}; }

Method OfTenant(std::string_view name, std::string_view operation) {
  return {.name = name, .operation = operation, .tenants = {By("id")}};
}

Method OfService(std::string_view name, std::string_view operation, Named service) {
  return {.name = name, .operation = operation, .service = service};
}

Method OfLease(std::string_view name, std::string_view operation) {
  return {.name = name, .operation = operation, .of_lease = true};
}

std::vector<Method> Table() {
  const Named run = ByPrefix("id");
  return {
      {.name = "/leasehold.v1.TenantService/CreateTenant", .operation = "tenant.create", .tenants = {By("tenant.id")}},
      {.name = "/leasehold.v1.TenantService/GetTenant",
       .operation = "tenant.get",
       .tenants = {By("id")},
       .by_domain = true},
      {.name = "/leasehold.v1.TenantService/ListTenants", .operation = "tenant.list", .tenants = {kEvery}},
      OfTenant("/leasehold.v1.TenantService/UpdateTenant", "tenant.update"),
      OfTenant("/leasehold.v1.TenantService/SuspendTenant", "tenant.suspend"),
      OfTenant("/leasehold.v1.TenantService/ResumeTenant", "tenant.resume"),
      OfTenant("/leasehold.v1.TenantService/DeleteTenant", "tenant.delete"),
      OfTenant("/leasehold.v1.TenantService/UndeleteTenant", "tenant.undelete"),
      OfTenant("/leasehold.v1.TenantService/RetryTenant", "tenant.retry"),
      {.name = "/leasehold.v1.TenantService/CloneTenant",
       .operation = "tenant.clone",
       .tenants = {By("source"), By("tenant.id")}},
      OfTenant("/leasehold.v1.TenantService/WatchTenants", "tenant.watch"),

      {.name = "/leasehold.v1.OperationService/GetOperation",
       .operation = "operation.get",
       .tenants = {ByPrefix("id")}},
      {.name = "/leasehold.v1.OperationService/ListOperations",
       .operation = "operation.list",
       .tenants = {By("tenant")}},
      {.name = "/leasehold.v1.OperationService/WatchOperation",
       .operation = "operation.get",
       .tenants = {ByPrefix("id")}},
      {.name = "/leasehold.v1.OperationService/CancelOperation",
       .operation = "operation.cancel",
       .tenants = {ByPrefix("id")}},

      {.name = "/leasehold.v1.BackupService/CreateBackup", .operation = "backup.create", .tenants = {By("tenant")}},
      {.name = "/leasehold.v1.BackupService/GetBackup", .operation = "backup.get", .tenants = {ByPrefix("id")}},
      {.name = "/leasehold.v1.BackupService/ListBackups", .operation = "backup.list", .tenants = {By("tenant")}},
      {.name = "/leasehold.v1.BackupService/DeleteBackup", .operation = "backup.delete", .tenants = {ByPrefix("id")}},
      {.name = "/leasehold.v1.BackupService/RestoreBackup",
       .operation = "backup.restore",
       .tenants = {ByPrefix("backup"), Optionally("tenant.id")}},

      {.name = "/leasehold.v1.LeaseService/AcquireLease",
       .operation = "lease.acquire",
       .tenants = {By("tenant")},
       .service = By("service"),
       .acquires = true,
       .by_domain = true},
      {.name = "/leasehold.v1.LeaseService/HoldLease",
       .operation = "lease.acquire",
       .tenants = {By("tenant")},
       .service = By("service"),
       .acquires = true,
       .by_domain = true},
      OfLease("/leasehold.v1.LeaseService/RenewLease", "lease.renew"),
      OfLease("/leasehold.v1.LeaseService/SwitchLease", "lease.switch"),
      OfLease("/leasehold.v1.LeaseService/ReleaseLease", "lease.release"),
      OfLease("/leasehold.v1.LeaseService/GetLease", "lease.get"),
      {.name = "/leasehold.v1.LeaseService/ListLeases",
       .operation = "lease.list",
       .tenants = {By("tenant")},
       .service = By("service"),
       .any_lease = true},
      {.name = "/leasehold.v1.LeaseService/RevokeLeases",
       .operation = "lease.revoke",
       .tenants = {By("tenant")},
       .service = By("service"),
       .of_lease = true,
       .any_lease = true},

      OfService("/leasehold.v1.LogService/ListQueryLogs", "log.get", By("service")),
      OfService("/leasehold.v1.LogService/SetQueryLog", "log.set", By("service")),
      OfService("/leasehold.v1.LogService/ListLogLevels", "log.get", By("service")),
      OfService("/leasehold.v1.LogService/SetLogLevel", "log.set", By("service")),
      OfService("/leasehold.v1.PoolService/ListPools", "pool.list", By("service")),
      {.name = "/leasehold.v1.InstanceService/ListInstances",
       .operation = "instance.list",
       .tenants = {By("tenant")},
       .service = By("service")},
      {.name = "/leasehold.v1.StatusService/GetStatus",
       .operation = "status.get",
       .tenants = {kEvery},
       .service = kEvery},
      {.name = "/leasehold.v1.DoctorService/Diagnose",
       .operation = "doctor.diagnose",
       .tenants = {By("tenant")},
       .service = By("service")},

      OfService("/leasehold.v1.ProvisionerService/ListDesired", "provisioner.desired", By("service")),
      OfService("/leasehold.v1.ProvisionerService/ListBackupWork", "provisioner.backups", By("service")),
      OfService("/leasehold.v1.ProvisionerService/ReportFindings", "provisioner.report", By("service")),

      OfService("/leasehold.v1.MigrationService/GetMigrationStatus", "migration.status", By("service")),
      OfService("/leasehold.v1.MigrationService/PlanMigrations", "migration.plan", By("spec.service")),
      OfService("/leasehold.v1.MigrationService/StartMigrationRun", "migration.start", By("spec.service")),
      OfService("/leasehold.v1.MigrationService/GetMigrationRun", "migration.get", run),
      OfService("/leasehold.v1.MigrationService/ListMigrationRuns", "migration.list", By("service")),
      OfService("/leasehold.v1.MigrationService/ListMigrationTasks", "migration.get", run),
      OfService("/leasehold.v1.MigrationService/WatchMigrationRun", "migration.get", run),
      OfService("/leasehold.v1.MigrationService/CancelMigrationRun", "migration.cancel", run),
      OfService("/leasehold.v1.MigrationService/ResumeMigrationRun", "migration.resume", run),

      {.name = "/leasehold.v1.AuditService/ListAuditEvents",
       .operation = "audit.list",
       .tenants = {By("tenant")},
       .service = By("service")},
      {.name = "/leasehold.v1.AuditService/VerifyAudit",
       .operation = "audit.verify",
       .tenants = {kEvery},
       .service = kEvery},

      {.name = "/leasehold.v1.PolicyService/ExplainPolicy", .operation = "policy.explain"},
  };
}

const std::vector<Method>& All() {
  static const auto& table = *new std::vector<Method>(Table());
  return table;
}

}  // namespace

std::span<const Method> Methods() { return All(); }

const Method* FindMethod(std::string_view name) {
  static const auto& by_name = *[] {
    auto* map = new absl::flat_hash_map<std::string_view, const Method*>;
    for (const Method& method : All()) map->emplace(method.name, &method);
    return map;
  }();
  const auto found = by_name.find(name);
  return found == by_name.end() ? nullptr : found->second;
}

std::string TextAt(const Message& request, std::string_view field) {
  const Message* message = &request;
  for (size_t dot = field.find('.'); dot != std::string_view::npos; dot = field.find('.')) {
    const FieldDescriptor* step = message->GetDescriptor()->FindFieldByName(std::string(field.substr(0, dot)));
    ABSL_CHECK(step != nullptr && step->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) << field;
    message = &message->GetReflection()->GetMessage(*message, step);
    field.remove_prefix(dot + 1);
  }
  const FieldDescriptor* text = message->GetDescriptor()->FindFieldByName(std::string(field));
  ABSL_CHECK(text != nullptr && text->cpp_type() == FieldDescriptor::CPPTYPE_STRING) << field;
  return message->GetReflection()->GetString(*message, text);
}

std::string NameIn(const Message& request, const Named& named) {
  if (named.how == Named::How::kNowhere) return "";
  if (named.how == Named::How::kAll) return std::string(kAll);
  std::string text = TextAt(request, named.field);
  if (named.how == Named::How::kOptionally) return text;
  if (named.how == Named::How::kByPrefix) text.resize(std::min(text.rfind('.'), text.size()));
  return text.empty() ? std::string(kAll) : text;
}

}  // namespace leasehold::gateway
