// Following a migration run to its end: a bar with rate and remaining time on a terminal, plain lines elsewhere, one
// JSON message a line with --json.
#pragma once

#include <signal.h>

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "leasehold/v1/migration.pb.h"
#include "services/cli/command.h"
#include "services/cli/gateway_client.h"

namespace leasehold::cli {

// "apply identity.7  [####------] 120/300  wave 2/3  41/s  4s left  1 failed": `rate` in databases a second, 0 if it is
// not known yet. Cut to `columns`.
std::string MigrationLine(const v1::MigrationRun& run, double rate, int columns);

// Databases a second lately, from what was seen when.
class MigrationRate {
 public:
  void See(const v1::MigrationRun& run, absl::Time now);
  double per_second() const { return per_second_; }

 private:
  absl::Time first_time_ = absl::InfiniteFuture();
  int first_ended_ = 0;
  double per_second_ = 0;
};

// While it lives, an interrupt (Ctrl-C) says on standard error that the run goes on, and how to come back to it or to
// cancel it, before it ends the process. One at a time.
class TellsAtInterrupt {
 public:
  explicit TellsAtInterrupt(const std::string& run);
  ~TellsAtInterrupt();
  TellsAtInterrupt(const TellsAtInterrupt&) = delete;
  TellsAtInterrupt& operator=(const TellsAtInterrupt&) = delete;

 private:
  struct sigaction before_{};
};

// Blocks until the run has ended, however; a gateway that goes away meanwhile is asked again for a minute. Databases
// that failed are told as they come.
absl::StatusOr<v1::MigrationRun> FollowRun(const Command& command, GatewayClient& client, const std::string& id);

}  // namespace leasehold::cli
