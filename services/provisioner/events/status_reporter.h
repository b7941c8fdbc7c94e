// Tells the gateway what this provisioner has made of each tenant: every status in the records that the stream
// PROVISIONING does not hold yet is published, and marked only after the stream has stored it, some of them together.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/clock/clock.h"
#include "common/identity/identity.h"
#include "common/jetstream/jetstream.h"
#include "common/telemetry/metrics.h"
#include "common/telemetry/trace.h"
#include "leasehold/v1/event.pb.h"
#include "services/provisioner/state/records.h"

namespace leasehold::provisioner {

// What became of a backup; OK once the stream has stored it. `version` rises with each status of it.
absl::Status PublishBackup(jetstream::Client& client, const ServiceName& service, const std::string& tenant,
                           int64_t version, const v1::BackupStatus& status);

class StatusReporter {
 public:
  // `on_refused`: JetStream, though connected, has not taken a report for some attempts: it is full or has no leader.
  // Called with each further attempt, and with OK once it takes them again. On the reporter's thread; may block.
  StatusReporter(jetstream::Client& client, Records& records, ServiceName service, Metrics& metrics,
                 std::function<void(const absl::Status&)> on_refused = {});
  ~StatusReporter();  // Stop()

  void Start();
  void Stop();
  // There is something to report. Any thread; does not block.
  void Wake();
  // This is to be reported, as the records have it now: published at once, without asking them.
  void Report(TenantRecord status);
  // How far a copy is. The newest of a tenant is published once; it is a hint, and not kept.
  void Report(const TenantId& id, const v1::CopyStatus& copy);

  // Publishes all that is unreported. UNAVAILABLE if the stream or the records could not be reached: the rest follows
  // later. Not while Start()'s thread runs.
  absl::Status PublishPending();

 private:
  struct Copy {
    v1::CopyStatus status;
    Trace trace;
  };
  void Run();
  absl::Status PublishFresh() ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status PublishAll(std::span<const TenantRecord> statuses);
  absl::Status Publish(const TenantRecord& record);
  absl::Status Publish(const TenantId& id, const Copy& told);
  absl::Status Mark();
  void CountTenants();
  void NoteAttempt(const absl::Status& status);

  jetstream::Client& client_;
  Records& records_;
  const ServiceName service_;
  Metrics& metrics_;
  const std::function<void(const absl::Status&)> on_refused_;

  int refusals_ = 0;                     // in a row
  std::vector<TenantRecord> published_;  // and not marked yet
  absl::Time mark_time_ = absl::InfiniteFuture();

  absl::Mutex mu_;
  std::vector<TenantRecord> fresh_ ABSL_GUARDED_BY(mu_);
  std::map<TenantId, Copy> copies_ ABSL_GUARDED_BY(mu_);
  bool look_ ABSL_GUARDED_BY(mu_) = true;    // into the records
  bool woken_ ABSL_GUARDED_BY(mu_) = false;  // for either
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace leasehold::provisioner
