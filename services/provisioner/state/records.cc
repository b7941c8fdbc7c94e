#include "services/provisioner/state/records.h"

#include <array>
#include <format>
#include <utility>

#include "common/status/error.h"

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

template <typename Table, typename Value>
std::string TextOf(const Table& table, Value value) {
  for (const auto& [v, text] : table) {
    if (v == value) return std::string(text);
  }
  return "";  // refused by the column's CHECK
}

template <typename Table>
auto ValueOf(const Table& table, std::string_view text) {
  for (const auto& [v, t] : table) {
    if (t == text) return v;
  }
  return std::begin(table)->first;
}

#define LH_TIME(column) "(extract(epoch from " column ") * 1000000)::bigint"
constexpr std::string_view kColumns =
    "id, generation, desired, confirmed, " LH_TIME("desired_time") ", coalesce(database_id, ''), state, state_generation, "
    "message, attempts, " LH_TIME("next_attempt_time") ", schema_version, role_key, status_version, reported_version, "
    LH_TIME("update_time") ", create_generation, database_generation";
#undef LH_TIME

std::string Timestamp(absl::Time t) { return absl::FormatTime(absl::RFC3339_full, t, absl::UTCTimeZone()); }
absl::Time TimeOf(const pqxx::field& f) { return absl::FromUnixMicros(f.as<int64_t>()); }

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
  return record;
}

absl::StatusOr<std::vector<TenantRecord>> RecordsOf(const pqxx::result& rows) {
  std::vector<TenantRecord> records;
  records.reserve(static_cast<size_t>(rows.size()));
  for (const auto& row : rows) {
    LH_ASSIGN_OR_RETURN(TenantRecord record, RecordOf(row));
    records.push_back(std::move(record));
  }
  return records;
}

}  // namespace

bool IsOutlived(const TenantRecord& record) {
  return !record.database_id.empty() && record.database_generation > 0 &&
         record.database_generation < record.create_generation;
}

absl::StatusOr<pqxx::result> Records::Run(std::string_view sql, std::span<const Param> params) {
  pqxx::result result;
  const absl::Status ran = central_.InTransaction([&](postgres::Transaction& tx) -> absl::Status {
    LH_ASSIGN_OR_RETURN(result, tx.Exec(sql, params));
    return absl::OkStatus();
  });
  LH_RETURN_IF_ERROR(ran);
  return result;
}

absl::StatusOr<bool> Records::Want(const TenantId& id, const Desire& desire, std::optional<int64_t> overrules) {
  std::string sql =
      "INSERT INTO leasehold.tenants AS t (id, generation, desired, confirmed, desired_time, update_time, "
      "create_generation) VALUES ($1, $2, $3, $4, $5, $5, $6) ON CONFLICT (id) DO ";
  if (desire.generation.has_value()) {
    sql +=
        ("UPDATE SET generation = excluded.generation, desired = excluded.desired, "
         "confirmed = excluded.confirmed, desired_time = excluded.desired_time, state = 'pending', "
         "message = '', attempts = 0, next_attempt_time = NULL, update_time = excluded.update_time, "
         "create_generation = CASE excluded.create_generation WHEN 0 THEN t.create_generation "
         "ELSE excluded.create_generation END, "
         // After an overruled generation, whose number says nothing.
         "database_generation = least(t.database_generation, excluded.generation) "
         "WHERE t.generation < excluded.generation OR (excluded.confirmed AND (t.generation = $7 OR "
         "(t.generation = excluded.generation "
         "AND (t.desired <> excluded.desired OR (excluded.desired = 'absent' AND NOT t.confirmed))))) ");
  } else {
    sql += "NOTHING ";
  }
  sql += "RETURNING id";
  const std::array<Param, 7> params{
      id.str(),
      std::format("{}", desire.generation.value_or(0)),
      TextOf(kDesired, desire.state),
      desire.confirmed ? "true" : "false",
      Timestamp(clock_.Now()),
      std::format("{}", desire.create_generation),
      overrules.has_value() ? Param(std::format("{}", *overrules)) : std::nullopt,
  };
  // Only an update has a use for the last one.
  LH_ASSIGN_OR_RETURN(const pqxx::result changed,
                      Run(sql, std::span(params).first(desire.generation.has_value() ? 7 : 6)));
  return !changed.empty();
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
                      Run(std::format("SELECT {} FROM leasehold.tenants WHERE id = $1", kColumns), params));
  if (rows.empty()) return std::nullopt;
  return RecordOf(rows[0]);
}

absl::StatusOr<std::vector<TenantRecord>> Records::List() {
  LH_ASSIGN_OR_RETURN(const pqxx::result rows,
                      Run(std::format("SELECT {} FROM leasehold.tenants ORDER BY id", kColumns), {}));
  return RecordsOf(rows);
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

absl::StatusOr<bool> Records::Finish(const TenantId& id, int64_t generation, const Outcome& outcome) {
  constexpr std::string_view kSql =
      "UPDATE leasehold.tenants SET state = $3, state_generation = generation, message = $4, attempts = attempts + 1, "
      "next_attempt_time = $5, status_version = status_version + 1, update_time = $8, "
      "schema_version = CASE WHEN $3 = 'removed' THEN NULL ELSE coalesce($6, schema_version) END, "
      "role_key = CASE WHEN $3 = 'failed' THEN role_key ELSE $7 END, "
      "database_id = CASE WHEN $3 = 'removed' THEN NULL ELSE database_id END, "
      // What was made for an announcement is now this tenant's.
      "database_generation = CASE WHEN $3 = 'removed' THEN 0 WHEN $3 <> 'failed' AND database_generation = 0 "
      "THEN generation ELSE database_generation END "
      "WHERE id = $1 AND generation = $2 RETURNING id";
  const std::array<Param, 8> params{
      id.str(),
      std::format("{}", generation),
      TextOf(kStates, outcome.state),
      outcome.message,
      outcome.next_attempt_time.has_value() ? Param(Timestamp(*outcome.next_attempt_time)) : std::nullopt,
      outcome.schema_version.has_value() ? Param(std::format("{}", *outcome.schema_version)) : std::nullopt,
      outcome.role_key,
      Timestamp(clock_.Now())};
  LH_ASSIGN_OR_RETURN(const pqxx::result changed, Run(kSql, params));
  return !changed.empty();
}

absl::StatusOr<std::vector<TenantRecord>> Records::Unreported(int limit) {
  const std::array<Param, 1> params{std::format("{}", limit)};
  LH_ASSIGN_OR_RETURN(const pqxx::result rows,
                      Run(std::format("SELECT {} FROM leasehold.tenants WHERE status_version > reported_version AND "
                                      "state <> 'pending' ORDER BY id LIMIT $1",
                                      kColumns),
                          params));
  return RecordsOf(rows);
}

absl::Status Records::MarkReported(const TenantRecord& record) {
  const std::array<Param, 4> params{record.id.str(), std::format("{}", record.status_version),
                                    TextOf(kStates, record.state), std::format("{}", record.state_generation)};
  return Run("UPDATE leasehold.tenants SET reported_version = $2, reported_state = $3, reported_generation = $4 "
             "WHERE id = $1 AND reported_version < $2",
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
