#include "services/gateway/registry/store.h"

#include <format>
#include <utility>

#include "common/config/config.h"
#include "common/status/error.h"
#include "common/telemetry/log.h"
#include "common/telemetry/span.h"
#include "common/telemetry/trace.h"
#include "services/gateway/registry/backup_state.h"
#include "services/gateway/registry/outbox.h"

namespace leasehold::gateway {
namespace {

constexpr absl::Duration kEndedKeptFor = absl::Hours(30 * 24);
constexpr std::string_view kUniqueViolation = "23505";

v1::OperationKind KindOf(Change change) {
  switch (change) {
    case Change::kCreate:
    case Change::kCreateSuspended:
      return v1::OPERATION_KIND_CREATE;
    case Change::kUpdate:
      return v1::OPERATION_KIND_UPDATE;
    case Change::kSuspend:
      return v1::OPERATION_KIND_SUSPEND;
    case Change::kResume:
      return v1::OPERATION_KIND_RESUME;
    case Change::kDelete:
    case Change::kDeleteFor:
      return v1::OPERATION_KIND_DELETE;
    case Change::kPurge:
    case Change::kAbandon:
      return v1::OPERATION_KIND_PURGE;
    case Change::kUndelete:
      return v1::OPERATION_KIND_UNDELETE;
    case Change::kRetry:
      return v1::OPERATION_KIND_RETRY;
    case Change::kClone:
      return v1::OPERATION_KIND_CLONE;
    case Change::kRestoreNew:
    case Change::kRestore:
      return v1::OPERATION_KIND_RESTORE;
    case Change::kKeep:
      return v1::OPERATION_KIND_RESUME;
    case Change::kBackup:
      return v1::OPERATION_KIND_BACKUP;
  }
  return v1::OPERATION_KIND_UNSPECIFIED;
}

// The verb of the event that tells of a change.
std::string_view VerbOf(Change change) {
  switch (change) {
    case Change::kCreate:
    case Change::kCreateSuspended:
    case Change::kClone:
    case Change::kRestoreNew:
      return "created";
    case Change::kUpdate:
    case Change::kRetry:
    case Change::kRestore:
    case Change::kBackup:
      return "updated";
    case Change::kSuspend:
      return "suspended";
    case Change::kResume:
    case Change::kUndelete:
    case Change::kKeep:
      return "resumed";
    case Change::kDelete:
    case Change::kDeleteFor:
    case Change::kPurge:
    case Change::kAbandon:
      return "deleted";
  }
  return "updated";
}

// Its row as far as the caller chooses it.
void Fill(rows::TenantRow& row, const NewTenant& tenant) {
  row.name = tenant.name.empty() ? tenant.id.str() : tenant.name;
  row.domain = tenant.domain;
  row.settings = tenant.settings;
}

// PostgreSQL answers, but not to us or not now: it starts, stops, is full or a standby, or the schema is not there yet.
bool IsPassing(std::string_view sqlstate) {
  for (const std::string_view prefix : {"08", "40", "53", "57P", "25006", "3F000", "42P01", "42703"}) {
    if (sqlstate.starts_with(prefix)) return true;
  }
  return false;
}

std::string_view WhyNotNow(std::string_view sqlstate) {
  if (sqlstate == "25006") return "the registry takes no changes: its PostgreSQL is a standby, or read-only";
  if (sqlstate == "53300") return "the registry has no connection left (max_connections, or a CONNECTION LIMIT)";
  if (sqlstate == "53100") return "the registry takes no changes: its disk is full";
  return "the registry does not answer";
}

}  // namespace

Store::Store(postgres::ConnectionPool& pool, const Clock& clock, std::vector<std::string> services,
             absl::Duration retention)
    : pool_(pool), clock_(clock), services_(std::move(services)), retention_(retention) {}

absl::Status Store::Transact(const Work& work) {
  if (!open_) {
    return WithRetryAfter(Error(v1::REASON_REGISTRY_UNAVAILABLE, "the registry's tables are still being prepared"),
                          absl::Seconds(1));
  }
  Span span("registry transaction", SpanKind::kClient);
  const absl::Status status = span.Note(pool_.InTransaction(work));
  if (status.ok()) return status;
  if (postgres::IsConnectionFailure(status) || IsPassing(postgres::SqlStateOf(status))) {
    return WithRetryAfter(Error(v1::REASON_REGISTRY_UNAVAILABLE, WhyNotNow(postgres::SqlStateOf(status))),
                          absl::Seconds(1));
  }
  if (!ClientSafe(status)) Log(Level::kError, "registry failure", {{"error", StdView(status.message())}});
  return status;
}

absl::Status Store::ShowTrace(postgres::Transaction& tx) {
  if (!CurrentTrace()) return absl::OkStatus();
  return tx.Exec("SELECT set_config('application_name', $1, true)", {postgres::ApplicationName(kGatewaySessions)})
      .status();
}

absl::StatusOr<v1::TenantChange> Store::Create(const NewTenant& tenant, const RequestKey& key) {
  LH_RETURN_IF_ERROR(CheckSettings(tenant.settings));
  return Write(key, tenant.id, tenant.active ? Change::kCreate : Change::kCreateSuspended,
               [&tenant](rows::TenantRow& row) {
                 Fill(row, tenant);
                 return absl::OkStatus();
               });
}

absl::StatusOr<v1::TenantChange> Store::Clone(const TenantId& source, const NewTenant& tenant, const RequestKey& key) {
  return ChangeOnce(key, [&](postgres::Transaction& tx) -> absl::StatusOr<Applied> {
    // Not locked: whatever happens to it from now on, the instances find out.
    LH_ASSIGN_OR_RETURN(const rows::TenantRow from, Find(tx, source, ""));
    LH_RETURN_IF_ERROR(CheckComplete(from.standing, source.str(), services_));
    NewTenant filled = tenant;
    if (filled.settings.empty()) filled.settings = from.settings;
    const Edit edit = [&filled](rows::TenantRow& row) {
      Fill(row, filled);
      return absl::OkStatus();
    };
    return Apply(tx, tenant.id, Change::kClone, edit,
                 {.tenant = source.str(), .backup = "", .generation = 0, .in_place = false});
  });
}

absl::StatusOr<v1::TenantChange> Store::Restore(const OperationId& backup, const NewTenant& tenant, bool in_place,
                                                const RequestKey& key) {
  return ChangeOnce(key, [&](postgres::Transaction& tx) -> absl::StatusOr<Applied> {
    LH_ASSIGN_OR_RETURN(const v1::Backup found, FindBackup(tx, backup));
    LH_RETURN_IF_ERROR(CheckRestorable(found, services_));
    const Edit edit = [&tenant](rows::TenantRow& row) {
      Fill(row, tenant);
      return absl::OkStatus();
    };
    LH_ASSIGN_OR_RETURN(
        Applied applied,
        Apply(tx, tenant.id, in_place ? Change::kRestore : Change::kRestoreNew, in_place ? Edit() : edit,
              {.tenant = "", .backup = backup.str(), .generation = 0, .in_place = false}));
    // Locked after the tenant: somebody may have deleted it meanwhile.
    LH_ASSIGN_OR_RETURN(const v1::Backup held, LockBackup(tx, backup));
    LH_RETURN_IF_ERROR(CheckRestorable(held, services_));
    return applied;
  });
}

absl::StatusOr<v1::TenantChange> Store::Update(const TenantId& id, const TenantEdit& edit, const RequestKey& key) {
  return Write(key, id, Change::kUpdate, [&edit](rows::TenantRow& row) {
    if (edit.name) row.name = *edit.name;
    if (edit.domain) row.domain = *edit.domain;
    for (const auto& [name, value] : edit.settings) {
      if (value.empty()) {
        row.settings.erase(name);
      } else {
        row.settings[name] = value;
      }
    }
    return CheckSettings(row.settings);
  });
}

absl::StatusOr<v1::TenantChange> Store::Suspend(const TenantId& id, const RequestKey& key) {
  return Write(key, id, Change::kSuspend, nullptr);
}

absl::StatusOr<v1::TenantChange> Store::Resume(const TenantId& id, const RequestKey& key) {
  return Write(key, id, Change::kResume, nullptr);
}

absl::StatusOr<v1::TenantChange> Store::Undelete(const TenantId& id, const RequestKey& key) {
  return Write(key, id, Change::kUndelete, [](rows::TenantRow& row) {
    row.purge_time = absl::InfinitePast();
    return absl::OkStatus();
  });
}

absl::StatusOr<v1::TenantChange> Store::Retry(const TenantId& id, const RequestKey& key) {
  return Write(key, id, Change::kRetry, nullptr);
}

absl::StatusOr<v1::TenantChange> Store::Delete(const TenantId& id, std::optional<absl::Duration> retention,
                                               const RequestKey& key) {
  const Edit edit = [this, retention](rows::TenantRow& row) {
    row.purge_time = clock_.Now() + retention.value_or(retention_);
    return absl::OkStatus();
  };
  return Write(key, id, retention ? Change::kDeleteFor : Change::kDelete, edit);
}

absl::Status Store::Refuse(const TenantId& id) {
  const absl::Status done = Transact([&](postgres::Transaction& tx) -> absl::Status {
    LH_ASSIGN_OR_RETURN(rows::TenantRow tenant, Lock(tx, id));
    if (!RefuseAnnouncement(tenant.standing)) return absl::OkStatus();
    const absl::Time now = clock_.Now();
    tenant.create_time = tenant.update_time = now;
    tenant.traceparent = ToTraceparent(CurrentTrace());
    LH_RETURN_IF_ERROR(Save(tx, tenant, 0));
    return Enqueue(tx, tenant, "deleted", now);
  });
  // Somebody made the tenant in this moment: then it is listed as what it is.
  return ReasonOf(done) == v1::REASON_TENANT_EXISTS ? absl::OkStatus() : done;
}

absl::StatusOr<v1::TenantChange> Store::Write(const RequestKey& key, const TenantId& id, Change change,
                                              const Edit& edit) {
  return ChangeOnce(key, [&](postgres::Transaction& tx) { return Apply(tx, id, change, edit); });
}

absl::StatusOr<v1::TenantChange> Store::ChangeOnce(
    const RequestKey& key, const std::function<absl::StatusOr<Applied>(postgres::Transaction&)>& work) {
  bool changed = false;
  const auto noted = [&](postgres::Transaction& tx) -> absl::StatusOr<v1::TenantChange> {
    LH_ASSIGN_OR_RETURN(Applied applied, work(tx));
    changed = applied.changed;
    return std::move(applied.answer);
  };
  absl::StatusOr<v1::TenantChange> change = Once<v1::TenantChange>(key, noted);
  if (change.ok() && changed) {
    const v1::Operation& operation = change->operation();
    Log(Level::kInfo, "tenant changed",
        {{"tenant", change->tenant().id()}, {"operation", operation.id()}, {"kind", rows::Text(operation.kind())}});
  }
  return change;
}

absl::StatusOr<Store::Applied> Store::Apply(postgres::Transaction& tx, const TenantId& id, Change change,
                                            const Edit& edit, const Source& source) {
  const absl::Time now = clock_.Now();
  LH_ASSIGN_OR_RETURN(rows::TenantRow tenant, Lock(tx, id));
  const int64_t previous = tenant.standing.generation;
  const bool is_new = tenant.standing.state == v1::TENANT_STATE_UNSPECIFIED;
  Applied applied;
  LH_ASSIGN_OR_RETURN(applied.changed, ApplyChange(tenant.standing, id.str(), change, services_, source));
  if (!applied.changed) {
    *applied.answer.mutable_tenant() = tenant.ToProto(services_);
    LH_ASSIGN_OR_RETURN(*applied.answer.mutable_operation(), OperationNow(tx, tenant));
    return applied;
  }
  if (edit) LH_RETURN_IF_ERROR(edit(tenant));
  if (is_new) {
    tenant.create_time = now;
    tenant.purge_time = absl::InfinitePast();
    LH_RETURN_IF_ERROR(tx.Exec("DELETE FROM leasehold.tenant_services WHERE tenant = $1", {id.str()}).status());
  }
  tenant.update_time = now;
  tenant.traceparent = ToTraceparent(CurrentTrace());
  LH_RETURN_IF_ERROR(Save(tx, tenant, previous));
  if (change == Change::kRetry) {
    for (const auto& [service, report] : tenant.standing.reports) LH_RETURN_IF_ERROR(SaveReport(tx, tenant, report));
  }
  if (KindOf(change) == v1::OPERATION_KIND_PURGE) LH_RETURN_IF_ERROR(RemoveRunningBackups(tx, id));
  LH_ASSIGN_OR_RETURN(*applied.answer.mutable_operation(), StartOperation(tx, tenant, KindOf(change)));
  LH_RETURN_IF_ERROR(Enqueue(tx, tenant, VerbOf(change), now, {.present = change == Change::kBackup, .suffix = ""}));
  LH_RETURN_IF_ERROR(Notify(tx, id));
  *applied.answer.mutable_tenant() = tenant.ToProto(services_);
  return applied;
}

absl::StatusOr<rows::TenantRow> Store::Lock(postgres::Transaction& tx, const TenantId& id) {
  constexpr std::string_view kForUpdate = "FOR UPDATE";
  LH_ASSIGN_OR_RETURN(rows::TenantRow tenant, Find(tx, id, kForUpdate));
  if (tenant.standing.generation != 0) return tenant;
  // A row that is not there cannot be locked: its id can. Without this, of two transactions that create one tenant the
  // later may meet the unique domain before the id, and be told that its domain belongs to another.
  LH_RETURN_IF_ERROR(tx.Exec("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", {id.str()}).status());
  return Find(tx, id, kForUpdate);
}

absl::StatusOr<rows::TenantRow> Store::Find(postgres::Transaction& tx, const TenantId& id, std::string_view lock) {
  LH_ASSIGN_OR_RETURN(
      const pqxx::result found,
      tx.Exec(std::format("SELECT {} FROM leasehold.tenants t WHERE t.id = $1 {}", rows::kTenantColumns, lock),
              {id.str()}));
  if (found.empty()) {
    rows::TenantRow none;
    none.id = id.str();
    return none;
  }
  LH_ASSIGN_OR_RETURN(rows::TenantRow tenant, rows::TenantOf(found[0]));
  // A statement of its own: its snapshot is younger than the lock.
  LH_ASSIGN_OR_RETURN(
      const pqxx::result reports,
      tx.Exec(std::format("SELECT {} FROM leasehold.tenant_services s WHERE s.tenant = $1", rows::kServiceColumns),
              {id.str()}));
  for (const pqxx::row& row : reports) {
    v1::ServiceStatus status = rows::ServiceOf(row, 0);
    tenant.standing.reports[status.service()] = std::move(status);
  }
  return tenant;
}

absl::Status Store::Save(postgres::Transaction& tx, const rows::TenantRow& tenant, int64_t previous_generation) {
  const absl::StatusOr<pqxx::result> saved = tx.Exec(
      "INSERT INTO leasehold.tenants AS t (id, name, domain, settings, state, desired, generation,"
      "  provision_generation, create_time, update_time, purge_time, create_generation, origin_tenant,"
      "  origin_backup, origin_generation, origin_in_place, traceparent)"
      " VALUES ($1, $2, nullif($3, ''), $4::jsonb, $5, $6, $7, $8, $9, $10, $11, $13, nullif($14, ''),"
      "  nullif($15, ''), $16, $17, $18)"
      " ON CONFLICT (id) DO UPDATE SET name = excluded.name, domain = excluded.domain,"
      "  settings = excluded.settings, state = excluded.state, desired = excluded.desired,"
      "  generation = excluded.generation, provision_generation = excluded.provision_generation,"
      "  create_time = excluded.create_time, update_time = excluded.update_time,"
      "  purge_time = excluded.purge_time, create_generation = excluded.create_generation,"
      "  origin_tenant = excluded.origin_tenant, origin_backup = excluded.origin_backup,"
      "  origin_generation = excluded.origin_generation, origin_in_place = excluded.origin_in_place,"
      "  traceparent = excluded.traceparent"
      " WHERE t.generation = $12 RETURNING 1",
      {tenant.id, tenant.name, tenant.domain, rows::Json(tenant.settings), rows::Text(tenant.standing.state),
       rows::Text(tenant.standing.desired), std::to_string(tenant.standing.generation),
       std::to_string(tenant.standing.provision_generation), rows::Time(tenant.create_time),
       rows::Time(tenant.update_time), rows::Time(tenant.purge_time), std::to_string(previous_generation),
       std::to_string(tenant.standing.create_generation), tenant.standing.origin.tenant, tenant.standing.origin.backup,
       std::to_string(tenant.standing.origin.generation), tenant.standing.origin.in_place ? "true" : "false",
       tenant.traceparent});
  if (!saved.ok()) {
    // The id cannot be in the way here, so the domain is.
    if (postgres::SqlStateOf(saved.status()) != kUniqueViolation) return saved.status();
    return Error(v1::REASON_DOMAIN_TAKEN, std::format("domain {} belongs to another tenant", tenant.domain));
  }
  if (saved->empty()) return Error(v1::REASON_TENANT_EXISTS, std::format("tenant {} exists", tenant.id));
  return absl::OkStatus();
}

absl::StatusOr<bool> Store::Report(const TenantId& id, const v1::ServiceStatus& report) {
  bool changed = false;
  const absl::Status done = Transact([&](postgres::Transaction& tx) -> absl::Status {
    LH_ASSIGN_OR_RETURN(rows::TenantRow tenant, Lock(tx, id));
    if (tenant.standing.generation == 0) {
      return Error(v1::REASON_TENANT_NOT_FOUND, std::format("there is no tenant {}", id.str()));
    }
    const bool was_purged = tenant.standing.state == v1::TENANT_STATE_UNSPECIFIED;
    changed = ApplyReport(tenant.standing, report, services_);
    if (!changed) return absl::OkStatus();
    LH_RETURN_IF_ERROR(SaveReport(tx, tenant, report));
    return was_purged ? absl::OkStatus() : SaveMoved(tx, id, tenant);
  });
  LH_RETURN_IF_ERROR(done);
  return changed;
}

absl::Status Store::SaveReport(postgres::Transaction& tx, const rows::TenantRow& tenant,
                               const v1::ServiceStatus& report) {
  return tx
      .Exec(
          "INSERT INTO leasehold.tenant_services (tenant, service, state, generation, database, database_id, message,"
          "  attempts, next_attempt_time, schema_version, update_time, version)"
          " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
          " ON CONFLICT (tenant, service) DO UPDATE SET state = excluded.state, generation = excluded.generation,"
          "  database = excluded.database, database_id = excluded.database_id, message = excluded.message,"
          "  attempts = excluded.attempts, next_attempt_time = excluded.next_attempt_time,"
          "  schema_version = excluded.schema_version, update_time = excluded.update_time, version = excluded.version",
          {tenant.id, report.service(), rows::Text(report.state()), std::to_string(report.generation()),
           report.database(), report.database_id(), report.message(), std::to_string(report.attempts()),
           rows::Time(report.next_attempt_time()), std::to_string(report.schema_version()),
           rows::Time(report.update_time()), std::to_string(report.version())})
      .status();
}

absl::Status Store::SaveMoved(postgres::Transaction& tx, const TenantId& id, rows::TenantRow& tenant) {
  tenant.update_time = clock_.Now();
  LH_RETURN_IF_ERROR(AdvanceOperation(tx, tenant));
  if (tenant.standing.state == v1::TENANT_STATE_UNSPECIFIED) {
    // Purged. What stays is the generation, and which services have said that they removed it.
    tenant.name.clear();
    tenant.domain.clear();
    tenant.settings.clear();
    tenant.purge_time = absl::InfinitePast();
  }
  LH_RETURN_IF_ERROR(Save(tx, tenant, tenant.standing.generation));
  return Notify(tx, id);
}

absl::StatusOr<std::vector<TenantId>> Store::PurgeDue(int limit) {
  std::vector<TenantId> purged;
  const absl::Status done = Transact([&](postgres::Transaction& tx) -> absl::Status {
    purged.clear();
    LH_ASSIGN_OR_RETURN(const pqxx::result due,
                        tx.Exec("SELECT id FROM leasehold.tenants WHERE state = 'DELETED' AND purge_time <= $1"
                                " ORDER BY purge_time LIMIT $2 FOR UPDATE SKIP LOCKED",
                                {rows::Time(clock_.Now()), std::to_string(limit)}));
    for (const pqxx::row& row : due) {
      LH_ASSIGN_OR_RETURN(const TenantId id, TenantId::Parse(row[0].view()));
      const TraceScope scope(BeginTrace());  // the deletion's has been over for days
      LH_RETURN_IF_ERROR(Apply(tx, id, Change::kPurge, nullptr).status());
      purged.push_back(id);
    }
    return absl::OkStatus();
  });
  LH_RETURN_IF_ERROR(done);
  return purged;
}

absl::StatusOr<int> Store::Reconsider() {
  constexpr int kPage = 500;
  int moved = 0;
  std::string after;
  while (true) {
    LH_ASSIGN_OR_RETURN(const std::vector<v1::Tenant> page, List(after, kPage, {}));
    for (const v1::Tenant& seen : page) {
      LH_ASSIGN_OR_RETURN(const TenantId id, TenantId::Parse(seen.id()));
      const absl::Status done = Transact([&](postgres::Transaction& tx) -> absl::Status {
        LH_ASSIGN_OR_RETURN(rows::TenantRow tenant, Lock(tx, id));
        if (!gateway::Reconsider(tenant.standing, services_)) return absl::OkStatus();
        ++moved;
        return SaveMoved(tx, id, tenant);
      });
      LH_RETURN_IF_ERROR(done);
    }
    if (page.size() < kPage) return moved;
    after = page.back().id();
  }
}

absl::Status Store::ForgetOld() {
  return Transact([this](postgres::Transaction& tx) -> absl::Status {
    LH_RETURN_IF_ERROR(ForgetRequests(tx, clock_.Now() - kRequestsKeptFor));
    const postgres::Param before = rows::Time(clock_.Now() - kEndedKeptFor);
    LH_RETURN_IF_ERROR(tx.Exec("DELETE FROM leasehold.operations WHERE end_time < $1", {before}).status());
    return tx
        .Exec(
            "DELETE FROM leasehold.backups b WHERE removed AND end_time < $1 AND NOT EXISTS (SELECT FROM"
            " leasehold.backup_services s WHERE (s.tenant, s.generation) = (b.tenant, b.generation) AND s.open)",
            {before})
        .status();
  });
}

absl::Status Store::Notify(postgres::Transaction& tx, const TenantId& id) {
  return tx.Exec("SELECT pg_notify($1, $2)", {std::string(kTenantsChannel), id.str()}).status();
}

}  // namespace leasehold::gateway
