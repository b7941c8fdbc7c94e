#include <format>
#include <optional>
#include <utility>

#include "common/config/config.h"
#include "common/status/error.h"
#include "services/gateway/registry/backup_state.h"
#include "services/gateway/registry/outbox.h"
#include "services/gateway/registry/store.h"

namespace leasehold::gateway {
namespace {

absl::Status NoBackup(const OperationId& id) {
  return Error(v1::REASON_BACKUP_NOT_FOUND, std::format("there is no backup {}", id.str()));
}

}  // namespace

absl::StatusOr<v1::BackupChange> Store::CreateBackup(const TenantId& id, const RequestKey& key) {
  return Once<v1::BackupChange>(key, [&](postgres::Transaction& tx) -> absl::StatusOr<v1::BackupChange> {
    LH_ASSIGN_OR_RETURN(Applied applied, Apply(tx, id, Change::kBackup, nullptr));
    v1::BackupChange answer;
    *answer.mutable_operation() = std::move(*applied.answer.mutable_operation());
    LH_ASSIGN_OR_RETURN(*answer.mutable_backup(),
                        LockBackup(tx, {.tenant = id, .generation = answer.operation().generation()}));
    return answer;
  });
}

absl::Status Store::BeginBackup(postgres::Transaction& tx, const OperationId& id) {
  const std::string generation = std::to_string(id.generation);
  LH_RETURN_IF_ERROR(
      tx.Exec("INSERT INTO leasehold.backups (tenant, generation, removed, create_time) VALUES ($1, $2, false, $3)",
              {id.tenant.str(), generation, rows::Time(clock_.Now())})
          .status());
  for (const std::string& service : services_) {
    LH_RETURN_IF_ERROR(tx.Exec("INSERT INTO leasehold.backup_services (tenant, generation, service, state)"
                               " VALUES ($1, $2, $3, 'RUNNING')",
                               {id.tenant.str(), generation, service})
                           .status());
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<v1::Backup>> Store::ReadBackups(postgres::Transaction& tx, std::string_view which,
                                                           std::initializer_list<postgres::Param> params) {
  LH_ASSIGN_OR_RETURN(
      const pqxx::result found,
      tx.Exec(std::format("SELECT {}, b.removed, (extract(epoch FROM b.create_time) * 1000000)::bigint,"
                          " (extract(epoch FROM b.end_time) * 1000000)::bigint, b.tenant, b.generation"
                          " FROM (SELECT * FROM leasehold.backups WHERE {}) b LEFT JOIN leasehold.backup_services s"
                          " ON (s.tenant, s.generation) = (b.tenant, b.generation)"
                          " ORDER BY b.create_time DESC, b.tenant DESC, b.generation DESC, s.service",
                          rows::kBackupServiceColumns, which),
              params));
  std::vector<v1::Backup> backups;
  constexpr int kFirst = rows::kBackupServiceColumnCount;
  bool removed = false;
  const auto conclude = [&] {
    if (!backups.empty()) backups.back().set_state(StateOf(backups.back(), removed));
  };
  for (const pqxx::row& row : found) {
    std::string id = rows::OperationId(row[kFirst + 3].view(), row[kFirst + 4].as<int64_t>());
    if (backups.empty() || backups.back().id() != id) {
      conclude();
      v1::Backup& backup = backups.emplace_back();
      backup.set_id(std::move(id));
      backup.set_tenant(row[kFirst + 3].as<std::string>());
      *backup.mutable_create_time() = FromTime(absl::FromUnixMicros(row[kFirst + 1].as<int64_t>()));
      if (!row[kFirst + 2].is_null()) {
        *backup.mutable_end_time() = FromTime(absl::FromUnixMicros(row[kFirst + 2].as<int64_t>()));
      }
      removed = row[kFirst].as<bool>();
    }
    if (!row[0].is_null()) *backups.back().add_services() = rows::BackupServiceOf(row);
  }
  conclude();
  return backups;
}

absl::StatusOr<v1::Backup> Store::LockBackup(postgres::Transaction& tx, const OperationId& id) {
  LH_RETURN_IF_ERROR(tx.Exec("SELECT FROM leasehold.backups WHERE tenant = $1 AND generation = $2 FOR UPDATE",
                             {id.tenant.str(), std::to_string(id.generation)})
                         .status());
  return FindBackup(tx, id);
}

absl::StatusOr<v1::Backup> Store::FindBackup(postgres::Transaction& tx, const OperationId& id) {
  const std::string generation = std::to_string(id.generation);
  LH_ASSIGN_OR_RETURN(std::vector<v1::Backup> found,
                      ReadBackups(tx, "tenant = $1 AND generation = $2", {id.tenant.str(), generation}));
  if (found.empty()) return NoBackup(id);
  return std::move(found.front());
}

absl::StatusOr<v1::Backup> Store::GetBackup(const OperationId& id) {
  v1::Backup backup;
  const absl::Status done = Transact([&](postgres::Transaction& tx) -> absl::Status {
    LH_ASSIGN_OR_RETURN(backup, FindBackup(tx, id));
    return absl::OkStatus();
  });
  LH_RETURN_IF_ERROR(done);
  return backup;
}

absl::StatusOr<std::vector<v1::Backup>> Store::ListBackups(const std::string& tenant, int limit,
                                                           const std::optional<v1::Backup>& after) {
  std::optional<OperationId> behind;
  if (after) {
    LH_ASSIGN_OR_RETURN(behind, OperationId::Parse(after->id()));
  }
  std::vector<v1::Backup> backups;
  const absl::Status done = Transact([&](postgres::Transaction& tx) -> absl::Status {
    LH_ASSIGN_OR_RETURN(backups, ReadBackups(tx,
                                             "($1 = '' OR tenant = $1) AND ($2::timestamptz IS NULL"
                                             " OR (create_time, tenant, generation) < ($2, $3, $4))"
                                             " ORDER BY create_time DESC, tenant DESC, generation DESC LIMIT $5",
                                             {tenant, after ? rows::Time(after->create_time()) : postgres::Param(),
                                              behind ? behind->tenant.str() : std::string(),
                                              std::to_string(behind ? behind->generation : 0), std::to_string(limit)}));
    return absl::OkStatus();
  });
  LH_RETURN_IF_ERROR(done);
  return backups;
}

absl::StatusOr<v1::Backup> Store::DeleteBackup(const OperationId& id, const RequestKey& key) {
  return Once<v1::Backup>(key, [&](postgres::Transaction& tx) -> absl::StatusOr<v1::Backup> {
    LH_RETURN_IF_ERROR(Lock(tx, id.tenant).status());
    LH_ASSIGN_OR_RETURN(v1::Backup backup, LockBackup(tx, id));
    if (backup.state() == v1::BACKUP_STATE_REMOVED) return backup;
    LH_RETURN_IF_ERROR(CheckUnused(tx, id));
    LH_RETURN_IF_ERROR(RemoveBackup(tx, id, v1::OPERATION_STATE_CANCELLED, "the backup was deleted"));
    return LockBackup(tx, id);
  });
}

absl::Status Store::CheckUnused(postgres::Transaction& tx, const OperationId& id) {
  LH_ASSIGN_OR_RETURN(
      const pqxx::result used,
      tx.Exec("SELECT id, origin_generation FROM leasehold.tenants WHERE origin_backup = $1 ORDER BY id LIMIT 1",
              {id.str()}));
  if (used.empty()) return absl::OkStatus();
  return Error(v1::REASON_TENANT_NOT_READY,
               std::format("backup {} is needed: tenant {} is being restored from it (operation {})", id.str(),
                           used[0][0].view(), rows::OperationId(used[0][0].view(), used[0][1].as<int64_t>())));
}

absl::Status Store::RemoveBackup(postgres::Transaction& tx, const OperationId& id, v1::OperationState state,
                                 std::string_view why) {
  const absl::Time now = clock_.Now();
  const std::string generation = std::to_string(id.generation);
  LH_RETURN_IF_ERROR(tx.Exec("UPDATE leasehold.backups SET removed = true, end_time = coalesce(end_time, $3)"
                             " WHERE tenant = $1 AND generation = $2",
                             {id.tenant.str(), generation, rows::Time(now)})
                         .status());
  LH_RETURN_IF_ERROR(tx.Exec("UPDATE leasehold.backup_services SET open = state <> 'REMOVED'"
                             " WHERE tenant = $1 AND generation = $2",
                             {id.tenant.str(), generation})
                         .status());
  LH_RETURN_IF_ERROR(tx.Exec("UPDATE leasehold.operations SET state = $3, message = $4, end_time = $5"
                             " WHERE tenant = $1 AND generation = $2 AND state = 'RUNNING'",
                             {id.tenant.str(), generation, rows::Text(state), std::string(why), rows::Time(now)})
                         .status());
  LH_ASSIGN_OR_RETURN(const rows::TenantRow tenant, Find(tx, id.tenant, ""));
  LH_RETURN_IF_ERROR(
      Enqueue(tx, tenant, "updated", now, {.present = true, .suffix = std::format(".without-{}", id.generation)}));
  return Notify(tx, id.tenant);
}

absl::Status Store::RemoveRunningBackups(postgres::Transaction& tx, const TenantId& tenant) {
  LH_ASSIGN_OR_RETURN(
      const pqxx::result running,
      tx.Exec(
          "SELECT generation FROM leasehold.backups WHERE tenant = $1 AND NOT removed AND end_time IS NULL FOR UPDATE",
          {tenant.str()}));
  for (const pqxx::row& row : running) {
    LH_RETURN_IF_ERROR(RemoveBackup(tx, {.tenant = tenant, .generation = row[0].as<int64_t>()},
                                    v1::OPERATION_STATE_ABORTED, "the tenant is being dropped for good"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<v1::BackupWork>> Store::ListBackupWork(const ServiceName& service) {
  std::vector<v1::BackupWork> work;
  const absl::Status done = Transact([&](postgres::Transaction& tx) -> absl::Status {
    work.clear();
    LH_ASSIGN_OR_RETURN(const pqxx::result found,
                        tx.Exec("SELECT s.tenant, s.generation, b.removed FROM leasehold.backup_services s"
                                " JOIN leasehold.backups b ON (b.tenant, b.generation) = (s.tenant, s.generation)"
                                " WHERE s.service = $1 AND s.open ORDER BY b.create_time, s.tenant, s.generation",
                                {service.str()}));
    for (const pqxx::row& row : found) {
      v1::BackupWork& next = work.emplace_back();
      next.set_backup(rows::OperationId(row[0].view(), row[1].as<int64_t>()));
      next.set_tenant(row[0].as<std::string>());
      next.set_cancelled(row[2].as<bool>());
    }
    return absl::OkStatus();
  });
  LH_RETURN_IF_ERROR(done);
  return work;
}

absl::StatusOr<bool> Store::ReportBackup(const OperationId& id, const v1::BackupStatus& report) {
  bool changed = false;
  const absl::Status done = Transact([&](postgres::Transaction& tx) -> absl::Status {
    changed = false;
    LH_ASSIGN_OR_RETURN(const v1::Backup backup, LockBackup(tx, id));
    const bool removed = backup.state() == v1::BACKUP_STATE_REMOVED;
    for (const v1::BackupStatus& known : backup.services()) {
      if (known.service() == report.service()) changed = IsNews(known, report, removed);
    }
    if (!changed) return absl::OkStatus();
    const v1::BackupState last = removed ? v1::BACKUP_STATE_REMOVED : v1::BACKUP_STATE_COMPLETE;
    LH_RETURN_IF_ERROR(
        tx.Exec("UPDATE leasehold.backup_services SET state = $4, message = $5, attempts = $6, bytes = $7,"
                "  manifest_sha256 = $8, schema_version = $9, update_time = $10, open = $11"
                " WHERE tenant = $1 AND generation = $2 AND service = $3",
                {id.tenant.str(), std::to_string(id.generation), report.service(), rows::Text(report.state()),
                 report.message(), std::to_string(report.attempts()), std::to_string(report.bytes()),
                 report.manifest_sha256(), std::to_string(report.schema_version()), rows::Time(report.update_time()),
                 report.state() == last ? "false" : "true"})
            .status());
    LH_RETURN_IF_ERROR(AdvanceBackup(tx, id));
    return Notify(tx, id.tenant);
  });
  LH_RETURN_IF_ERROR(done);
  return changed;
}

absl::Status Store::AdvanceBackup(postgres::Transaction& tx, const OperationId& id) {
  LH_ASSIGN_OR_RETURN(const v1::Backup backup, LockBackup(tx, id));
  const std::string generation = std::to_string(id.generation);
  const postgres::Param now = rows::Time(clock_.Now());
  if (backup.state() == v1::BACKUP_STATE_COMPLETE) {
    LH_RETURN_IF_ERROR(tx.Exec("UPDATE leasehold.backups SET end_time = $3 WHERE tenant = $1 AND generation = $2",
                               {id.tenant.str(), generation, now})
                           .status());
  }
  const Progress progress = ProgressOf(backup);
  v1::Operation services;
  for (const v1::ServiceProgress& each : progress.services) *services.add_services() = each;
  return tx
      .Exec(
          "UPDATE leasehold.operations SET done = $3, total = $4, message = $5, services = $6::bytea, state = $7,"
          "  end_time = $8 WHERE tenant = $1 AND generation = $2 AND state = 'RUNNING'",
          {id.tenant.str(), generation, std::to_string(progress.done), std::to_string(progress.total), progress.message,
           rows::ServicesOf(services),
           rows::Text(progress.settled() ? v1::OPERATION_STATE_SUCCEEDED : v1::OPERATION_STATE_RUNNING),
           progress.settled() ? now : postgres::Param()})
      .status();
}

}  // namespace leasehold::gateway
