// Following an operation to its end, for --wait and `operation wait`.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "services/cli/command.h"
#include "services/cli/gateway_client.h"
#include "services/cli/progress.h"

namespace leasehold::cli {

struct WaitFlags {
  bool wait = false;
  absl::Duration timeout = absl::Minutes(2);

  // --wait and --timeout.
  void AddTo(CLI::App& app);
  void AddTimeoutTo(CLI::App& app);
};

// Blocks until the operation ends, well or not: see Verdict(). An error when it still runs after `timeout` (it goes
// on). A gateway that goes away while watched is asked again until then.
absl::StatusOr<v1::Operation> WaitForOperation(GatewayClient& client, const std::string& id, absl::Duration timeout,
                                               Progress& progress);

// OK for an operation that succeeded; what became of it otherwise.
absl::Status Verdict(const v1::Operation& operation);

}  // namespace leasehold::cli
