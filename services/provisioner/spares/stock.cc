#include "services/provisioner/spares/stock.h"

#include <algorithm>
#include <format>

#include "common/status/error.h"
#include "services/provisioner/migrations/history.h"
#include "services/provisioner/steps/silent_holder.h"

namespace leasehold::provisioner {
namespace {

bool Fits(const Spare& spare, const Standard& standard) { return spare.ready && spare.standard == standard; }

// Its migrations are the first of these. One that says nothing of its own is looked at when it is migrated.
bool Begins(const Spare& spare, const Migrations& files) {
  const Standard& standard = spare.standard;
  return standard.schema_digest.empty() || (standard.schema_version <= NewestVersion(files) &&
                                            standard.schema_digest == DigestOf(files, standard.schema_version));
}

constexpr std::string_view kHeld =
    "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = 0 AND objid = {} AND objsubid = 1 "
    "AND granted AND pid = pg_backend_pid()) AS held";

// How many rows `write`, which ends in a condition, has changed.
absl::StatusOr<int> AsKeeper(postgres::Connection& central, std::string_view write,
                             std::initializer_list<postgres::Param> params) {
  const std::string sql = std::format(
      "WITH keeper AS MATERIALIZED ({}), written AS ({} AND (SELECT held FROM keeper) RETURNING 1) "
      "SELECT held, (SELECT count(*) FROM written) FROM keeper",
      std::format(kHeld, kKeeperLock), write);
  LH_ASSIGN_OR_RETURN(const pqxx::result rows, central.ExecAlone(sql, params));
  if (rows[0][0].as<bool>()) return rows[0][1].as<int>();
  return Error(v1::REASON_INSTANCE_UNAVAILABLE, "the connection to the instance was lost in the middle of the work");
}

}  // namespace

absl::StatusOr<bool> TakeKeeperLock(postgres::Connection& central) {
  // Taken once a session, since each take would have to be let go again.
  return TryLock(central,
                 std::format("SELECT CASE WHEN held THEN true ELSE pg_try_advisory_lock($1) END FROM ({}) AS k",
                             std::format(kHeld, kKeeperLock)),
                 {.condition = "l.classid = 0 AND l.objid = $1::oid AND l.objsubid = 1",
                  .parameter = std::format("{}", kKeeperLock)});
}

// Of each spare by itself, and no joins: each of these is one look into an index, however many databases there are.
absl::StatusOr<std::vector<Spare>> ListSpares(postgres::Connection& central, const std::string& claimer) {
  LH_ASSIGN_OR_RETURN(
      const pqxx::result rows,
      central.ExecAlone(
          "SELECT s.database_id, s.state = 'ready' AND (SELECT count(*) FROM pg_database d "
          "WHERE d.datname = n.name::name AND d.datconnlimit <> -2 AND n.mark = (SELECT description "
          "FROM pg_shdescription WHERE objoid = d.oid AND classoid = 'pg_database'::regclass) "
          "AND n.mark = (SELECT description FROM pg_shdescription WHERE objoid = d.datdba "
          "AND classoid = 'pg_authid'::regclass)) = 1 AND (SELECT count(*) FROM pg_roles r "
          "WHERE r.rolname = ANY (ARRAY[n.name::name, (n.name || '_ro')::name]) AND NOT r.rolcanlogin "
          "AND n.mark = (SELECT description FROM pg_shdescription WHERE objoid = r.oid "
          "AND classoid = 'pg_authid'::regclass) AND (SELECT bool_or(m.admin_option AND m.inherit_option) "
          "FROM pg_auth_members m WHERE m.roleid = r.oid "
          "AND m.member = (SELECT oid FROM pg_roles WHERE rolname = $1::name))) = 2, "
          "coalesce(s.schema_version, 0), s.schema_digest, s.role_key "
          "FROM leasehold.spares s CROSS JOIN LATERAL (SELECT 'leasehold_new_' || s.database_id, "
          "'leasehold:1:' || s.database_id) AS n (name, mark) ORDER BY s.create_time, s.database_id",
          {claimer}));
  std::vector<Spare> spares;
  for (const pqxx::row& row : rows) {
    spares.push_back({.database_id = row[0].as<std::string>(),
                      .ready = row[1].as<bool>(),
                      .standard = {.schema_version = row[2].as<int>(),
                                   .schema_digest = row[3].as<std::string>(),
                                   .role_key = row[4].as<std::string>()}});
  }
  return spares;
}

absl::Status BeginSpare(postgres::Connection& central, const std::string& database_id, absl::Time now) {
  return AsKeeper(central,
                  "INSERT INTO leasehold.spares (database_id, state, create_time) "
                  "SELECT $1, 'building', $2::timestamptz WHERE true",
                  {database_id, absl::FormatTime(absl::RFC3339_full, now, absl::UTCTimeZone())})
      .status();
}

absl::Status OfferSpare(postgres::Connection& central, const std::string& database_id, const Standard& standard) {
  return AsKeeper(central,
                  "UPDATE leasehold.spares SET state = 'ready', schema_version = $2, schema_digest = $3, "
                  "role_key = $4 WHERE database_id = $1 AND state = 'building'",
                  {database_id, std::format("{}", standard.schema_version), standard.schema_digest, standard.role_key})
      .status();
}

absl::StatusOr<bool> WithdrawSpare(postgres::Connection& central, const std::string& database_id) {
  LH_ASSIGN_OR_RETURN(
      const int found,
      AsKeeper(central, "UPDATE leasehold.spares SET state = 'building' WHERE database_id = $1", {database_id}));
  return found > 0;
}

absl::Status ForgetSpare(postgres::Connection& central, const std::string& database_id) {
  return AsKeeper(central, "DELETE FROM leasehold.spares WHERE database_id = $1", {database_id}).status();
}

int CountFitting(std::span<const Spare> spares, const Standard& standard) {
  return static_cast<int>(std::ranges::count_if(spares, [&](const Spare& spare) { return Fits(spare, standard); }));
}

Chore NextChore(std::span<const Spare> spares, const Standard& standard, const Migrations& files, int target) {
  const int fitting = CountFitting(spares, standard);
  for (const Spare& spare : spares) {
    if (Fits(spare, standard)) continue;
    return {.kind = fitting < target && Begins(spare, files) ? Chore::Kind::kFinish : Chore::Kind::kDiscard,
            .database_id = spare.database_id};
  }
  if (fitting < target) return {.kind = Chore::Kind::kMake};
  if (fitting == target) return {};
  const auto last = std::ranges::find_last_if(spares, [&](const Spare& spare) { return Fits(spare, standard); });
  return {.kind = Chore::Kind::kDiscard, .database_id = last.front().database_id};
}

}  // namespace leasehold::provisioner
