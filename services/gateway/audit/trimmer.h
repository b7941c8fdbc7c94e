// Keeps the trail's table at `audit.retention`: a thread that removes what is older, from the beginning, so that the
// rest can still be verified (docs/adr/0032-trimming.md). Every gateway runs one; one of them at a time removes.
#pragma once

#include <cstdint>
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

namespace leasehold::gateway {

class AuditTrimmer {
 public:
  struct Options {
    postgres::ConnectOptions registry;
    // Whether the tables are there; any thread. Until then nothing is asked of the registry.
    std::function<bool()> prepared = [] { return true; };
    std::string gateway;       // this process, as in AuditTrail::Options
    absl::Duration retention;  // zero: for ever
    absl::Duration interval = absl::Hours(1);
    // So many records are removed at once, and so long is waited in between: others use the table and the disk.
    int64_t step = 200;
    absl::Duration pause = absl::Milliseconds(100);
  };

  // What is given outlives it.
  AuditTrimmer(Options options, const Clock& clock, Metrics& metrics);
  ~AuditTrimmer();  // Stop()

  // At most once each, from one thread. Start() returns at once, and does nothing if all is kept for ever.
  void Start();
  void Stop();

  // One look, as the thread does it: removes what an interrupted one has left, then what has become too old. OK also
  // where another gateway has the turn. Not beside the thread.
  absl::Status Look();

 private:
  void Run();
  // What the newest anchor lets go of.
  absl::Status Remove(postgres::Connection& table);
  absl::Status NoteOldest(postgres::Connection& table);
  // False: it shall stop.
  bool Pause(absl::Duration wait);

  const Options options_;
  const Clock& clock_;
  prometheus::Counter& removed_;
  prometheus::Counter& tampered_;
  prometheus::Gauge& oldest_;
  absl::Mutex mu_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace leasehold::gateway
