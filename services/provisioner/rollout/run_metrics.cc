#include "services/provisioner/rollout/run_metrics.h"

#include "absl/strings/ascii.h"
#include "absl/strings/strip.h"

namespace leasehold::provisioner {

RunMetrics::RunMetrics(Metrics& metrics)
    : metrics_(metrics),
      running_(metrics.Gauge("leasehold_migration_run_active", "1: this provisioner works on a migration run")),
      behind_(metrics.Gauge("leasehold_migration_databases_behind",
                            "Open databases that lack migrations which this provisioner has read")) {
  for (const char* outcome : {"done", "failed", "skipped"}) Databases(outcome);
  for (const auto state : {v1::MIGRATION_RUN_STATE_SUCCEEDED, v1::MIGRATION_RUN_STATE_FAILED,
                           v1::MIGRATION_RUN_STATE_STOPPED, v1::MIGRATION_RUN_STATE_CANCELLED}) {
    Runs(state);
  }
}

prometheus::Counter& RunMetrics::Databases(const char* outcome) {
  return metrics_.Counter("leasehold_migration_databases_total",
                          "Databases whose turn in a migration run came to an end", {{"outcome", outcome}});
}

prometheus::Counter& RunMetrics::Runs(v1::MigrationRunState state) {
  const std::string name = v1::MigrationRunState_Name(state);
  return metrics_.Counter("leasehold_migration_runs_total", "Migration runs that this provisioner brought to their end",
                          {{"outcome", absl::AsciiStrToLower(absl::StripPrefix(name, "MIGRATION_RUN_STATE_"))}});
}

void RunMetrics::Ended(v1::MigrationTaskState state) {
  if (state == v1::MIGRATION_TASK_STATE_RUNNING || state == v1::MIGRATION_TASK_STATE_PENDING) return;
  const bool failed = state == v1::MIGRATION_TASK_STATE_FAILED;
  Databases(state == v1::MIGRATION_TASK_STATE_DONE ? "done" : failed ? "failed" : "skipped").Increment();
}

void RunMetrics::Ended(v1::MigrationRunState state) { Runs(state).Increment(); }

}  // namespace leasehold::provisioner
