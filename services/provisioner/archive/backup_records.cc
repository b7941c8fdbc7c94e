#include "services/provisioner/archive/backup_records.h"

#include <array>
#include <format>
#include <utility>

#include "common/config/config.h"
#include "common/status/error.h"
#include "services/provisioner/state/columns.h"
#include "services/provisioner/state/records.h"

namespace leasehold::provisioner {
namespace {

using postgres::Param;

constexpr std::array<std::pair<v1::BackupState, std::string_view>, 4> kStates = {{
    {v1::BACKUP_STATE_RUNNING, "running"},
    {v1::BACKUP_STATE_COMPLETE, "complete"},
    {v1::BACKUP_STATE_FAILED, "failed"},
    {v1::BACKUP_STATE_REMOVED, "removed"},
}};

constexpr std::string_view kNotDone = "state <> CASE WHEN cancelled THEN 'removed' ELSE 'complete' END";

}  // namespace

v1::BackupStatus StatusOf(const BackupRecord& record, const ServiceName& service) {
  v1::BackupStatus status;
  status.set_service(service.str());
  status.set_backup(record.id);
  status.set_state(record.state);
  status.set_message(record.message);
  status.set_attempts(record.attempts);
  status.set_bytes(record.bytes);
  status.set_manifest_sha256(record.manifest_sha256);
  status.set_schema_version(record.schema_version);
  *status.mutable_update_time() = FromTime(record.update_time);
  return status;
}

absl::StatusOr<pqxx::result> BackupRecords::Run(std::string_view sql, std::initializer_list<Param> params) {
  pqxx::result result;
  const absl::Status ran = central_.InTransaction([&](postgres::Transaction& tx) -> absl::Status {
    LH_ASSIGN_OR_RETURN(result, tx.Exec(sql, params));
    return absl::OkStatus();
  });
  LH_RETURN_IF_ERROR(ran);
  return result;
}

absl::Status BackupRecords::Want(const std::vector<v1::BackupWork>& work) {
  const Param now = Timestamp(clock_.Now());
  return central_.InTransaction([&](postgres::Transaction& tx) -> absl::Status {
    std::string listed = "{";
    for (const v1::BackupWork& next : work) {
      if (!IsBackupId(next.backup()) || !next.backup().starts_with(next.tenant() + ".")) continue;
      listed += (listed.size() > 1 ? "," : "") + next.backup();
      LH_RETURN_IF_ERROR(
          tx.Exec("INSERT INTO leasehold.backups AS b (id, tenant, cancelled, create_time, update_time) "
                  "VALUES ($1, $2, $3, $4, $4) ON CONFLICT (id) DO UPDATE SET cancelled = excluded.cancelled, "
                  "attempts = 0, next_attempt_time = NULL WHERE b.cancelled <> excluded.cancelled",
                  {next.backup(), next.tenant(), next.cancelled() ? "true" : "false", now})
              .status());
    }
    listed += "}";
    LH_RETURN_IF_ERROR(tx.Exec(std::format("UPDATE leasehold.backups SET status_version = status_version + 1, "
                                           "update_time = $2 WHERE id = ANY ($1::text[]) AND NOT ({}) "
                                           "AND reported_version = status_version",
                                           kNotDone),
                               {listed, now})
                           .status());
    return tx
        .Exec(
            "DELETE FROM leasehold.backups WHERE state = 'removed' AND id <> ALL ($1::text[]) "
            "AND reported_version = status_version",
            {listed})
        .status();
  });
}

absl::StatusOr<std::vector<BackupRecord>> BackupRecords::Read(std::string_view which,
                                                              std::initializer_list<Param> params) {
  LH_ASSIGN_OR_RETURN(
      const pqxx::result rows,
      Run(std::format("SELECT id, tenant, cancelled, state, message, attempts, "
                      "(extract(epoch FROM next_attempt_time) * 1000000)::bigint, bytes, manifest_sha256, "
                      "schema_version, status_version, (extract(epoch FROM update_time) * 1000000)::bigint "
                      "FROM leasehold.backups WHERE {} ORDER BY create_time, id",
                      which),
          params));
  std::vector<BackupRecord> records;
  for (const auto& row : rows) {
    BackupRecord& record = records.emplace_back();
    record.id = row[0].as<std::string>();
    record.tenant = row[1].as<std::string>();
    record.cancelled = row[2].as<bool>();
    record.state = ValueOf(kStates, row[3].view());
    record.message = row[4].as<std::string>();
    record.attempts = row[5].as<int>();
    if (!row[6].is_null()) record.next_attempt_time = TimeOf(row[6]);
    record.bytes = row[7].as<int64_t>();
    record.manifest_sha256 = row[8].as<std::string>();
    record.schema_version = row[9].as<int>();
    record.status_version = row[10].as<int64_t>();
    record.update_time = TimeOf(row[11]);
  }
  return records;
}

absl::StatusOr<std::optional<BackupRecord>> BackupRecords::Get(const std::string& id) {
  LH_ASSIGN_OR_RETURN(std::vector<BackupRecord> found, Read("id = $1", {id}));
  if (found.empty()) return std::nullopt;
  return std::move(found.front());
}

absl::StatusOr<std::vector<BackupRecord>> BackupRecords::Due() {
  return Read(std::format("{} AND (next_attempt_time IS NULL OR next_attempt_time <= $1)", kNotDone),
              {Timestamp(clock_.Now())});
}

absl::StatusOr<absl::Time> BackupRecords::NextDue() {
  LH_ASSIGN_OR_RETURN(const std::vector<BackupRecord> open, Read(kNotDone, {}));
  absl::Time next = absl::InfiniteFuture();
  for (const BackupRecord& record : open) {
    next = std::min(next, record.next_attempt_time.value_or(absl::InfinitePast()));
  }
  return next;
}

absl::Status BackupRecords::SetBytes(const std::string& id, int64_t bytes) {
  return Run("UPDATE leasehold.backups SET bytes = $2, status_version = status_version + 1, update_time = $3 "
             "WHERE id = $1 AND bytes <> $2 AND NOT cancelled AND state <> 'complete'",
             {id, std::format("{}", bytes), Timestamp(clock_.Now())})
      .status();
}

absl::StatusOr<bool> BackupRecords::Finish(const BackupRecord& outcome) {
  LH_ASSIGN_OR_RETURN(
      const pqxx::result changed,
      Run("UPDATE leasehold.backups SET state = $2, message = $3, attempts = attempts + 1, next_attempt_time = $4, "
          "bytes = $5, manifest_sha256 = $6, schema_version = $7, status_version = status_version + 1, "
          "update_time = $8 WHERE id = $1 AND cancelled = $9 AND attempts = $10 RETURNING id",
          {outcome.id, TextOf(kStates, outcome.state), outcome.message,
           outcome.next_attempt_time ? Param(Timestamp(*outcome.next_attempt_time)) : std::nullopt,
           std::format("{}", outcome.bytes), outcome.manifest_sha256, std::format("{}", outcome.schema_version),
           Timestamp(clock_.Now()), outcome.cancelled ? "true" : "false", std::format("{}", outcome.attempts)}));
  return !changed.empty();
}

absl::StatusOr<std::vector<BackupRecord>> BackupRecords::Unreported() {
  return Read("status_version > reported_version", {});
}

absl::Status BackupRecords::MarkReported(const BackupRecord& record) {
  return Run("UPDATE leasehold.backups SET reported_version = $2 WHERE id = $1 AND reported_version < $2",
             {record.id, std::format("{}", record.status_version)})
      .status();
}

}  // namespace leasehold::provisioner
