// The spares that there are, in `leasehold.spares` of the central database, and what there is to do about them. A row
// is there before its database is and until after it is gone, so that nothing half-made is lost sight of.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/postgres/postgres.h"
#include "services/provisioner/state/standard.h"

namespace leasehold::provisioner {

// Whoever keeps the spares holds this advisory lock ("lhsp"), and with it for as long as its session lives. One that
// lost the session without noticing writes nothing more: another may be at work on the same spare.
constexpr int kKeeperLock = 1818784624;

struct Spare {
  std::string database_id{};
  bool ready = false;   // and whole: database and roles are there under their names, with their marks
  Standard standard{};  // of a ready one
};

// All, the oldest first; `claimer` (steps/claimer.h) is to have been let at what is ready.
absl::StatusOr<std::vector<Spare>> ListSpares(postgres::Connection& central, const std::string& claimer);

// True if this session holds the lock of kKeeperLock, or has it now. One that is silent and holds it loses it by the
// next call.
absl::StatusOr<bool> TakeKeeperLock(postgres::Connection& central);

// The keeper's, over the connection that holds the lock; INSTANCE_UNAVAILABLE if it does not any more.
// A row for a spare that is about to be made.
absl::Status BeginSpare(postgres::Connection& central, const std::string& database_id, absl::Time now);
// It may be claimed.
absl::Status OfferSpare(postgres::Connection& central, const std::string& database_id, const Standard& standard);
// It may not be claimed any more; false if it has been.
absl::StatusOr<bool> WithdrawSpare(postgres::Connection& central, const std::string& database_id);
// Nothing of it is left.
absl::Status ForgetSpare(postgres::Connection& central, const std::string& database_id);

// The next thing to do, so that of `target` spares each is ready and of `standard`.
struct Chore {
  enum class Kind {
    kNone,
    kMake,
    kFinish,   // left half-made by somebody who was killed, or of an older standard
    kDiscard,  // more than there should be
  };
  bool operator==(const Chore&) const = default;

  Kind kind = Kind::kNone;
  std::string database_id{};
};
// Pure. Spares of a newer schema than `standard` belong to a newer provisioner: they are left alone.
Chore NextChore(std::span<const Spare> spares, const Standard& standard, int target);

// Ready and of this standard.
int CountFitting(std::span<const Spare> spares, const Standard& standard);

}  // namespace leasehold::provisioner
