#include <algorithm>
#include <format>
#include <utility>

#include "common/config/config.h"
#include "common/status/error.h"
#include "services/gateway/registry/backup_state.h"
#include "services/gateway/registry/outbox.h"
#include "services/gateway/registry/store.h"

namespace leasehold::gateway {
namespace {

void SetProgress(v1::Operation& operation, const Progress& progress, absl::Time now) {
  operation.set_done(progress.done);
  operation.set_total(progress.total);
  operation.set_message(progress.message);
  operation.clear_services();
  for (const v1::ServiceProgress& each : progress.services) *operation.add_services() = each;
  operation.set_state(progress.settled() ? v1::OPERATION_STATE_SUCCEEDED : v1::OPERATION_STATE_RUNNING);
  if (progress.settled()) *operation.mutable_end_time() = FromTime(now);
}

v1::ServiceProgress* ProgressIn(v1::Operation& operation, std::string_view service) {
  const auto found = std::ranges::find_if(*operation.mutable_services(),
                                          [service](const auto& each) { return each.service() == service; });
  return found == operation.mutable_services()->end() ? nullptr : &*found;
}

// A retry ends with each service's word on its own generation, also where their last word holds.
int64_t CountsSince(v1::OperationKind kind, int64_t generation) {
  return kind == v1::OPERATION_KIND_RETRY ? generation : 0;
}

bool IsCopy(v1::OperationKind kind) { return kind == v1::OPERATION_KIND_CLONE || kind == v1::OPERATION_KIND_RESTORE; }

bool CanBeCancelled(const v1::Operation& operation) {
  return operation.state() == v1::OPERATION_STATE_RUNNING &&
         (operation.kind() == v1::OPERATION_KIND_BACKUP || IsCopy(operation.kind()));
}

}  // namespace

absl::StatusOr<v1::Operation> Store::StartOperation(postgres::Transaction& tx, const rows::TenantRow& tenant,
                                                    v1::OperationKind kind) {
  const Standing& standing = tenant.standing;
  const bool followed = standing.provision_generation == standing.generation;
  v1::Operation operation;
  operation.set_tenant(tenant.id);
  operation.set_generation(standing.generation);
  operation.set_id(rows::OperationId(tenant.id, standing.generation));
  operation.set_kind(kind);
  *operation.mutable_create_time() = FromTime(tenant.update_time);
  if (kind == v1::OPERATION_KIND_BACKUP) {
    const OperationId id{.tenant = *TenantId::Parse(tenant.id), .generation = standing.generation};
    LH_RETURN_IF_ERROR(BeginBackup(tx, id));
    LH_ASSIGN_OR_RETURN(const v1::Backup backup, LockBackup(tx, id));
    operation.set_subject(backup.id());
    SetProgress(operation, ProgressOf(backup), tenant.update_time);
  } else {
    if (kind == v1::OPERATION_KIND_CLONE) operation.set_subject(standing.origin.tenant);
    if (kind == v1::OPERATION_KIND_RESTORE) operation.set_subject(standing.origin.backup);
    Progress progress = ProgressOf(standing, services_, CountsSince(kind, standing.generation));
    if (!followed && kind != v1::OPERATION_KIND_RETRY) {
      progress.done = progress.total;
      progress.message.clear();
      progress.services.clear();
    }
    SetProgress(operation, progress, tenant.update_time);
  }
  // A backup goes on whatever becomes of its tenant, and a retry is of the work that runs.
  if (followed && kind != v1::OPERATION_KIND_RETRY) {
    LH_RETURN_IF_ERROR(
        tx.Exec("UPDATE leasehold.operations SET state = 'ABORTED', message = $2, end_time = $3"
                " WHERE tenant = $1 AND state = 'RUNNING' AND kind <> 'BACKUP'",
                {tenant.id, std::format("overtaken by operation {}", operation.id()), rows::Time(tenant.update_time)})
            .status());
  }
  LH_RETURN_IF_ERROR(SaveOperation(tx, operation));
  return operation;
}

absl::Status Store::SaveOperation(postgres::Transaction& tx, const v1::Operation& operation) {
  return tx
      .Exec(
          "INSERT INTO leasehold.operations (tenant, generation, kind, state, done, total, message, create_time,"
          "  end_time, subject, services) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::bytea)"
          " ON CONFLICT (tenant, generation) DO UPDATE SET state = excluded.state, done = excluded.done,"
          "  total = excluded.total, message = excluded.message, end_time = excluded.end_time,"
          "  services = excluded.services",
          {operation.tenant(), std::to_string(operation.generation()), rows::Text(operation.kind()),
           rows::Text(operation.state()), std::to_string(operation.done()), std::to_string(operation.total()),
           operation.message(), rows::Time(operation.create_time()), rows::Time(operation.end_time()),
           operation.subject(), rows::ServicesOf(operation)})
      .status();
}

absl::Status Store::AdvanceOperation(postgres::Transaction& tx, const rows::TenantRow& tenant) {
  v1::Operation now;
  SetProgress(now, ProgressOf(tenant.standing, services_), tenant.update_time);
  // More than one runs after a retry.
  LH_ASSIGN_OR_RETURN(
      const pqxx::result running,
      tx.Exec("WITH running AS (SELECT generation, kind FROM leasehold.operations WHERE tenant = $1"
              "  AND state = 'RUNNING' AND kind <> 'BACKUP'), advanced AS ("
              " UPDATE leasehold.operations o SET done = $2, total = $3, message = $4, state = $5, end_time = $6,"
              "  services = CASE WHEN o.kind IN ('CLONE', 'RESTORE') THEN services ELSE $7::bytea END"
              " FROM running r WHERE o.tenant = $1 AND o.generation = r.generation AND r.kind <> 'RETRY')"
              " SELECT generation, kind FROM running",
              {tenant.id, std::to_string(now.done()), std::to_string(now.total()), now.message(),
               rows::Text(now.state()), rows::Time(now.end_time()), rows::ServicesOf(now)}));
  for (const pqxx::row& row : running) {
    const OperationId id{.tenant = *TenantId::Parse(tenant.id), .generation = row[0].as<int64_t>()};
    if (row[1].view() == "RETRY") LH_RETURN_IF_ERROR(AdvanceRetry(tx, id, tenant));
    if (row[1].view() == "CLONE" || row[1].view() == "RESTORE") LH_RETURN_IF_ERROR(KeepBytes(tx, id, now));
  }
  return absl::OkStatus();
}

absl::Status Store::AdvanceRetry(postgres::Transaction& tx, const OperationId& id, const rows::TenantRow& tenant) {
  LH_ASSIGN_OR_RETURN(v1::Operation operation, ReadOperation(tx, id));
  const int64_t since = CountsSince(operation.kind(), operation.generation());
  SetProgress(operation, ProgressOf(tenant.standing, services_, since), tenant.update_time);
  return SaveOperation(tx, operation);
}

absl::Status Store::KeepBytes(postgres::Transaction& tx, const OperationId& id, v1::Operation now) {
  LH_ASSIGN_OR_RETURN(v1::Operation operation, ReadOperation(tx, id));
  for (v1::ServiceProgress& each : *now.mutable_services()) {
    const v1::ServiceProgress* before = ProgressIn(operation, each.service());
    if (before == nullptr) continue;
    each.set_bytes(before->bytes());
    each.set_total_bytes(before->total_bytes());
  }
  operation.mutable_services()->Swap(now.mutable_services());
  return SaveOperation(tx, operation);
}

absl::StatusOr<bool> Store::ReportCopy(const TenantId& id, const v1::CopyStatus& report) {
  bool changed = false;
  const absl::Status done = Transact([&](postgres::Transaction& tx) -> absl::Status {
    changed = false;
    // With the tenant its operations stand still.
    LH_RETURN_IF_ERROR(Lock(tx, id).status());
    absl::StatusOr<v1::Operation> operation = ReadOperation(tx, {.tenant = id, .generation = report.generation()});
    if (ReasonOf(operation.status()) == v1::REASON_OPERATION_NOT_FOUND) return absl::OkStatus();
    LH_RETURN_IF_ERROR(operation.status());
    // What the copy came to may be heard after the status that ended it.
    const bool wanted =
        operation->state() == v1::OPERATION_STATE_RUNNING || operation->state() == v1::OPERATION_STATE_SUCCEEDED;
    v1::ServiceProgress* const progress = ProgressIn(*operation, report.service());
    if (!wanted || !IsCopy(operation->kind()) || progress == nullptr) return absl::OkStatus();
    if (progress->bytes() == report.bytes() && progress->total_bytes() == report.total_bytes()) return absl::OkStatus();
    progress->set_bytes(report.bytes());
    progress->set_total_bytes(report.total_bytes());
    changed = true;
    LH_RETURN_IF_ERROR(SaveOperation(tx, *operation));
    return Notify(tx, id);
  });
  LH_RETURN_IF_ERROR(done);
  return changed;
}

absl::StatusOr<v1::Operation> Store::OperationNow(postgres::Transaction& tx, const rows::TenantRow& tenant) {
  const OperationId id{.tenant = *TenantId::Parse(tenant.id), .generation = tenant.standing.provision_generation};
  absl::StatusOr<v1::Operation> found = ReadOperation(tx, id);
  if (found.ok() || ReasonOf(found.status()) != v1::REASON_OPERATION_NOT_FOUND) return found;
  // Ended so long ago that it was forgotten.
  v1::Operation ended;
  ended.set_id(id.str());
  ended.set_tenant(tenant.id);
  ended.set_generation(id.generation);
  ended.set_state(v1::OPERATION_STATE_SUCCEEDED);
  ended.set_done(static_cast<int>(services_.size()));
  ended.set_total(ended.done());
  return ended;
}

absl::StatusOr<v1::Operation> Store::ReadOperation(postgres::Transaction& tx, const OperationId& id) {
  LH_ASSIGN_OR_RETURN(const pqxx::result found,
                      tx.Exec(std::format("SELECT {} FROM leasehold.operations WHERE tenant = $1 AND generation = $2",
                                          rows::kOperationColumns),
                              {id.tenant.str(), std::to_string(id.generation)}));
  if (found.empty()) {
    return Error(v1::REASON_OPERATION_NOT_FOUND, std::format("there is no operation {}", id.str()));
  }
  return rows::OperationOf(found[0]);
}

absl::StatusOr<v1::Operation> Store::GetOperation(const TenantId& tenant, int64_t generation) {
  v1::Operation operation;
  const absl::Status done = Transact([&](postgres::Transaction& tx) -> absl::Status {
    LH_ASSIGN_OR_RETURN(operation, ReadOperation(tx, {.tenant = tenant, .generation = generation}));
    return absl::OkStatus();
  });
  LH_RETURN_IF_ERROR(done);
  return operation;
}

absl::StatusOr<v1::Operation> Store::CancelOperation(const OperationId& id, const RequestKey& key) {
  return Once<v1::Operation>(key, [&](postgres::Transaction& tx) -> absl::StatusOr<v1::Operation> {
    // With the tenant its operations stand still, but for a backup's: those follow the backup, which is locked before
    // them wherever both are.
    LH_RETURN_IF_ERROR(Lock(tx, id.tenant).status());
    LH_ASSIGN_OR_RETURN(v1::Operation operation, ReadOperation(tx, id));
    if (operation.kind() == v1::OPERATION_KIND_BACKUP) {
      LH_RETURN_IF_ERROR(LockBackup(tx, id).status());
      LH_ASSIGN_OR_RETURN(operation, ReadOperation(tx, id));
    }
    if (operation.state() == v1::OPERATION_STATE_CANCELLED) return operation;
    if (!CanBeCancelled(operation)) {
      return Error(v1::REASON_OPERATION_NOT_CANCELLABLE,
                   operation.state() == v1::OPERATION_STATE_RUNNING
                       ? std::format("operation {} is undone by its opposite, not cancelled", id.str())
                       : std::format("operation {} has ended", id.str()));
    }
    return CancelRunning(tx, std::move(operation));
  });
}

absl::StatusOr<v1::Operation> Store::CancelRunning(postgres::Transaction& tx, v1::Operation operation) {
  constexpr std::string_view kWhy = "cancelled";
  const OperationId id{.tenant = *TenantId::Parse(operation.tenant()), .generation = operation.generation()};
  if (operation.kind() == v1::OPERATION_KIND_BACKUP) {
    LH_RETURN_IF_ERROR(RemoveBackup(tx, id, v1::OPERATION_STATE_CANCELLED, kWhy));
    return ReadOperation(tx, id);
  }
  operation.set_state(v1::OPERATION_STATE_CANCELLED);
  operation.set_message(std::string(kWhy));
  operation.mutable_error()->set_reason(v1::REASON_CANCELLED);
  *operation.mutable_end_time() = FromTime(clock_.Now());
  LH_RETURN_IF_ERROR(SaveOperation(tx, operation));
  LH_ASSIGN_OR_RETURN(const rows::TenantRow tenant, Find(tx, id.tenant, ""));
  const Change change = tenant.standing.create_generation == id.generation ? Change::kAbandon : Change::kKeep;
  LH_RETURN_IF_ERROR(Apply(tx, id.tenant, change, nullptr).status());
  return operation;
}

}  // namespace leasehold::gateway
