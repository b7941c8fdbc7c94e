#include "services/provisioner/spares/claim.h"

#include <format>
#include <string>
#include <utility>

#include "common/failpoint/failpoint.h"
#include "common/status/error.h"
#include "common/status/view.h"
#include "common/telemetry/log.h"
#include "services/provisioner/steps/observe.h"

namespace leasehold::provisioner {
namespace {

using postgres::QuoteIdentifier;

// The oldest that fits. One that somebody is connected to is passed over, since a rename would wait up to five seconds
// for them; and one that is not what it was when it was offered, for whoever keeps the spares to look at. The
// conditions are asked of one after another until one holds.
constexpr std::string_view kTake =
    "WITH spare AS (DELETE FROM leasehold.spares WHERE database_id = ANY (ARRAY(SELECT s.database_id FROM ("
    "SELECT database_id, 'leasehold_new_' || database_id AS name, 'leasehold:1:' || database_id AS mark "
    "FROM leasehold.spares WHERE state = 'ready' AND schema_version = $2 AND role_key = $3 "
    "ORDER BY create_time, database_id FOR UPDATE SKIP LOCKED) s "
    "WHERE (SELECT count(*) FROM pg_database d WHERE d.datname = s.name AND pg_stat_get_db_numbackends(d.oid) = 0 "
    // shobj_description() is planned anew at each call.
    "AND s.mark = (SELECT description FROM pg_shdescription WHERE objoid = d.oid AND classoid = "
    "'pg_database'::regclass) "
    "AND s.mark = (SELECT description FROM pg_shdescription "
    "WHERE objoid = d.datdba AND classoid = 'pg_authid'::regclass) "
    "AND (SELECT bool_or(m.admin_option) FROM pg_auth_members m WHERE m.roleid = d.datdba "
    "AND m.member = (SELECT oid FROM pg_roles WHERE rolname = current_user))) = 1 "
    "LIMIT 1)) RETURNING database_id AS spare_id) "
    "UPDATE leasehold.tenants SET database_id = spare_id, database_generation = generation, state = 'ready', "
    "state_generation = generation, message = '', attempts = attempts + 1, next_attempt_time = NULL, "
    "schema_version = $2, role_key = $3, status_version = status_version + 1, update_time = $4 "
    "FROM spare WHERE id = $1 RETURNING ";

constexpr std::string_view kStill =
    "SELECT FROM leasehold.tenants WHERE id = $1 AND generation = $2 AND database_id IS NULL "
    "AND fill_database_id IS NULL AND origin_generation <= filled_generation FOR UPDATE";

bool IsNameTaken(const absl::Status& status) {
  const std::string_view sqlstate = postgres::SqlStateOf(status);
  return sqlstate == "42P04" || sqlstate == "42710";
}

std::string Renames(const std::string& database_id, const TenantId& id, const ServiceName& service) {
  const std::string spare = QuoteIdentifier(StagingName(database_id));
  const std::string spare_reader = QuoteIdentifier(StagingReadOnlyRole(database_id));
  const std::string name = QuoteIdentifier(TenantDatabaseName(id, service));
  const std::string reader = QuoteIdentifier(TenantReadOnlyRole(id, service));
  return std::format(
      "ALTER ROLE {0} RENAME TO {2}; ALTER ROLE {1} RENAME TO {3}; ALTER ROLE {2} LOGIN; ALTER ROLE {3} LOGIN; "
      "ALTER DATABASE {0} RENAME TO {2}",
      spare, spare_reader, name, reader);
}

}  // namespace

bool MayClaim(const TenantRecord& record) {
  return record.desired == v1::DESIRED_STATE_PRESENT && record.database_id.empty() && !AwaitsOrigin(record) &&
         record.fill_database_id.empty();
}

Claims::Claims(std::function<Standard()> standard, Parts parts)
    : standard_(std::move(standard)),
      parts_(std::move(parts)),
      central_(parts_.instance.AsClaimer(parts_.instance.central_database()), kConnections),
      claimed_(parts_.metrics.Counter("leasehold_spare_claims_total", "Tenants that were given a spare",
                                      {{"outcome", "claimed"}})),
      missed_(parts_.metrics.Counter("leasehold_spare_claims_total", "Tenants that were given a spare",
                                     {{"outcome", "none_left"}})) {}

absl::Status Claims::ClaimIn(postgres::Transaction& tx, const TenantRecord& record, Attempt& attempt) {
  const std::string sql = std::format("{}{}", kTake, kRecordColumns);
  const Standard standard = standard_();
  LH_ASSIGN_OR_RETURN(const pqxx::result rows,
                      tx.Exec(sql, {record.id.str(), std::format("{}", standard.schema_version), standard.role_key,
                                    absl::FormatTime(absl::RFC3339_full, parts_.clock.Now(), absl::UTCTimeZone())}));
  if (rows.empty()) return absl::OkStatus();
  LH_ASSIGN_OR_RETURN(TenantRecord settled, RecordOf(rows[0]));
  attempt.database_id = settled.database_id;
  LH_RETURN_IF_ERROR(tx.Exec(Renames(settled.database_id, record.id, parts_.instance.service())).status());
  LH_FAILPOINT("before committing a claim");
  attempt.settled = std::move(settled);
  return absl::OkStatus();
}

absl::Status Claims::Forgive(const absl::Status& status, const TenantId& id, const Attempt& attempt) {
  if (attempt.database_id.empty()) {
    Log(Level::kWarning, "no spare could be looked for", {{"tenant", id.str()}, {"error", StdView(status.message())}});
    return absl::OkStatus();
  }
  if (postgres::IsConnectionFailure(status)) return status;
  if (IsNameTaken(status)) return absl::OkStatus();
  // Something is amiss with the spare itself: whoever keeps them looks at it before anybody is given it.
  Log(Level::kWarning, "a spare could not be claimed",
      {{"tenant", id.str()}, {"database_id", attempt.database_id}, {"error", StdView(status.message())}});
  return central_.Take()
      ->ExecAlone("UPDATE leasehold.spares SET state = 'building' WHERE database_id = $1", {attempt.database_id})
      .status();
}

void Claims::Count(const Attempt& attempt) {
  const bool found = attempt.settled.has_value();
  if (found) LH_FAILPOINT("after committing a claim");
  (found ? claimed_ : missed_).Increment();
  parts_.on_claim(found);
}

absl::StatusOr<Claims::Wanted> Claims::Want(const TenantId& id, const Desire& desire,
                                            std::optional<int64_t> overrules) {
  Attempt attempt;
  bool asked = false;
  absl::StatusOr<bool> changed =
      records_.Want(id, desire, overrules, [&](postgres::Transaction& tx, const TenantRecord& record) {
        asked = MayClaim(record);
        if (record.state == v1::SERVICE_STATE_READY) attempt.settled = record;
        return asked ? ClaimIn(tx, record, attempt) : absl::OkStatus();
      });
  if (!changed.ok()) {
    LH_RETURN_IF_ERROR(Forgive(changed.status(), id, attempt));
    attempt = {};
    asked = false;
    changed = parts_.records.Want(id, desire, overrules);
    LH_RETURN_IF_ERROR(changed.status());
  }
  if (asked) Count(attempt);
  const bool claimed = !attempt.database_id.empty();
  return Wanted{.changed = *changed, .claimed = claimed, .settled = std::move(attempt.settled)};
}

absl::StatusOr<std::optional<TenantRecord>> Claims::Take(const TenantRecord& record) {
  if (!MayClaim(record)) return std::nullopt;
  Attempt attempt;
  const absl::Status status = central_.InTransaction([&](postgres::Transaction& tx) -> absl::Status {
    LH_ASSIGN_OR_RETURN(const pqxx::result still,
                        tx.Exec(kStill, {record.id.str(), std::format("{}", record.generation)}));
    return still.empty() ? absl::OkStatus() : ClaimIn(tx, record, attempt);
  });
  if (!status.ok()) {
    LH_RETURN_IF_ERROR(Forgive(status, record.id, attempt));
    return std::nullopt;
  }
  // That none was left was counted when the tenant was wanted.
  if (attempt.settled.has_value()) Count(attempt);
  return std::move(attempt.settled);
}

}  // namespace leasehold::provisioner
