// Takes the backups that the registry wants and removes those that it does not want any more, one at a time, for as
// long as it runs. What is wanted comes from the gateway (at start, on a timer, and whenever an event hints at it);
// what was done of it stands in BackupRecords. An attempt that fails is followed by another, with backoff.
//
// Several provisioners of one service may run one each: who holds a backup's advisory lock works on it.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/clock/clock.h"
#include "common/postgres/postgres.h"
#include "common/telemetry/metrics.h"
#include "services/provisioner/archive/backup_records.h"
#include "services/provisioner/archive/backup_source.h"
#include "services/provisioner/archive/manifest.h"
#include "services/provisioner/archive/tools.h"
#include "services/provisioner/state/records.h"
#include "services/provisioner/steps/instance.h"

namespace leasehold::provisioner {

class BackupKeeper {
 public:
  struct Options {
    std::filesystem::path folder{};  // empty: none is configured, and every attempt fails
    absl::Duration resync_interval = absl::Seconds(30);
    absl::Duration min_backoff = absl::Milliseconds(500);
    absl::Duration max_backoff = absl::Minutes(1);
  };
  struct Parts {
    const Instance& instance;
    postgres::ConnectionPool& central;  // two connections are used at a time
    Records& tenants;
    BackupSource& source;
    const Clock& clock;
    Metrics& metrics;
    // Publishes what became of a backup; OK once it is stored. Not called at the same time by two threads.
    std::function<absl::Status(const BackupRecord&)> report;
  };
  BackupKeeper(Options options, Parts parts);
  ~BackupKeeper();  // Stop()

  // One thread asks and reports, one works.
  void Start();
  // Kills a pg_dump that runs; its backup is taken up again at the next start.
  void Stop();
  // There is something new at the gateway. Any thread; does not block.
  void Wake();

  // What the threads do, for tests without them. Sync: asks the gateway, reports what is unreported.
  absl::Status Sync();
  // Works on the oldest backup that is due; false if none is.
  absl::StatusOr<bool> WorkOne();

 private:
  void RunSyncs();
  void RunWork();
  absl::Status Report();
  enum Thread : uint8_t { kSyncing, kWorking };
  // Until `thread`, the caller's, is woken or `time` is over; false when stopping.
  bool Sleep(Thread thread, absl::Duration time) ABSL_LOCKS_EXCLUDED(mu_);
  bool Stopping() const;

  absl::Status Attempt(BackupRecord& record);
  absl::Status Take(BackupRecord& record);
  // True: it is in place already, and `record` describes it.
  absl::StatusOr<bool> Adopt(BackupRecord& record, const BackupPlace& place);
  absl::Status Dump(BackupRecord& record, const TenantRecord& tenant, const std::filesystem::path& unfinished);
  // Adds the files to `manifest`.
  absl::Status WriteManifest(BackupRecord& record, Manifest manifest, const std::filesystem::path& unfinished);
  static void Describe(BackupRecord& record, const Manifest& manifest, const std::string& sha256);
  absl::Status Remove(const BackupRecord& record);
  absl::Status Conclude(BackupRecord record, const absl::Status& status);
  // OK while the attempt at `record` is still wanted.
  absl::Status GoOn(const BackupRecord& record);

  const Options options_;
  prometheus::Counter& Ended(const char* outcome) const;

  const Parts parts_;
  BackupRecords records_;
  Backoff backoff_;  // the working thread's

  // The working thread's: has the lock on the backup that it is at.
  postgres::Connection* holder_ = nullptr;

  mutable absl::Mutex mu_;
  std::array<bool, 2> woken_ ABSL_GUARDED_BY(mu_) = {};  // by thread
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  absl::Time bytes_at_ = absl::InfinitePast();  // the working thread's: when progress was noted
  std::thread syncing_;
  std::thread working_;
};

}  // namespace leasehold::provisioner
