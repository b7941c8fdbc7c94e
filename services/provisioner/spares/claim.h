// Giving a spare to a tenant: three renames and two rows in one statement to the central database. There is no moment
// in which a crash leaves half of it.
#pragma once

#include <atomic>
#include <functional>
#include <optional>

#include "absl/status/statusor.h"
#include "common/clock/clock.h"
#include "common/identity/identity.h"
#include "common/postgres/postgres.h"
#include "common/telemetry/metrics.h"
#include "services/provisioner/state/records.h"
#include "services/provisioner/state/standard.h"
#include "services/provisioner/steps/instance.h"

namespace leasehold::provisioner {

// Any thread; every call blocks on one short transaction. A claim never waits: a spare that another claim holds, or
// that somebody is connected to, is passed over; with none left the tenant gets its database the long way.
class Claims {
 public:
  // Connections of its own that it uses at most, as the claimer (steps/claimer.h).
  static constexpr int kConnections = 4;

  struct Parts {
    const Instance& instance;
    Records& records;  // for what is recorded without a claim
    const Clock& clock;
    Metrics& metrics;
    // After each commit that took a spare, and whenever one was wanted and none fitted. Must not block.
    std::function<void(bool found)> on_claim;
  };
  // Only spares of what `standard` says then are given away.
  Claims(std::function<Standard()> standard, Parts parts);

  struct Wanted {
    bool changed = false;                   // as Records::Want
    bool claimed = false;                   // it was given a spare
    std::optional<TenantRecord> settled{};  // the tenant is READY already: its record
  };
  // Records::Want, and in the same transaction a spare for the tenant if it is to have a database and has none. Where
  // that cannot be (no spare, a name that is taken) only the desire is recorded.
  absl::StatusOr<Wanted> Want(const TenantId& id, const Desire& desire,
                              std::optional<int64_t> overrules = std::nullopt);

  // A spare for a tenant whose desire is recorded; its record afterwards. nullopt: the long way, or `record` is not
  // what holds now.
  absl::StatusOr<std::optional<TenantRecord>> Take(const TenantRecord& record);

  // Of its connections (postgres::ConnectionPool).
  void CloseIdle() { central_.CloseIdle(); }

 private:
  SpareClaim ClaimOf(const TenantId& id) const;
  // True if the tenant was given a spare; counts and tells.
  bool Conclude(const Spared& spared);

  const std::function<Standard()> standard_;
  const Parts parts_;
  postgres::ConnectionPool central_;
  Records records_{central_, parts_.clock};
  prometheus::Counter& claimed_;
  prometheus::Counter& missed_;
};

// Whether a tenant may begin with a spare: it shall have a database, empty and as migrated, and has none.
bool MayClaim(const TenantRecord& record);

}  // namespace leasehold::provisioner
