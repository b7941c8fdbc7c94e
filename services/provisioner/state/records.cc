#include "services/provisioner/state/records.h"

#include <algorithm>
#include <array>
#include <format>
#include <utility>

#include "common/status/error.h"
#include "services/provisioner/state/columns.h"

namespace leasehold::provisioner {
namespace {

using postgres::Param;

constexpr std::pair<v1::DesiredState, std::string_view> kDesired[] = {
    {v1::DESIRED_STATE_PRESENT, "present"}, {v1::DESIRED_STATE_CLOSED, "closed"}, {v1::DESIRED_STATE_ABSENT, "absent"}};
constexpr std::pair<v1::ServiceState, std::string_view> kStates[] = {{v1::SERVICE_STATE_PENDING, "pending"},
                                                                     {v1::SERVICE_STATE_READY, "ready"},
                                                                     {v1::SERVICE_STATE_FAILED, "failed"},
                                                                     {v1::SERVICE_STATE_CLOSED, "closed"},
                                                                     {v1::SERVICE_STATE_REMOVED, "removed"}};

absl::StatusOr<std::vector<TenantRecord>> RecordsOf(const pqxx::result& rows) {
  std::vector<TenantRecord> records;
  records.reserve(static_cast<size_t>(rows.size()));
  for (const auto& row : rows) {
    LH_ASSIGN_OR_RETURN(TenantRecord record, RecordOf(row));
    records.push_back(std::move(record));
  }
  return records;
}

// INSERT … ON CONFLICT … up to RETURNING. `adopts`: a condition under which the tenant stays READY.
std::string WantSql(const Desire& desire, std::string_view adopts) {
  const std::string_view insert =
      "INSERT INTO leasehold.tenants AS t (id, generation, desired, confirmed, desired_time, update_time, "
      "create_generation, origin_tenant, origin_backup, origin_generation, traceparent) VALUES ($1, $2, $3, $4, $5, "
      "$5, "
      "$6, $7, $8, $9, $10) ON CONFLICT (id) DO ";
  if (!desire.generation.has_value()) return std::format("{}NOTHING ", insert);
  return std::format(
      "{1}UPDATE SET generation = excluded.generation, desired = excluded.desired, "
      "confirmed = excluded.confirmed, desired_time = excluded.desired_time, update_time = excluded.update_time, "
      "message = '', next_attempt_time = NULL, state = CASE WHEN {0} THEN 'ready' ELSE 'pending' END, "
      "state_generation = CASE WHEN {0} THEN excluded.generation ELSE t.state_generation END, "
      "status_version = t.status_version + CASE WHEN {0} THEN 1 ELSE 0 END, "
      "attempts = CASE WHEN {0} THEN t.attempts ELSE 0 END, "
      "create_generation = CASE excluded.create_generation WHEN 0 THEN t.create_generation "
      "ELSE excluded.create_generation END, "
      // After an overruled generation, whose number says nothing.
      "database_generation = CASE WHEN {0} THEN excluded.generation "
      "ELSE least(t.database_generation, excluded.generation) END, "
      "filled_generation = least(t.filled_generation, excluded.generation), "
      "origin_tenant = excluded.origin_tenant, origin_backup = excluded.origin_backup, "
      "origin_generation = excluded.origin_generation, "
      // The registry's list may not say what the event has said.
      "traceparent = CASE WHEN excluded.traceparent = '' AND excluded.generation = t.generation THEN t.traceparent "
      "ELSE excluded.traceparent END "
      "WHERE t.generation < excluded.generation OR (excluded.confirmed AND (t.generation = $11 OR "
      "(t.generation = excluded.generation "
      "AND (t.desired <> excluded.desired OR (excluded.desired = 'absent' AND NOT t.confirmed) OR "
      "((t.origin_tenant, t.origin_backup, t.origin_generation) "
      "<> (excluded.origin_tenant, excluded.origin_backup, excluded.origin_generation) "
      "AND greatest(t.origin_generation, excluded.origin_generation) > t.filled_generation))))) ",
      adopts, insert);
}

std::vector<Param> WantParams(const TenantId& id, const Desire& desire, std::optional<int64_t> overrules,
                              absl::Time now) {
  std::vector<Param> params{id.str(),
                            std::format("{}", desire.generation.value_or(0)),
                            TextOf(kDesired, desire.state),
                            desire.confirmed ? "true" : "false",
                            Timestamp(now),
                            std::format("{}", desire.create_generation),
                            desire.origin.tenant,
                            desire.origin.backup,
                            std::format("{}", desire.origin.generation),
                            desire.traceparent};
  // Only an update has a use for it.
  if (desire.generation.has_value()) {
    params.push_back(overrules.has_value() ? Param(std::format("{}", *overrules)) : std::nullopt);
  }
  return params;
}

// Rows of `from`, of each the record `row`; AddClaim()'s parameters come after `before` others.
std::string SpareSql(std::string_view row, std::string_view from, size_t before) {
  return std::format(
      "SELECT {}, asked, coalesce(spare, ''), coalesce(trouble, '') FROM (SELECT (g.became).*, g.asked, g.spare, "
      "g.trouble FROM {} CROSS JOIN LATERAL leasehold.take_spare({}, ${}, ${}, ${}, ${}, ${}, ${}) AS g) AS given",
      kRecordColumns, from, row, before + 1, before + 2, before + 3, before + 4, before + 5, before + 6);
}

void AddClaim(std::vector<Param>& params, const SpareClaim& claim, absl::Time now) {
  params.insert(params.end(), {claim.database, claim.read_only_role, std::format("{}", claim.standard.schema_version),
                               claim.standard.schema_digest, claim.standard.role_key, Timestamp(now)});
}

absl::StatusOr<std::optional<Spared>> SparedOf(const pqxx::result& rows) {
  if (rows.empty()) return std::nullopt;
  const pqxx::row row = rows[0];
  LH_ASSIGN_OR_RETURN(TenantRecord record, RecordOf(row));
  return Spared{.record = std::move(record),
                .asked = row["asked"].as<bool>(),
                .database_id = row[row.size() - 2].as<std::string>(),
                .trouble = row[row.size() - 1].as<std::string>()};
}

}  // namespace

#define LH_TIME(column) "(extract(epoch from " column ") * 1000000)::bigint"
const std::string_view kRecordColumns =
    "id, generation, desired, confirmed, " LH_TIME("desired_time") ", coalesce(database_id, ''), state, state_generation, "
    "message, attempts, " LH_TIME("next_attempt_time") ", schema_version, role_key, status_version, reported_version, "
    LH_TIME("update_time") ", create_generation, database_generation, origin_tenant, "
    "origin_backup, origin_generation, filled_generation, coalesce(fill_database_id, ''), fill_generation, "
    "traceparent";
#undef LH_TIME

absl::StatusOr<TenantRecord> RecordOf(const pqxx::row& row) {
  LH_ASSIGN_OR_RETURN(TenantId id, TenantId::Parse(row[0].as<std::string>()));
  TenantRecord record{.id = std::move(id)};
  record.generation = row[1].as<int64_t>();
  record.desired = ValueOf(kDesired, row[2].as<std::string>());
  record.confirmed = row[3].as<bool>();
  record.desired_time = TimeOf(row[4]);
  record.database_id = row[5].as<std::string>();
  record.state = ValueOf(kStates, row[6].as<std::string>());
  record.state_generation = row[7].as<int64_t>();
  record.message = row[8].as<std::string>();
  record.attempts = row[9].as<int>();
  if (!row[10].is_null()) record.next_attempt_time = TimeOf(row[10]);
  if (!row[11].is_null()) record.schema_version = row[11].as<int>();
  record.role_key = row[12].as<std::string>();
  record.status_version = row[13].as<int64_t>();
  record.reported_version = row[14].as<int64_t>();
  record.update_time = TimeOf(row[15]);
  record.create_generation = row[16].as<int64_t>();
  record.database_generation = row[17].as<int64_t>();
  record.origin = {
      .tenant = row[18].as<std::string>(), .backup = row[19].as<std::string>(), .generation = row[20].as<int64_t>()};
  record.filled_generation = row[21].as<int64_t>();
  record.fill_database_id = row[22].as<std::string>();
  record.fill_generation = row[23].as<int64_t>();
  record.traceparent = row[24].as<std::string>();
  return record;
}

bool IsOutlived(const TenantRecord& record) {
  return !record.database_id.empty() && record.database_generation > 0 &&
         record.database_generation < record.create_generation;
}

bool IsStillToCome(absl::Time when, absl::Time now, absl::Duration longest) {
  return when > now && when <= now + longest;
}

bool IsBackupId(std::string_view text) {
  const size_t dot = text.rfind('.');
  if (dot == std::string_view::npos || !TenantId::Parse(text.substr(0, dot)).ok()) return false;
  const std::string_view digits = text.substr(dot + 1);
  return !digits.empty() && digits.size() <= 19 && digits.front() != '0' &&
         std::ranges::all_of(digits, [](char c) { return c >= '0' && c <= '9'; });
}

bool AwaitsOrigin(const TenantRecord& record) {
  return record.origin.generation > record.filled_generation && record.desired != v1::DESIRED_STATE_ABSENT;
}

absl::StatusOr<pqxx::result> Records::Run(std::string_view sql, std::span<const Param> params) {
  return central_.Take()->ExecAlone(sql, params);  // one round trip, not three
}

// The session keeps its name, like its last statement, until it is used again.
absl::StatusOr<pqxx::result> Records::RunTraced(std::string_view sql, std::span<const Param> params) {
  postgres::ConnectionPool::Handle connection = central_.Take();
  LH_RETURN_IF_ERROR(connection->ShowTrace());
  return connection->ExecAlone(sql, params);
}

absl::StatusOr<bool> Records::Want(const TenantId& id, const Desire& desire, std::optional<int64_t> overrules) {
  const std::vector<Param> params = WantParams(id, desire, overrules, clock_.Now());
  LH_ASSIGN_OR_RETURN(const pqxx::result rows, Run(WantSql(desire, "false") + "RETURNING id", params));
  return !rows.empty();
}

absl::StatusOr<std::optional<Spared>> Records::Want(const TenantId& id, const Desire& desire,
                                                    std::optional<int64_t> overrules, const SpareClaim& claim) {
  // With somebody to hear of it, the registry taking an announced tenant in is no work.
  constexpr std::string_view kAdopts =
      "t.generation = 0 AND t.state = 'ready' AND t.desired = 'present' AND t.database_id IS NOT NULL "
      "AND excluded.desired = 'present' AND excluded.origin_generation = 0";
  std::vector<Param> params = WantParams(id, desire, overrules, clock_.Now());
  const std::string sql = std::format("WITH wanted AS ({} RETURNING t.*) {}", WantSql(desire, kAdopts),
                                      SpareSql("ROW(wanted.*)::leasehold.tenants", "wanted", params.size()));
  AddClaim(params, claim, clock_.Now());
  LH_ASSIGN_OR_RETURN(const pqxx::result rows, RunTraced(sql, params));
  return SparedOf(rows);
}

absl::StatusOr<std::optional<Spared>> Records::TakeSpare(const TenantRecord& record, const SpareClaim& claim) {
  std::vector<Param> params{record.id.str(), std::format("{}", record.generation)};
  const std::string sql =
      SpareSql("still", "(SELECT t FROM leasehold.tenants t WHERE id = $1 AND generation = $2 FOR UPDATE) AS t (still)",
               params.size());
  AddClaim(params, claim, clock_.Now());
  LH_ASSIGN_OR_RETURN(const pqxx::result rows, RunTraced(sql, params));
  return SparedOf(rows);
}

absl::Status Records::Confirm(const TenantRecord& record, int64_t create_generation) {
  const std::array<Param, 4> params{record.id.str(), std::format("{}", record.generation),
                                    TextOf(kDesired, record.desired), std::format("{}", create_generation)};
  return Run("UPDATE leasehold.tenants SET confirmed = true, create_generation = $4 "
             "WHERE id = $1 AND generation = $2 AND desired = $3",
             params)
      .status();
}

absl::StatusOr<std::optional<TenantRecord>> Records::Get(const TenantId& id) {
  const std::array<Param, 1> params{id.str()};
  LH_ASSIGN_OR_RETURN(const pqxx::result rows,
                      Run(std::format("SELECT {} FROM leasehold.tenants WHERE id = $1", kRecordColumns), params));
  if (rows.empty()) return std::nullopt;
  return RecordOf(rows[0]);
}

absl::StatusOr<std::vector<TenantRecord>> Records::List() {
  LH_ASSIGN_OR_RETURN(const pqxx::result rows,
                      Run(std::format("SELECT {} FROM leasehold.tenants ORDER BY id", kRecordColumns), {}));
  return RecordsOf(rows);
}

absl::StatusOr<std::vector<std::string>> Records::ListScratch() {
  LH_ASSIGN_OR_RETURN(const pqxx::result rows, Run("SELECT scratch FROM leasehold.runs WHERE scratch <> ''", {}));
  std::vector<std::string> ids;
  for (const auto& row : rows) ids.push_back(row[0].as<std::string>());
  return ids;
}

absl::StatusOr<std::vector<TenantId>> Records::Due(absl::Duration patience, absl::Duration longest, int limit) {
  const absl::Time now = clock_.Now();
  const std::array<Param, 5> params{Timestamp(now), Timestamp(now - patience), std::format("{}", limit),
                                    Timestamp(now + longest), Timestamp(now + patience)};
  LH_ASSIGN_OR_RETURN(const pqxx::result rows,
                      Run("SELECT id FROM leasehold.tenants WHERE (state = 'failed' AND (next_attempt_time <= $1 "
                          "OR next_attempt_time > $4)) OR (state = 'pending' AND (desired_time <= $2 "
                          "OR desired_time > $5) AND (confirmed OR desired <> 'absent')) "
                          "ORDER BY coalesce(next_attempt_time, desired_time) LIMIT $3",
                          params));
  std::vector<TenantId> due;
  for (const auto& row : rows) {
    LH_ASSIGN_OR_RETURN(TenantId id, TenantId::Parse(row[0].as<std::string>()));
    due.push_back(std::move(id));
  }
  return due;
}

absl::StatusOr<bool> Records::AwaitWord(absl::Duration patience, absl::Duration end) {
  const absl::Time now = clock_.Now();
  const std::array<Param, 2> params{Timestamp(now - patience), Timestamp(now - end)};
  LH_ASSIGN_OR_RETURN(const pqxx::result rows,
                      Run("SELECT EXISTS (SELECT FROM leasehold.tenants WHERE state = 'pending' AND NOT confirmed "
                          "AND (desired = 'absent' OR create_generation > 1 OR origin_generation > 0) "
                          "AND desired_time <= $1 AND desired_time > $2)",
                          params));
  return rows[0][0].as<bool>();
}

absl::StatusOr<std::string> Records::AssignDatabaseId(const TenantId& id, const std::string& proposal) {
  const std::array<Param, 2> params{id.str(), proposal};
  LH_ASSIGN_OR_RETURN(const pqxx::result rows,
                      Run("UPDATE leasehold.tenants SET database_id = coalesce(database_id, $2), database_generation = "
                          "CASE WHEN database_id IS NULL THEN generation ELSE database_generation END WHERE id = $1 "
                          "RETURNING database_id",
                          params));
  if (rows.empty()) return Error(v1::REASON_INTERNAL, std::format("tenant {} has no record", id.str()));
  return rows[0][0].as<std::string>();
}

absl::Status Records::ForgetDatabase(const TenantId& id, const std::string& database_id) {
  const std::array<Param, 2> params{id.str(), database_id};
  return Run("UPDATE leasehold.tenants SET database_id = NULL, database_generation = 0, schema_version = NULL, "
             "role_key = '' WHERE id = $1 AND database_id = $2",
             params)
      .status();
}

absl::StatusOr<std::string> Records::AssignFillId(const TenantRecord& record, const std::string& proposal) {
  const std::array<Param, 3> params{record.id.str(), proposal, std::format("{}", record.origin.generation)};
  LH_ASSIGN_OR_RETURN(
      const pqxx::result rows,
      Run("UPDATE leasehold.tenants SET fill_database_id = coalesce(fill_database_id, $2), fill_generation = "
          "CASE WHEN fill_database_id IS NULL THEN $3 ELSE fill_generation END WHERE id = $1 RETURNING "
          "fill_database_id",
          params));
  if (rows.empty()) return Error(v1::REASON_INTERNAL, std::format("tenant {} has no record", record.id.str()));
  return rows[0][0].as<std::string>();
}

absl::Status Records::ForgetFill(const TenantId& id, const std::string& fill_database_id) {
  const std::array<Param, 2> params{id.str(), fill_database_id};
  return Run("UPDATE leasehold.tenants SET fill_database_id = NULL, fill_generation = 0 "
             "WHERE id = $1 AND fill_database_id = $2",
             params)
      .status();
}

absl::Status Records::AdoptFill(postgres::Transaction& tx, const TenantRecord& record, int schema_version,
                                const std::string& role_key) {
  LH_ASSIGN_OR_RETURN(
      const pqxx::result adopted,
      tx.Exec(
          "UPDATE leasehold.tenants SET database_id = fill_database_id, database_generation = $3, "
          "filled_generation = $3, fill_database_id = NULL, fill_generation = 0, schema_version = $4, role_key = $5 "
          "WHERE id = $1 AND fill_database_id = $2 AND origin_generation = $3 AND coalesce(database_id, '') = $6 "
          "AND desired <> 'absent' AND (database_id IS NULL OR confirmed) RETURNING id",
          {record.id.str(), record.fill_database_id, std::format("{}", record.origin.generation),
           std::format("{}", schema_version), role_key, record.database_id}));
  if (!adopted.empty()) return absl::OkStatus();
  return Error(v1::REASON_SUPERSEDED, "a newer change of the tenant has overtaken this one");
}

absl::StatusOr<std::optional<TenantRecord>> Records::Finish(const TenantRecord& record, const Outcome& outcome) {
  constexpr std::string_view kSql =
      "UPDATE leasehold.tenants SET state = $3, state_generation = generation, message = $4, attempts = attempts + 1, "
      "next_attempt_time = $5, status_version = status_version + 1, update_time = $8, "
      "schema_version = CASE WHEN $3 = 'removed' THEN NULL ELSE coalesce($6, schema_version) END, "
      "role_key = CASE WHEN $3 = 'failed' THEN role_key ELSE $7 END, "
      "database_id = CASE WHEN $3 = 'removed' THEN NULL ELSE database_id END, "
      // What was made for an announcement is now this tenant's.
      "database_generation = CASE WHEN $3 = 'removed' THEN 0 WHEN $3 <> 'failed' AND database_generation = 0 "
      "THEN generation ELSE database_generation END "
      "WHERE id = $1 AND generation = $2 AND attempts = $9 AND desired = $10 RETURNING ";
  const std::array<Param, 10> params{
      record.id.str(),
      std::format("{}", record.generation),
      TextOf(kStates, outcome.state),
      outcome.message,
      outcome.next_attempt_time.has_value() ? Param(Timestamp(*outcome.next_attempt_time)) : std::nullopt,
      outcome.schema_version.has_value() ? Param(std::format("{}", *outcome.schema_version)) : std::nullopt,
      outcome.role_key,
      Timestamp(clock_.Now()),
      std::format("{}", record.attempts),
      TextOf(kDesired, record.desired)};
  LH_ASSIGN_OR_RETURN(const pqxx::result changed, Run(std::format("{}{}", kSql, kRecordColumns), params));
  if (changed.empty()) return std::nullopt;
  return RecordOf(changed[0]);
}

absl::StatusOr<std::vector<TenantRecord>> Records::Unreported(int limit) {
  const std::array<Param, 1> params{std::format("{}", limit)};
  LH_ASSIGN_OR_RETURN(const pqxx::result rows,
                      Run(std::format("SELECT {} FROM leasehold.tenants WHERE status_version > reported_version AND "
                                      "state <> 'pending' ORDER BY id LIMIT $1",
                                      kRecordColumns),
                          params));
  return RecordsOf(rows);
}

absl::Status Records::MarkReported(std::span<const TenantRecord> records) {
  if (records.empty()) return absl::OkStatus();
  // None of these texts needs quoting in an array.
  std::string ids, versions, states, generations;
  for (const TenantRecord& record : records) {
    const char separator = ids.empty() ? '{' : ',';
    ids += std::format("{}{}", separator, record.id.str());
    versions += std::format("{}{}", separator, record.status_version);
    states += std::format("{}{}", separator, TextOf(kStates, record.state));
    generations += std::format("{}{}", separator, record.state_generation);
  }
  const std::array<Param, 4> params{ids + "}", versions + "}", states + "}", generations + "}"};
  return Run("UPDATE leasehold.tenants t SET reported_version = r.version, reported_state = r.state, "
             "reported_generation = r.generation FROM (SELECT DISTINCT ON (id) * FROM unnest($1::text[], "
             "$2::bigint[], $3::text[], $4::bigint[]) AS r (id, version, state, generation) ORDER BY id, version DESC) "
             "r "
             "WHERE t.id = r.id AND t.reported_version < r.version",
             params)
      .status();
}

absl::Status Records::ReportAgain(const TenantId& id) {
  const std::array<Param, 2> params{id.str(), Timestamp(clock_.Now())};
  return Run("UPDATE leasehold.tenants SET status_version = status_version + 1, update_time = $2 "
             "WHERE id = $1 AND reported_version = status_version",
             params)
      .status();
}

absl::StatusOr<std::map<v1::ServiceState, int64_t>> Records::CountByState() {
  LH_ASSIGN_OR_RETURN(const pqxx::result rows, Run("SELECT state, count(*) FROM leasehold.tenants GROUP BY state", {}));
  std::map<v1::ServiceState, int64_t> counts;
  for (const auto& [state, text] : kStates) counts[state] = 0;
  for (const auto& row : rows) counts[ValueOf(kStates, row[0].as<std::string>())] = row[1].as<int64_t>();
  return counts;
}

}  // namespace leasehold::provisioner
