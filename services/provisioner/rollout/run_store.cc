#include "services/provisioner/rollout/run_store.h"

#include <algorithm>
#include <charconv>
#include <format>
#include <utility>

#include "absl/time/time.h"
#include "common/config/config.h"
#include "common/secret/secret.h"
#include "common/status/error.h"
#include "services/provisioner/rollout/page.h"
#include "services/provisioner/state/columns.h"
#include "services/provisioner/steps/answer.h"

namespace leasehold::provisioner {
namespace {

constexpr std::pair<v1::MigrationRunState, std::string_view> kRunStates[] = {
    {v1::MIGRATION_RUN_STATE_RUNNING, "running"},
    {v1::MIGRATION_RUN_STATE_SUCCEEDED, "succeeded"},
    {v1::MIGRATION_RUN_STATE_FAILED, "failed"},
    {v1::MIGRATION_RUN_STATE_STOPPED, "stopped"},
    {v1::MIGRATION_RUN_STATE_CANCELLED, "cancelled"}};
constexpr std::pair<v1::MigrationTaskState, std::string_view> kTaskStates[] = {
    {v1::MIGRATION_TASK_STATE_PENDING, "pending"},
    {v1::MIGRATION_TASK_STATE_RUNNING, "running"},
    {v1::MIGRATION_TASK_STATE_DONE, "done"},
    {v1::MIGRATION_TASK_STATE_FAILED, "failed"},
    {v1::MIGRATION_TASK_STATE_SKIPPED, "skipped"}};
constexpr std::pair<RunPhase, std::string_view> kPhases[] = {{RunPhase::kListing, "listing"},
                                                             {RunPhase::kChecking, "checking"},
                                                             {RunPhase::kWorking, "working"},
                                                             {RunPhase::kEnded, "ended"}};

constexpr std::string_view kRuns =
    "SELECT r.id, r.spec, r.files, r.state, r.phase, r.message, r.wave, r.forgiven, r.cancelled, r.findings, "
    "r.scratch, "
    "(extract(epoch FROM r.create_time) * 1000000)::bigint, (extract(epoch FROM r.update_time) * 1000000)::bigint, "
    "(extract(epoch FROM r.end_time) * 1000000)::bigint, t.* FROM leasehold.runs r, LATERAL (SELECT count(*), "
    "count(*) FILTER (WHERE state = 'pending'), count(*) FILTER (WHERE state = 'running'), "
    "count(*) FILTER (WHERE state = 'done'), count(*) FILTER (WHERE state = 'failed'), "
    "count(*) FILTER (WHERE state = 'skipped'), count(*) FILTER (WHERE findings > 0), coalesce(max(wave), 0) "
    "FROM leasehold.run_tasks WHERE run = r.id) t ";

constexpr std::string_view kOneAtATime = "23505";
// With $3, if that is one; more than the newest few are of no use, since none comes later than a provisioner's pause.
constexpr std::string_view kCallsWith =
    "CASE WHEN $3::text = '' THEN calls ELSE (calls || $3::text)[greatest(1, cardinality(calls) - 14):] END";

std::string Bytes(const pqxx::field& field) {
  const auto bytes = field.as<std::basic_string<std::byte>>();
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

std::string Number(int64_t number) { return std::format("{}", number); }

StoredRun RunOf(const pqxx::row& row, const RunStore& store) {
  StoredRun stored;
  stored.number = row[0].as<int64_t>();
  v1::MigrationRun& run = stored.run;
  run.set_id(store.IdOf(stored.number));
  run.mutable_spec()->ParseFromString(Bytes(row[1]));
  v1::MigrationRun lists;
  lists.ParseFromString(Bytes(row[2]));
  run.mutable_files()->Swap(lists.mutable_files());
  run.set_state(ValueOf(kRunStates, row[3].as<std::string>()));
  stored.phase = ValueOf(kPhases, row[4].as<std::string>());
  run.set_message(row[5].as<std::string>());
  run.set_wave(row[6].as<int>());
  stored.forgiven = row[7].as<int>();
  stored.cancelled = row[8].as<bool>();
  lists.ParseFromString(Bytes(row[9]));
  run.mutable_findings()->Swap(lists.mutable_findings());
  stored.scratch = row[10].as<std::string>();
  *run.mutable_create_time() = FromTime(TimeOf(row[11]));
  *run.mutable_update_time() = FromTime(TimeOf(row[12]));
  if (!row[13].is_null()) *run.mutable_end_time() = FromTime(TimeOf(row[13]));
  run.set_total(row[14].as<int>());
  run.set_pending(row[15].as<int>());
  run.set_running(row[16].as<int>());
  run.set_done(row[17].as<int>());
  run.set_failed(row[18].as<int>());
  run.set_skipped(row[19].as<int>());
  run.set_with_findings(row[20].as<int>());
  run.set_waves(row[21].as<int>());
  return stored;
}

// One message a database; its ids, digests and base64 need no escapes.
std::string JsonOf(std::span<const TaskNote> notes) {
  std::string json = "[";
  for (const TaskNote& note : notes) {
    json += std::format(
        R"({}{{"id":"{}","state":"{}","a":{},"b":{},"attempts":{},"found":{},"digest":"{}","report":"{}"}})",
        json.size() == 1 ? "" : ",", note.database_id, TextOf(kTaskStates, note.state), note.from_version,
        note.to_version, note.report.attempts(), note.report.findings_size(), note.digest,
        Base64(note.report.SerializeAsString()));
  }
  return json + "]";
}

constexpr std::string_view kRecords =
    "jsonb_to_recordset($1::jsonb) AS n(id text, state text, a int, b int, attempts int, found int, digest text, "
    "report text)";

}  // namespace

std::string RunStore::IdOf(int64_t number) const { return std::format("{}.{}", service_.str(), number); }

absl::StatusOr<int64_t> RunStore::NumberOf(std::string_view id) const {
  const size_t dot = id.rfind('.');
  int64_t number = 0;
  if (dot != std::string_view::npos && id.substr(0, dot) == service_.str()) {
    const std::string_view digits = id.substr(dot + 1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (error == std::errc() && end == digits.data() + digits.size() && number > 0) return number;
  }
  return Error(v1::REASON_OPERATION_NOT_FOUND, std::format("there is no run {}", Printable(id)));
}

std::string RunStore::Now() const { return Timestamp(clock_.Now()); }

absl::StatusOr<pqxx::result> RunStore::Exec(std::string_view sql, std::initializer_list<postgres::Param> params) {
  if (holder_ != nullptr) return holder_->ExecAlone(sql, params);
  return central_->Take()->ExecAlone(sql, params);
}

absl::Status RunStore::InTransaction(const std::function<absl::Status(postgres::Transaction&)>& work) {
  return holder_ != nullptr ? holder_->InTransaction(work) : central_->InTransaction(work);
}

absl::StatusOr<std::vector<StoredRun>> RunStore::Read(std::string_view where,
                                                      std::initializer_list<postgres::Param> params) {
  LH_ASSIGN_OR_RETURN(const pqxx::result rows, Exec(std::format("{} {}", kRuns, where), params));
  std::vector<StoredRun> runs;
  for (const auto& row : rows) runs.push_back(RunOf(row, *this));
  return runs;
}

absl::Status RunStore::Busy() {
  LH_ASSIGN_OR_RETURN(const std::optional<StoredRun> other, Running());
  return Error(v1::REASON_MIGRATION_FAILED,
               std::format("another run of this service is under way{}; wait for its end, or cancel it",
                           other.has_value() ? std::format(", {}", other->run.id()) : ""));
}

absl::StatusOr<StoredRun> RunStore::Create(const v1::MigrationSpec& spec, std::span<const v1::MigrationFile> files,
                                           const std::string& request_id) {
  v1::MigrationRun lists;
  for (const v1::MigrationFile& file : files) *lists.add_files() = file;
  const auto created = Exec(
      "INSERT INTO leasehold.runs (request_id, kind, spec, files, create_time, update_time) "
      "VALUES (nullif($1, ''), $2, decode($3, 'base64'), decode($4, 'base64'), $5, $5) "
      "ON CONFLICT (request_id) DO UPDATE SET request_id = excluded.request_id RETURNING id",
      {request_id, v1::MigrationKind_Name(spec.kind()), Base64(spec.SerializeAsString()),
       Base64(lists.SerializeAsString()), Now()});
  if (postgres::SqlStateOf(created.status()) == kOneAtATime) {
    // Its own first attempt is not another.
    LH_ASSIGN_OR_RETURN(std::vector<StoredRun> same, Read("WHERE r.request_id = $1", {request_id}));
    if (!same.empty()) return std::move(same.front());
    return Busy();
  }
  LH_RETURN_IF_ERROR(created.status());
  return Get((*created)[0][0].as<int64_t>());
}

absl::StatusOr<StoredRun> RunStore::Get(int64_t number) {
  LH_ASSIGN_OR_RETURN(std::vector<StoredRun> runs, Read("WHERE r.id = $1", {Number(number)}));
  if (runs.empty()) return Error(v1::REASON_OPERATION_NOT_FOUND, std::format("there is no run {}", IdOf(number)));
  return std::move(runs.front());
}

absl::StatusOr<std::optional<StoredRun>> RunStore::Running() {
  LH_ASSIGN_OR_RETURN(std::vector<StoredRun> runs, Read("WHERE r.state = 'running'", {}));
  if (runs.empty()) return std::nullopt;
  return std::move(runs.front());
}

absl::StatusOr<std::optional<StoredRun>> RunStore::LastThatWrites() {
  LH_ASSIGN_OR_RETURN(
      std::vector<StoredRun> runs,
      Read("WHERE r.kind IN ('MIGRATION_KIND_APPLY', 'MIGRATION_KIND_UNDO') ORDER BY r.id DESC LIMIT 1", {}));
  if (runs.empty()) return std::nullopt;
  return std::move(runs.front());
}

absl::StatusOr<int64_t> RunStore::NewestNumber() {
  LH_ASSIGN_OR_RETURN(const pqxx::result rows, Exec("SELECT coalesce(max(id), 0) FROM leasehold.runs", {}));
  return rows[0][0].as<int64_t>();
}

absl::StatusOr<std::vector<StoredRun>> RunStore::Newest(int limit) {
  return Read("ORDER BY r.id DESC LIMIT $1", {Number(limit)});
}

absl::Status RunStore::Cancel(int64_t number, const std::string& call) {
  return Exec(std::format("UPDATE leasehold.runs SET cancelled = true, update_time = $2, calls = {} "
                          "WHERE id = $1 AND state = 'running' AND $3::text <> ALL (calls)",
                          kCallsWith),
              {Number(number), Now(), call})
      .status();
}

absl::Status RunStore::Resume(int64_t number, bool failed, const std::string& call) {
  bool found = false;
  const absl::Status status = InTransaction([&](postgres::Transaction& tx) -> absl::Status {
    LH_ASSIGN_OR_RETURN(
        const pqxx::result rows,
        tx.Exec(std::format("UPDATE leasehold.runs SET state = 'running', cancelled = false, "
                            "message = '', phase = CASE WHEN wave > 0 THEN 'working' ELSE 'listing' "
                            "END, end_time = NULL, update_time = $2, calls = {} WHERE id = $1 "
                            "AND state IN ('failed', 'stopped', 'cancelled') AND $3::text <> ALL (calls) "
                            "RETURNING id",
                            kCallsWith),
                {Number(number), Now(), call}));
    found = !rows.empty();
    if (!found) return absl::OkStatus();
    if (failed) {
      LH_RETURN_IF_ERROR(tx.Exec("UPDATE leasehold.run_tasks SET state = 'pending' WHERE run = $1 AND state = 'failed'",
                                 {Number(number)})
                             .status());
    }
    return tx
        .Exec(
            "UPDATE leasehold.runs SET forgiven = (SELECT count(*) FROM leasehold.run_tasks WHERE run = $1 AND "
            "state = 'failed') WHERE id = $1",
            {Number(number)})
        .status();
  });
  if (postgres::SqlStateOf(status) == kOneAtATime) return Busy();
  LH_RETURN_IF_ERROR(status);
  if (found) return absl::OkStatus();
  LH_ASSIGN_OR_RETURN(const StoredRun run, Get(number));
  if (run.run.state() != v1::MIGRATION_RUN_STATE_SUCCEEDED) return absl::OkStatus();
  return Error(v1::REASON_MIGRATION_FAILED, std::format("run {} has succeeded", run.run.id()));
}

absl::Status RunStore::Prune(const RunRetention& retention) {
  return Exec(
             "DELETE FROM leasehold.runs r USING (SELECT id, row_number() OVER (PARTITION BY kind IN "
             "('MIGRATION_KIND_APPLY', 'MIGRATION_KIND_UNDO', 'MIGRATION_KIND_REPAIR') ORDER BY id DESC) AS place "
             "FROM leasehold.runs) p WHERE p.id = r.id AND r.state <> 'running' "
             "AND (p.place > $3 OR (p.place > $2 AND r.end_time < $1))",
             {Timestamp(clock_.Now() - retention.time), Number(RunRetention::kAlways), Number(retention.most)})
      .status();
}

absl::Status RunStore::ForgetGone() {
  return Exec(
             "DELETE FROM leasehold.schemas s WHERE database_id <> 'central' "
             "AND NOT EXISTS (SELECT FROM leasehold.spares p WHERE p.database_id = s.database_id) "
             "AND NOT EXISTS (SELECT FROM leasehold.tenants t WHERE s.database_id IN (t.database_id, "
             "t.fill_database_id))")
      .status();
}

absl::Status RunStore::AddTasks(int64_t number, std::span<const FleetDatabase> databases) {
  std::string json = "[";
  for (const FleetDatabase& database : databases) {
    json += std::format(R"({}{{"id":"{}","database":"{}","tenant":"{}","wave":{},"version":{}}})",
                        json.size() == 1 ? "" : ",", database.database_id, database.database, database.tenant,
                        database.wave, database.version);
  }
  return Exec(
             "INSERT INTO leasehold.run_tasks (run, database_id, database, tenant, wave, from_version, to_version) "
             "SELECT $1, n.id, n.database, n.tenant, n.wave, n.version, n.version FROM jsonb_to_recordset($2::jsonb) "
             "AS n(id text, database text, tenant text, wave int, version int) ON CONFLICT DO NOTHING",
             {Number(number), json + "]"})
      .status();
}

absl::StatusOr<std::vector<FleetDatabase>> RunStore::Unfinished(int64_t number) {
  LH_ASSIGN_OR_RETURN(const pqxx::result rows,
                      Exec("SELECT t.database_id, t.database, t.tenant, coalesce(s.version, t.to_version), t.wave, "
                           "coalesce(s.digest, '') FROM leasehold.run_tasks t LEFT JOIN leasehold.schemas s "
                           "ON s.database_id = t.database_id "
                           "WHERE t.run = $1 AND t.state IN ('pending', 'running') ORDER BY t.wave, t.tenant",
                           {Number(number)}));
  std::vector<FleetDatabase> databases;
  for (const auto& row : rows) {
    databases.push_back({.database_id = row[0].as<std::string>(),
                         .database = row[1].as<std::string>(),
                         .tenant = row[2].as<std::string>(),
                         .version = row[3].as<int>(),
                         .digest = row[5].as<std::string>(),
                         .wave = row[4].as<int>()});
  }
  return databases;
}

absl::StatusOr<v1::ListMigrationTasksResponse> RunStore::ListTasks(int64_t number,
                                                                   const v1::ListMigrationTasksRequest& request) {
  LH_ASSIGN_OR_RETURN(const size_t size, PageSize(request.page_size(), 200, 500));
  LH_RETURN_IF_ERROR(CheckTaskToken(request.page_token()));
  std::string states;
  for (const int state : request.states()) {
    if (state == v1::MIGRATION_TASK_STATE_UNSPECIFIED || !v1::MigrationTaskState_IsValid(state)) {
      return InvalidField("states", std::to_string(state), "states of a task");
    }
    states +=
        std::format("{}{}", states.empty() ? "" : ",", TextOf(kTaskStates, static_cast<v1::MigrationTaskState>(state)));
  }
  const bool by_end = request.has_ended_after();
  const std::string after = by_end ? Timestamp(ToTime(request.ended_after())) : "-infinity";
  LH_ASSIGN_OR_RETURN(
      const pqxx::result rows,
      Exec(std::format(
               "SELECT database, tenant, wave, state, from_version, to_version, report, "
               "(extract(epoch FROM update_time) * 1000000)::bigint, (state <> 'failed') || ' ' || database "
               "FROM leasehold.run_tasks WHERE run = $1 AND ($2 = '' OR state = ANY (string_to_array($2, ','))) "
               "AND (NOT $3 OR findings > 0) AND (state <> 'failed') || ' ' || database > $4 "
               "AND ($5 = '-infinity' OR (update_time > $5::timestamptz AND state NOT IN ('pending', 'running'))) "
               "ORDER BY {}",
               // What ended at the same instant is not torn apart: whoever goes on from there would miss the rest.
               by_end ? "update_time FETCH FIRST ($6::bigint) ROWS WITH TIES" : "9 LIMIT $6::bigint + 1"),
           {Number(number), states, request.with_findings() ? "true" : "false", request.page_token(), after,
            std::to_string(size)}));
  v1::ListMigrationTasksResponse response;
  std::string last;
  size_t bytes = 0;
  for (const auto& row : rows) {
    const bool is_apart = !by_end || response.tasks_size() == 0 ||
                          TimeOf(row[7]) != ToTime(response.tasks(response.tasks_size() - 1).update_time());
    if ((!by_end && static_cast<size_t>(response.tasks_size()) == size) || (is_apart && bytes >= kPageBytes)) {
      response.set_next_page_token(last);
      break;
    }
    v1::MigrationTask& task = *response.add_tasks();
    task.ParseFromString(Bytes(row[6]));
    task.set_database(row[0].as<std::string>());
    task.set_tenant(row[1].as<std::string>());
    task.set_wave(row[2].as<int>());
    task.set_state(ValueOf(kTaskStates, row[3].as<std::string>()));
    task.set_from_version(row[4].as<int>());
    task.set_to_version(row[5].as<int>());
    if (!row[7].is_null()) *task.mutable_update_time() = FromTime(TimeOf(row[7]));
    last = row[8].as<std::string>();
    bytes += task.ByteSizeLong();
  }
  return response;
}

absl::StatusOr<bool> RunStore::AnyWentBack(int64_t number) {
  LH_ASSIGN_OR_RETURN(
      const pqxx::result rows,
      Exec("SELECT EXISTS (SELECT FROM leasehold.run_tasks WHERE run = $1 AND to_version < from_version)",
           {Number(number)}));
  return rows[0][0].as<bool>();
}

absl::Status RunStore::SetPhase(int64_t number, RunPhase phase, const std::string& message) {
  return Exec("UPDATE leasehold.runs SET phase = $2, message = $3, update_time = $4 WHERE id = $1",
              {Number(number), TextOf(kPhases, phase), message, Now()})
      .status();
}

absl::Status RunStore::SetWave(int64_t number, int wave) {
  return Exec("UPDATE leasehold.runs SET wave = $2, update_time = $3 WHERE id = $1",
              {Number(number), Number(wave), Now()})
      .status();
}

absl::Status RunStore::SetScratch(int64_t number, const std::string& database_id) {
  return Exec("UPDATE leasehold.runs SET scratch = $2 WHERE id = $1", {Number(number), database_id}).status();
}

absl::Status RunStore::SetFindings(int64_t number, const v1::MigrationRun& with_findings) {
  v1::MigrationRun lists;
  *lists.mutable_findings() = with_findings.findings();
  return Exec("UPDATE leasehold.runs SET findings = decode($2, 'base64') WHERE id = $1",
              {Number(number), Base64(lists.SerializeAsString())})
      .status();
}

absl::Status RunStore::Note(int64_t number, std::span<const TaskNote> notes) {
  if (notes.empty()) return absl::OkStatus();
  const std::string json = JsonOf(notes);
  return InTransaction([&](postgres::Transaction& tx) -> absl::Status {
    LH_RETURN_IF_ERROR(tx.Exec(std::format("UPDATE leasehold.run_tasks t SET state = n.state, from_version = n.a, "
                                           "to_version = n.b, attempts = n.attempts, findings = n.found, "
                                           "report = decode(n.report, 'base64'), update_time = $3 FROM {} "
                                           "WHERE t.run = $2 AND t.database_id = n.id",
                                           kRecords),
                               {json, Number(number), Now()})
                           .status());
    LH_RETURN_IF_ERROR(
        tx.Exec(std::format("INSERT INTO leasehold.schemas (database_id, version, digest, update_time) "
                            "SELECT n.id, n.b, n.digest, $2 FROM {} WHERE n.digest <> '' ON CONFLICT (database_id) DO "
                            "UPDATE SET version = excluded.version, digest = excluded.digest, "
                            "update_time = excluded.update_time",
                            kRecords),
                {json, Now()})
            .status());
    LH_RETURN_IF_ERROR(
        tx.Exec(std::format("UPDATE leasehold.tenants t SET schema_version = n.b, status_version = status_version + 1 "
                            "FROM {} WHERE t.database_id = n.id AND n.digest <> '' "
                            // NULL: it was never complete, and is not by this.
                            "AND t.schema_version <> n.b",
                            kRecords),
                {json})
            .status());
    return tx.Exec("UPDATE leasehold.runs SET update_time = $2 WHERE id = $1", {Number(number), Now()}).status();
  });
}

absl::Status RunStore::Finish(int64_t number, v1::MigrationRunState state, const std::string& message) {
  return Exec(
             "UPDATE leasehold.runs SET state = $2, message = $3, phase = 'ended', update_time = $4, end_time = $4 "
             "WHERE id = $1",
             {Number(number), TextOf(kRunStates, state), message, Now()})
      .status();
}

}  // namespace leasehold::provisioner
