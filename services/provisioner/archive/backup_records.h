// What a provisioner remembers of each backup, in `leasehold.backups` of the central database: so the work survives a
// restart, and another provisioner can take it over.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/clock/clock.h"
#include "common/identity/identity.h"
#include "common/postgres/postgres.h"
#include "leasehold/v1/backup.pb.h"
#include "leasehold/v1/provisioner.pb.h"

namespace leasehold::provisioner {

struct BackupRecord {
  std::string id{};
  std::string tenant{};
  bool cancelled = false;  // to be removed
  v1::BackupState state = v1::BACKUP_STATE_RUNNING;
  std::string message{};
  int attempts = 0;
  std::optional<absl::Time> next_attempt_time{};
  int64_t bytes = 0;
  std::string manifest_sha256{};
  int schema_version = 0;
  int64_t status_version = 0;
  absl::Time update_time{};

  // What is to become of it has.
  bool done() const { return state == (cancelled ? v1::BACKUP_STATE_REMOVED : v1::BACKUP_STATE_COMPLETE); }
};

v1::BackupStatus StatusOf(const BackupRecord& record, const ServiceName& service);

// Any thread; every call blocks on one short transaction.
class BackupRecords {
 public:
  BackupRecords(postgres::ConnectionPool& central, const Clock& clock) : central_(central), clock_(clock) {}

  // What the gateway lists. Whatever is done with already is reported again; what it does not list any more and was
  // removed is forgotten.
  absl::Status Want(const std::vector<v1::BackupWork>& work);

  absl::StatusOr<std::optional<BackupRecord>> Get(const std::string& id);
  // Not done and due, oldest first.
  absl::StatusOr<std::vector<BackupRecord>> Due();
  // Until when there is nothing to do; InfiniteFuture if all are done.
  absl::StatusOr<absl::Time> NextDue();

  // Progress of an attempt.
  absl::Status SetBytes(const std::string& id, int64_t bytes);
  // How an attempt ended: state, message, next attempt, bytes, digest and schema version of `outcome`. False, and
  // nothing changes, if the backup was cancelled meanwhile or is no longer to be removed, or if another attempt has
  // ended since `outcome` was read.
  absl::StatusOr<bool> Finish(const BackupRecord& outcome);

  absl::StatusOr<std::vector<BackupRecord>> Unreported();
  absl::Status MarkReported(const BackupRecord& record);

 private:
  absl::StatusOr<pqxx::result> Run(std::string_view sql, std::initializer_list<postgres::Param> params);
  absl::StatusOr<std::vector<BackupRecord>> Read(std::string_view which, std::initializer_list<postgres::Param> params);

  postgres::ConnectionPool& central_;
  const Clock& clock_;
};

}  // namespace leasehold::provisioner
