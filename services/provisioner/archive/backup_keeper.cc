#include "services/provisioner/archive/backup_keeper.h"

#include <format>
#include <optional>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "common/failpoint/failpoint.h"
#include "common/secret/secret.h"
#include "common/status/error.h"
#include "common/telemetry/log.h"
#include "services/provisioner/archive/copy_meter.h"
#include "services/provisioner/archive/dump_login.h"
#include "services/provisioner/steps/observe.h"
#include "services/provisioner/steps/silent_holder.h"

namespace leasehold::provisioner {
namespace {

// "lhbk"; the second number is the backup's.
constexpr std::string_view kLock = "SELECT pg_try_advisory_lock(1818780267, hashtext($1))";
constexpr std::string_view kHeld =
    "SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = 1818780267 AND objid = hashtext($1)::oid "
    "AND objsubid = 2 AND granted AND pid = pg_backend_pid()";
constexpr std::string_view kByBackup = "l.classid = 1818780267 AND l.objid = hashtext($1)::oid AND l.objsubid = 2";
// How soon to look whether the one that holds a backup has done it, or died.
constexpr absl::Duration kHeldPause = absl::Seconds(2);
constexpr absl::Duration kUnreachablePause = absl::Seconds(1);
constexpr absl::Duration kBytesEvery = absl::Seconds(1);
constexpr size_t kAttemptBytes = 4;

}  // namespace

BackupKeeper::BackupKeeper(Options options, Parts parts)
    : options_(std::move(options)),
      parts_(std::move(parts)),
      records_(parts_.central, parts_.clock),
      backoff_(options_.min_backoff, options_.max_backoff) {
  for (const char* outcome : {"complete", "removed", "failed"}) Ended(outcome);
}

prometheus::Counter& BackupKeeper::Ended(const char* outcome) const {
  return parts_.metrics.Counter("leasehold_provisioner_backups_total",
                                "Attempts at backups and at their removal, by how they ended", {{"outcome", outcome}});
}

BackupKeeper::~BackupKeeper() { Stop(); }

void BackupKeeper::Start() {
  syncing_ = std::thread([this] { RunSyncs(); });
  working_ = std::thread([this] { RunWork(); });
}

void BackupKeeper::Stop() {
  {
    const absl::MutexLock lock(&mu_);
    stopping_ = true;
    woken_.fill(true);
  }
  if (syncing_.joinable()) syncing_.join();
  if (working_.joinable()) working_.join();
}

void BackupKeeper::Wake() {
  const absl::MutexLock lock(&mu_);
  woken_[kSyncing] = true;
}

bool BackupKeeper::Stopping() const {
  const absl::MutexLock lock(&mu_);
  return stopping_;
}

bool BackupKeeper::Sleep(Thread thread, absl::Duration time) {
  const absl::MutexLock lock(&mu_);
  bool& woken = woken_[thread];
  mu_.AwaitWithTimeout(absl::Condition(&woken), time);
  woken = stopping_;
  return !stopping_;
}

absl::Status BackupKeeper::Sync() {
  const absl::StatusOr<std::vector<v1::BackupWork>> work = parts_.source.ListBackupWork();
  if (work.ok()) LH_RETURN_IF_ERROR(records_.Want(*work));
  LH_RETURN_IF_ERROR(Report());
  return work.status();
}

absl::Status BackupKeeper::Report() {
  LH_ASSIGN_OR_RETURN(const std::vector<BackupRecord> unreported, records_.Unreported());
  for (const BackupRecord& record : unreported) {
    LH_RETURN_IF_ERROR(parts_.report(record));
    LH_RETURN_IF_ERROR(records_.MarkReported(record));
  }
  return absl::OkStatus();
}

void BackupKeeper::RunSyncs() {
  absl::Duration pause = absl::ZeroDuration();
  while (Sleep(kSyncing, pause)) {
    const absl::Status status = Sync();
    if (!status.ok()) Log(Level::kDebug, "backups cannot be looked up now", {{"error", ClientText(status)}});
    pause = status.ok() ? options_.resync_interval : std::min(kUnreachablePause, options_.resync_interval);
    const absl::MutexLock lock(&mu_);
    woken_[kWorking] = true;
  }
}

void BackupKeeper::RunWork() {
  absl::Duration pause = absl::ZeroDuration();
  while (Sleep(kWorking, pause)) {
    const absl::StatusOr<bool> worked = WorkOne();
    if (!worked.ok()) Log(Level::kDebug, "backups cannot be worked on now", {{"error", ClientText(worked.status())}});
    pause = kUnreachablePause;
    if (worked.ok() && *worked) {
      pause = absl::ZeroDuration();
      Wake();  // to report it
    } else if (worked.ok()) {
      const absl::StatusOr<absl::Time> next = records_.NextDue();
      if (next.ok()) pause = std::clamp(*next - parts_.clock.Now(), kHeldPause, options_.resync_interval);
    }
  }
}

absl::StatusOr<bool> BackupKeeper::WorkOne() {
  LH_ASSIGN_OR_RETURN(std::vector<BackupRecord> due, records_.Due());
  for (BackupRecord& listed : due) {
    // A connection of its own: with it goes the lock.
    postgres::Connection holder(parts_.instance.AsLogin(parts_.instance.central_database()));
    LH_ASSIGN_OR_RETURN(const bool mine, TryLock(holder, kLock, {.condition = kByBackup, .parameter = listed.id}));
    if (!mine) continue;
    LH_ASSIGN_OR_RETURN(std::optional<BackupRecord> record, records_.Get(listed.id));
    if (!record.has_value() || record->done()) continue;
    holder_ = &holder;
    const absl::Status status = Attempt(*record);
    holder_ = nullptr;
    LH_FAILPOINT("before recording a backup");
    LH_RETURN_IF_ERROR(Conclude(*std::move(record), status));
    LH_FAILPOINT("after recording a backup");
    return !Stopping();
  }
  return false;
}

absl::Status BackupKeeper::Attempt(BackupRecord& record) {
  if (!IsBackupId(record.id)) return Error(v1::REASON_BACKUP_FAILED, "the backup's id makes no sense");
  if (options_.folder.empty()) {
    return Error(v1::REASON_BACKUP_FAILED, "this provisioner has no folder for backups");
  }
  return record.cancelled ? Remove(record) : Take(record);
}

absl::Status BackupKeeper::GoOn(const BackupRecord& record) {
  if (Stopping()) return Error(v1::REASON_SHUTTING_DOWN, "the provisioner is shutting down");
  LH_ASSIGN_OR_RETURN(const std::optional<BackupRecord> now, records_.Get(record.id));
  if (!now.has_value() || now->cancelled != record.cancelled) {
    return Error(v1::REASON_SUPERSEDED, "the backup was cancelled");
  }
  // A connection that breaks is replaced without a word, and the lock went with it.
  LH_ASSIGN_OR_RETURN(const pqxx::result held, holder_->ExecAlone(kHeld, {record.id}));
  if (!held.empty()) return absl::OkStatus();
  return Error(v1::REASON_INSTANCE_UNAVAILABLE, "the connection to the instance was lost in the middle of the work");
}

absl::Status BackupKeeper::Take(BackupRecord& record) {
  const BackupPlace place(options_.folder, record.id, parts_.instance.service().str());
  LH_RETURN_IF_ERROR(place.RemoveUnfinished());
  LH_ASSIGN_OR_RETURN(const bool there, Adopt(record, place));
  if (there) return absl::OkStatus();
  LH_ASSIGN_OR_RETURN(const TenantId id, TenantId::Parse(record.tenant));
  LH_ASSIGN_OR_RETURN(const std::optional<TenantRecord> tenant, parts_.tenants.Get(id));
  if (!tenant.has_value() || tenant->database_id.empty()) {
    return Error(v1::REASON_BACKUP_FAILED, std::format("tenant {} has no database here", record.tenant));
  }
  const std::filesystem::path unfinished = place.Unfinished(RandomHex(kAttemptBytes));
  LH_RETURN_IF_ERROR(MakeFolder(unfinished));
  LH_FAILPOINT("before dumping a backup");
  BackupRecord described = record;
  absl::Status taken = Dump(described, *tenant, unfinished);
  if (taken.ok()) taken = GoOn(record);
  LH_FAILPOINT("before moving a backup into place");
  if (taken.ok()) taken = MoveFolder(unfinished, place.folder);
  if (!taken.ok()) {
    (void)RemoveFolder(unfinished);
    return taken;
  }
  record = std::move(described);
  return absl::OkStatus();
}

// Of an attempt that died between moving it into place and saying so.
absl::StatusOr<bool> BackupKeeper::Adopt(BackupRecord& record, const BackupPlace& place) {
  std::error_code unknown;
  if (!std::filesystem::exists(place.folder, unknown)) return false;
  const auto verified = [&]() -> absl::Status {
    LH_ASSIGN_OR_RETURN(const std::string sha256, DigestOfManifestIn(place));
    LH_ASSIGN_OR_RETURN(const Manifest manifest, VerifyBackup(place, record.id, parts_.instance.service().str(), sha256,
                                                              [&] { return GoOn(record); }));
    Describe(record, manifest, sha256);
    return absl::OkStatus();
  };
  const absl::Status status = verified();
  if (status.ok()) return true;
  if (ReasonOf(status) != v1::REASON_BACKUP_DAMAGED) return status;
  Log(Level::kWarning, "what stands where a backup belongs is damaged; taking it anew",
      {{"backup", record.id}, {"error", ClientText(status)}});
  LH_RETURN_IF_ERROR(GoOn(record));
  LH_RETURN_IF_ERROR(RemoveFolder(place.folder));
  return false;
}

void BackupKeeper::Describe(BackupRecord& record, const Manifest& manifest, const std::string& sha256) {
  record.bytes = manifest.bytes();
  record.manifest_sha256 = sha256;
  record.schema_version = manifest.contents.schema_version();
}

absl::Status BackupKeeper::Dump(BackupRecord& record, const TenantRecord& tenant,
                                const std::filesystem::path& unfinished) {
  const std::string name = TenantDatabaseName(tenant.id, parts_.instance.service());
  LH_ASSIGN_OR_RETURN(const std::optional<ObservedDatabase> there, ObserveDatabase(*holder_, name));
  if (!there.has_value() || !IsOf(*there, tenant.database_id)) {
    return Error(v1::REASON_BACKUP_FAILED, std::format("tenant {} has no database here", record.tenant));
  }
  ClosedDump closed(*holder_, name);
  LH_ASSIGN_OR_RETURN(const postgres::ConnectOptions dumper,
                      DumpLogin(parts_.instance, *holder_, name, there->owner_mark, closed));
  const std::filesystem::path data = BackupPlace::DataIn(unfinished);
  const auto go_on = [&]() -> absl::Status {
    LH_RETURN_IF_ERROR(GoOn(record));
    if (parts_.clock.Now() - bytes_at_ < kBytesEvery) return absl::OkStatus();
    bytes_at_ = parts_.clock.Now();
    LH_RETURN_IF_ERROR(records_.SetBytes(record.id, BytesIn(data)));
    Wake();  // to report it
    return absl::OkStatus();
  };
  postgres::Connection inside(parts_.instance.AsLogin(name));
  Manifest manifest{.backup = record.id,
                    .tenant = record.tenant,
                    .service = parts_.instance.service().str(),
                    .database_id = tenant.database_id,
                    .database_bytes = SizeOf(inside, name).value_or(0)};
  LH_ASSIGN_OR_RETURN(manifest.contents, CopyWithSnapshot(inside, go_on, [&](const Snapshot& snapshot) {
                        return DumpToFolder({.login = dumper, .owner = name, .snapshot = snapshot}, data, go_on);
                      }));
  manifest.create_time = absl::FormatTime(absl::RFC3339_sec, parts_.clock.Now(), absl::UTCTimeZone());
  return WriteManifest(record, std::move(manifest), unfinished);
}

absl::Status BackupKeeper::WriteManifest(BackupRecord& record, Manifest manifest,
                                         const std::filesystem::path& unfinished) {
  const std::filesystem::path data = BackupPlace::DataIn(unfinished);
  LH_RETURN_IF_ERROR(SyncFolder(data));
  LH_ASSIGN_OR_RETURN(manifest.files, DigestFiles(data, [&] { return GoOn(record); }));
  const std::string json = ToJson(manifest);
  LH_RETURN_IF_ERROR(WriteFile(BackupPlace::ManifestIn(unfinished), json));
  LH_RETURN_IF_ERROR(SyncFolder(unfinished));
  Describe(record, manifest, DigestOf(json));
  return absl::OkStatus();
}

absl::Status BackupKeeper::Remove(const BackupRecord& record) {
  const BackupPlace place(options_.folder, record.id, parts_.instance.service().str());
  LH_FAILPOINT("before removing a backup");
  LH_RETURN_IF_ERROR(place.CheckRoot());  // what cannot be seen is not removed
  LH_RETURN_IF_ERROR(place.RemoveUnfinished());
  LH_RETURN_IF_ERROR(RemoveFolder(place.folder));
  LH_FAILPOINT("after removing a service's part of a backup");
  std::error_code not_empty;  // other services' parts, which they remove themselves
  std::filesystem::remove(place.folder.parent_path(), not_empty);
  return absl::OkStatus();
}

absl::Status BackupKeeper::Conclude(BackupRecord record, const absl::Status& status) {
  if (IsOvertaken(status)) return absl::OkStatus();
  const absl::Status explained = Explain(status, record.cancelled ? "removing the backup" : "taking the backup");
  if (explained.ok()) {
    record.state = record.cancelled ? v1::BACKUP_STATE_REMOVED : v1::BACKUP_STATE_COMPLETE;
    record.message.clear();
    record.next_attempt_time.reset();
    Log(Level::kInfo, record.cancelled ? "backup removed" : "backup complete",
        {{"backup", record.id}, {"bytes", std::format("{}", record.bytes)}});
  } else {
    // What fails again in the same way was logged.
    if (record.message != ClientText(explained)) {
      Log(Level::kWarning, "backup failed; trying again", {{"backup", record.id}, {"error", ClientText(explained)}});
    }
    record.state = v1::BACKUP_STATE_FAILED;
    record.message = std::string(ClientText(explained));
    record.next_attempt_time = parts_.clock.Now() + backoff_.Wait(record.attempts + 1);
  }
  Ended(!explained.ok() ? "failed" : record.cancelled ? "removed" : "complete").Increment();
  return records_.Finish(record).status();
}

}  // namespace leasehold::provisioner
