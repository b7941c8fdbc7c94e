// What runs over the fleet are counted by.
#pragma once

#include "common/telemetry/metrics.h"
#include "leasehold/v1/migration.pb.h"

namespace leasehold::provisioner {

// Any thread.
class RunMetrics {
 public:
  explicit RunMetrics(Metrics& metrics);

  // A database's turn has come to an end.
  void Ended(v1::MigrationTaskState state);
  // A run has.
  void Ended(v1::MigrationRunState state);
  // This provisioner works on one, or does not.
  void SetRunning(bool running) { running_.Set(running ? 1 : 0); }
  // Open databases of tenants, and the central one, that lack files.
  void SetBehind(int databases) { behind_.Set(databases); }

 private:
  prometheus::Counter& Databases(const char* outcome);
  prometheus::Counter& Runs(v1::MigrationRunState state);

  Metrics& metrics_;
  prometheus::Gauge& running_;
  prometheus::Gauge& behind_;
};

}  // namespace leasehold::provisioner
