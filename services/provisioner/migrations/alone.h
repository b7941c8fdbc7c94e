// Files without a transaction: each statement runs on its own, and the history says how far they came.
#pragma once

#include "absl/status/status.h"
#include "services/provisioner/migrations/runner.h"

namespace leasehold::provisioner {

// Runs what is left of `file`, of which `row` is the history. Before a statement is begun that is noted; so after a
// crash the next run knows which one may be half done, and cleans up after it or takes it as done.
absl::Status RunAlone(postgres::Connection& owner, const Secret& secret, const Migration& file, const HistoryRow& row,
                      const MigrateOptions& options, MigrateResult& result);

}  // namespace leasehold::provisioner
