// What a provisioner remembers of each tenant, in `leasehold.tenants` of the central database: what is desired, what it
// has made of it, and what it has reported. A record stays after a removal, so that an old event cannot bring a tenant
// back.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/clock/clock.h"
#include "common/identity/identity.h"
#include "common/postgres/postgres.h"
#include "leasehold/v1/event.pb.h"
#include "leasehold/v1/tenant.pb.h"

namespace leasehold::provisioner {

// What somebody wants of a tenant.
struct Desire {
  bool operator==(const Desire&) const = default;

  // nullopt: an event from another service, which means "create if absent".
  std::optional<int64_t> generation{};
  v1::DesiredState state = v1::DESIRED_STATE_PRESENT;
  // The generation in which this tenant began; 0: not said.
  int64_t create_generation = 0;
  // The registry itself said so; an event alone never removes anything.
  bool confirmed = false;
};

struct TenantRecord {
  TenantId id;
  int64_t generation = 0;
  v1::DesiredState desired = v1::DESIRED_STATE_UNSPECIFIED;
  bool confirmed = false;
  absl::Time desired_time{};
  int64_t create_generation = 0;    // in which the desired tenant began; 0: not said
  std::string database_id{};        // empty: nothing was ever begun, or all was removed
  int64_t database_generation = 0;  // for which it was begun; 0: none, or for an announcement, which is nobody's yet
  v1::ServiceState state = v1::SERVICE_STATE_PENDING;
  int64_t state_generation = 0;  // what `state` speaks of, unless it is PENDING
  std::string message{};
  int attempts = 0;
  std::optional<absl::Time> next_attempt_time{};
  std::optional<int> schema_version{};
  std::string role_key{};  // Instance::KeyFingerprint() at the last complete run
  int64_t status_version = 0;
  int64_t reported_version = 0;
  absl::Time update_time{};
};

// The database is that of a tenant that had the id before and was purged meanwhile.
bool IsOutlived(const TenantRecord& record);

// How an attempt ended.
struct Outcome {
  v1::ServiceState state = v1::SERVICE_STATE_FAILED;  // READY, FAILED, CLOSED, REMOVED
  std::string message{};                              // FAILED: why; safe to show
  std::optional<absl::Time> next_attempt_time{};      // FAILED: when it is tried next
  std::optional<int> schema_version{};
  std::string role_key{};
};

// Any thread; every call blocks on one short transaction. Errors: those of postgres::ConnectionPool.
class Records {
 public:
  Records(postgres::ConnectionPool& central, const Clock& clock) : central_(central), clock_(clock) {}

  // True if this changed the record, which then is PENDING: somebody should look at the tenant. An older generation
  // than the recorded one changes nothing, unless it is confirmed and the record still has generation `overrules`; the
  // same one only if it is confirmed and differs, or confirms an ABSENT; without a generation only an unknown tenant is
  // recorded, under generation 0.
  absl::StatusOr<bool> Want(const TenantId& id, const Desire& desire, std::optional<int64_t> overrules = std::nullopt);

  // The registry itself said what `record` holds, and in which generation the tenant began; nothing else changes. No
  // effect if the record has moved on.
  absl::Status Confirm(const TenantRecord& record, int64_t create_generation);

  absl::StatusOr<std::optional<TenantRecord>> Get(const TenantId& id);
  absl::StatusOr<std::vector<TenantRecord>> List();

  // Gives the tenant a database id unless it has one, and returns the one it has.
  absl::StatusOr<std::string> AssignDatabaseId(const TenantId& id, const std::string& proposal);
  // All of that database was dropped, and the tenant needs a new one. No effect if it has another.
  absl::Status ForgetDatabase(const TenantId& id, const std::string& database_id);

  // False, and nothing changes, if the record no longer has this generation. Counts an attempt; REMOVED forgets
  // database id and schema version.
  absl::StatusOr<bool> Finish(const TenantId& id, int64_t generation, const Outcome& outcome);

  // Statuses that the stream does not hold yet, in the order of ids.
  absl::StatusOr<std::vector<TenantRecord>> Unreported(int limit);
  absl::Status MarkReported(const TenantRecord& record);
  // The present status shall be reported once more, as what holds now.
  absl::Status ReportAgain(const TenantId& id);

  absl::StatusOr<std::map<v1::ServiceState, int64_t>> CountByState();

 private:
  absl::StatusOr<pqxx::result> Run(std::string_view sql, std::span<const postgres::Param> params);

  postgres::ConnectionPool& central_;
  const Clock& clock_;
};

}  // namespace leasehold::provisioner
