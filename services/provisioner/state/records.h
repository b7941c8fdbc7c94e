// What a provisioner remembers of each tenant, in `leasehold.tenants` of the central database: what is desired, what it
// has made of it, and what it has reported. A record stays after a removal, so that an old event cannot bring a tenant
// back.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/clock/clock.h"
#include "common/identity/identity.h"
#include "common/postgres/postgres.h"
#include "leasehold/v1/event.pb.h"
#include "leasehold/v1/tenant.pb.h"
#include "services/provisioner/state/standard.h"

namespace leasehold::provisioner {

// Where the data of a tenant's database comes from, as in event.proto. Generation 0: from nowhere, it begins empty.
struct Origin {
  bool operator==(const Origin&) const = default;
  std::string tenant{};
  std::string backup{};
  int64_t generation = 0;
};

// "<tenant>.<generation>": also the name of a folder, so nothing else may pass.
bool IsBackupId(std::string_view text);

// What somebody wants of a tenant.
struct Desire {
  // It may destroy what is there, so it waits for the registry's own word.
  bool MayDestroy() const {
    return state == v1::DESIRED_STATE_ABSENT || create_generation > 1 || origin.generation > 0;
  }

  bool operator==(const Desire&) const = default;

  // nullopt: an event from another service, which means "create if absent".
  std::optional<int64_t> generation{};
  v1::DesiredState state = v1::DESIRED_STATE_PRESENT;
  // The generation in which this tenant began; 0: not said.
  int64_t create_generation = 0;
  // The registry itself said so; an event alone never removes anything.
  bool confirmed = false;
  Origin origin{};
  // A hint that there is a backup to take or to leave off; not recorded.
  bool backup = false;
  // W3C Trace Context of what asked for it; empty: nobody knows.
  std::string traceparent{};
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
  Origin origin{};
  int64_t filled_generation = 0;   // of the newest origin that the database was filled from
  std::string fill_database_id{};  // of what is being filled beside it; empty: nothing
  int64_t fill_generation = 0;     // of the origin that it is filled from
  std::string traceparent{};       // as Desire's; what is done for the tenant belongs to this trace
};

// The database is still to be filled from its origin.
bool AwaitsOrigin(const TenantRecord& record);

// The database is that of a tenant that had the id before and was purged meanwhile.
bool IsOutlived(const TenantRecord& record);

// Whether an attempt noted for `when` still has to wait. None waits for longer than `longest`: a later time is of
// another machine's clock, or of this one's before it was set back.
bool IsStillToCome(absl::Time when, absl::Time now, absl::Duration longest);

// How an attempt ended.
struct Outcome {
  v1::ServiceState state = v1::SERVICE_STATE_FAILED;  // READY, FAILED, CLOSED, REMOVED
  std::string message{};                              // FAILED: why; safe to show
  std::optional<absl::Time> next_attempt_time{};      // FAILED: when it is tried next
  std::optional<int> schema_version{};
  std::string role_key{};
};

// The columns of leasehold.tenants that make a record, and the record of a row of them.
extern const std::string_view kRecordColumns;
absl::StatusOr<TenantRecord> RecordOf(const pqxx::row& row);

// What a spare that is given to a tenant becomes.
struct SpareClaim {
  std::string database{};
  std::string read_only_role{};
  Standard standard{};  // only one of these is given
};

// What became of that.
struct Spared {
  TenantRecord record;
  bool asked = false;         // the tenant was to be given one, and nothing but the stock stood in the way
  std::string database_id{};  // of the spare, now the tenant's, or of the one that could not be had; else empty
  std::string trouble{};      // why it could not be had; for the log. It is kept, for who keeps the spares to look at
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

  // Want, and in the same statement a spare for the tenant if it is to have a database and has none. Here a tenant that
  // was announced, and has its database, stays READY when the registry takes it in. nullopt: nothing changed.
  absl::StatusOr<std::optional<Spared>> Want(const TenantId& id, const Desire& desire, std::optional<int64_t> overrules,
                                             const SpareClaim& claim);
  // A spare for a tenant whose desire is recorded. nullopt: `record` is not what holds now.
  absl::StatusOr<std::optional<Spared>> TakeSpare(const TenantRecord& record, const SpareClaim& claim);

  // The registry itself said what `record` holds, and in which generation the tenant began; nothing else changes. No
  // effect if the record has moved on.
  absl::Status Confirm(const TenantRecord& record, int64_t create_generation);

  absl::StatusOr<std::optional<TenantRecord>> Get(const TenantId& id);
  absl::StatusOr<std::vector<TenantRecord>> List();
  // Database ids of what migration runs compare others with.
  absl::StatusOr<std::vector<std::string>> ListScratch();

  // Tenants that somebody should look at by now, those that have waited the longest first: an attempt is due, or the
  // desire was recorded `patience` ago and nothing has become of it. `longest`: as IsStillToCome().
  absl::StatusOr<std::vector<TenantId>> Due(absl::Duration patience, absl::Duration longest, int limit);
  // Whether there is a tenant that nobody may work on before the registry itself says what an event said, longer ago
  // than `patience` and not longer than `end`: the registry may never say it. Desire::MayDestroy(), of records.
  absl::StatusOr<bool> AwaitWord(absl::Duration patience, absl::Duration end);

  // Gives the tenant a database id unless it has one, and returns the one it has.
  absl::StatusOr<std::string> AssignDatabaseId(const TenantId& id, const std::string& proposal);
  // All of that database was dropped, and the tenant needs a new one. No effect if it has another.
  absl::Status ForgetDatabase(const TenantId& id, const std::string& database_id);

  // Gives what is to be filled from `record.origin` an id unless it has one, and returns the one it has.
  absl::StatusOr<std::string> AssignFillId(const TenantRecord& record, const std::string& proposal);
  // All of what was being filled was dropped. No effect if it has another id.
  absl::Status ForgetFill(const TenantId& id, const std::string& fill_database_id);
  // Within the transaction that moves what was filled into place: it is the tenant's database from now on. SUPERSEDED
  // if `record` is not what is wanted any more.
  static absl::Status AdoptFill(postgres::Transaction& tx, const TenantRecord& record, int schema_version,
                                const std::string& role_key);

  // How an attempt at `record`, as it was before, ended. The record afterwards; nullopt, and nothing changes, if it has
  // another generation or desire by now, or another attempt has ended since. Counts an attempt; REMOVED forgets
  // database id and schema version.
  absl::StatusOr<std::optional<TenantRecord>> Finish(const TenantRecord& record, const Outcome& outcome);

  // Statuses that the stream does not hold yet, in the order of ids.
  absl::StatusOr<std::vector<TenantRecord>> Unreported(int limit);
  absl::Status MarkReported(std::span<const TenantRecord> records);
  absl::Status MarkReported(const TenantRecord& record) { return MarkReported(std::span(&record, 1)); }
  // The present status shall be reported once more, as what holds now.
  absl::Status ReportAgain(const TenantId& id);

  absl::StatusOr<std::map<v1::ServiceState, int64_t>> CountByState();

 private:
  absl::StatusOr<pqxx::result> Run(std::string_view sql, std::span<const postgres::Param> params);
  // The same, and PostgreSQL is told of the thread's trace.
  absl::StatusOr<pqxx::result> RunTraced(std::string_view sql, std::span<const postgres::Param> params);

  postgres::ConnectionPool& central_;
  const Clock& clock_;
};

}  // namespace leasehold::provisioner
