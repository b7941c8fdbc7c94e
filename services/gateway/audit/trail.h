// Carries what was recorded into the trail: a thread that appends it to the table, and one that carries the table's
// records to the stream AUDIT. Each gateway runs both; appending they wait for each other, and one of them at a time
// publishes.
#pragma once

#include <functional>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/jetstream/jetstream.h"
#include "common/postgres/postgres.h"
#include "common/telemetry/metrics.h"
#include "services/gateway/audit/recent_records.h"
#include "services/gateway/audit/recorder.h"
#include "services/gateway/audit/records.h"

namespace leasehold::gateway {

class AuditTrail {
 public:
  struct Options {
    postgres::ConnectOptions registry;
    // Whether the table is there; any thread. Until then nothing is asked of the registry.
    std::function<bool()> prepared = [] { return true; };
    std::string gateway;  // this process; no other one has ever had the name
    int replicas = 1;     // of the stream
    absl::Duration stream_retention = absl::Hours(2160);
    // Events are gathered for so long: a record costs a hundred times what an event in it does, in PostgreSQL and NATS.
    absl::Duration gather = absl::Milliseconds(100);
    // Records go to the stream together, so often at most, for the same reason.
    absl::Duration pace = absl::Milliseconds(100);
    // How often the table is looked at for what another gateway has not published.
    absl::Duration tick = absl::Seconds(2);
    // How long Stop() tries to store what has been recorded.
    absl::Duration patience = absl::Seconds(2);
  };

  // What is given outlives it.
  AuditTrail(Options options, AuditRecorder& recorder, jetstream::Client& nats, Metrics& metrics);
  ~AuditTrail();  // Stop()

  // At most once each, from one thread. Nothing is connected to before Start(), which returns at once. Stop() first
  // takes the recorder's last events.
  void Start();
  void Stop();

 private:
  void Write();
  absl::Status Store(AuditBuffer::Batch& batch);
  void Publish();
  absl::Status Carry();
  // Carries some of what follows. `more`: there may be more.
  absl::Status CarrySome(bool& more);
  // False: it shall stop at once.
  bool Pause(absl::Duration wait);

  const Options options_;
  AuditRecorder& recorder_;
  jetstream::Client& nats_;
  prometheus::Counter& stored_;
  prometheus::Counter& tampered_;
  prometheus::Gauge& waiting_;
  prometheus::Gauge& published_;
  postgres::Connection table_;  // the writing thread's, as what follows
  AuditHead head_;
  RecentRecords recent_;
  postgres::Connection outlet_;  // the publishing thread's, as what follows
  bool stream_ensured_ = false;
  absl::Mutex mu_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  bool written_ ABSL_GUARDED_BY(mu_) = false;
  bool writer_over_ ABSL_GUARDED_BY(mu_) = false;
  std::thread writer_;
  std::thread publisher_;
};

// "<host name>/<8 hex digits>".
std::string AuditGatewayName();

}  // namespace leasehold::gateway
