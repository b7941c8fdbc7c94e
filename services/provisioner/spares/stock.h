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
#include "services/provisioner/migrations/folder.h"
#include "services/provisioner/state/standard.h"

namespace leasehold::provisioner {

// Whoever keeps the spares holds this advisory lock ("lhsp"), and with it for as long as its session lives. One that
// lost the session without noticing writes nothing more: another may be at work on the same spare.
constexpr int kKeeperLock = 1818784624;

struct Spare {
  std::string database_id{};
  bool ready = false;   // and whole: database and roles are there under their names, with their marks
  Standard standard{};  // what it was offered with the last time; of one that is not ready it may be ahead of that
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
    kDiscard,  // more than there should be, or of files that are no longer those
  };
  bool operator==(const Chore&) const = default;

  Kind kind = Kind::kNone;
  std::string database_id{};
};
// Pure. `files`: what `standard` follows from. A spare whose schema is no beginning of theirs is of no use, be it that
// a file was taken back or mended, or that a newer provisioner kept the spares before: it is dropped.
Chore NextChore(std::span<const Spare> spares, const Standard& standard, const Migrations& files, int target);

// Ready and of this standard.
int CountFitting(std::span<const Spare> spares, const Standard& standard);

}  // namespace leasehold::provisioner
