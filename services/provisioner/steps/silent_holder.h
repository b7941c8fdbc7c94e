// What an advisory lock of a session does not survive is a process that stands still (SIGSTOP, a paused machine, a cut
// network): its sessions stay, and the lock with them. So every provisioner says something every kHeartbeat
// (reconcile/heartbeat.h), and one that has said nothing for a while is made to lose its sessions by whoever wants a
// lock that it has.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/postgres/postgres.h"

namespace leasehold::provisioner {

inline constexpr absl::Duration kHeartbeat = absl::Seconds(2);
inline constexpr absl::Duration kSilence = absl::Seconds(10);

// A lock of the central database, by a condition on pg_locks `l` with one parameter, $1.
struct LockedBy {
  std::string_view condition;
  std::string parameter;
};

// True if `take`, a statement with the lock's parameter that answers so, has got it. If not, all sessions of the
// process that has it are ended, should none of them have begun or ended anything for `patience`: the next try
// succeeds. Of this process never. Blocks shortly.
absl::StatusOr<bool> TryLock(postgres::Connection& central, std::string_view take, const LockedBy& lock,
                             absl::Duration patience = kSilence);

// The second half of that.
absl::Status EndSilentHolder(postgres::Connection& central, const LockedBy& lock, absl::Duration patience = kSilence);

}  // namespace leasehold::provisioner
