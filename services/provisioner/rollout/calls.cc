#include "services/provisioner/rollout/calls.h"

#include <algorithm>
#include <format>
#include <set>
#include <utility>
#include <vector>

#include "common/status/error.h"
#include "common/status/utf8.h"
#include "services/provisioner/rollout/findings.h"
#include "services/provisioner/rollout/page.h"
#include "services/provisioner/steps/answer.h"
#include "services/provisioner/steps/observe.h"

namespace leasehold::provisioner {
namespace {

constexpr int kNewestRuns = 100;
constexpr int kMostFindings = 200;
constexpr size_t kMaxCallIdBytes = 64;
constexpr size_t kStatementsBytes = kPageBytes / 2;  // of a plan
constexpr size_t kBytesAStatement = 8;               // at least, in the answer
constexpr std::string_view kSpares =
    "SELECT s.database_id, coalesce(n.version, s.schema_version, 0), coalesce(n.digest, '') FROM leasehold.spares s "
    "LEFT JOIN leasehold.schemas n ON n.database_id = s.database_id WHERE s.state = 'ready' ORDER BY 1";

// As much as `room` allows, of which it takes that.
std::string CutTo(std::string_view text, size_t& room) {
  size_t end = 0;
  while (end < text.size()) {
    const size_t next = end + std::max<size_t>(1, DecodeUtf8(text.substr(end)).bytes);
    if (next > room) break;
    end = next;
  }
  room -= end;
  return std::format("{}{}", text.substr(0, end), end < text.size() ? "…" : "");
}

// `room`: for the statements of all files of an answer.
v1::MigrationFile WithStatements(const Migration& file, bool tenant, size_t& room) {
  v1::MigrationFile message;
  message.set_tenant(tenant);
  message.set_version(file.version);
  message.set_name(file.name);
  message.set_checksum(file.checksum);
  message.set_transactional(file.transactional);
  message.set_has_down(file.down.has_value());
  message.set_statement_count(static_cast<int>(file.statements.size()));
  for (const SqlStatement& statement : file.statements) {
    if (room < kBytesAStatement) break;
    room -= kBytesAStatement;
    message.add_statements(CutTo(statement.text, room));
  }
  return message;
}

}  // namespace

std::string MigrationCalls::Answer(std::string_view call) {
  return AnswerTo<v1::MigrationCall, v1::MigrationAnswer>(
      call, "a MigrationCall", "looking at the migrations",
      [this](const v1::MigrationCall& parsed, v1::MigrationAnswer& answer) { return Fill(parsed, answer); });
}

absl::Status MigrationCalls::Fill(const v1::MigrationCall& call, v1::MigrationAnswer& answer) {
  if (call.id().size() > kMaxCallIdBytes) {
    return InvalidField("id", call.id(), std::format("at most {} bytes", kMaxCallIdBytes));
  }
  switch (call.call_case()) {
    case v1::MigrationCall::kStatus: {
      LH_ASSIGN_OR_RETURN(*answer.mutable_status(), Status(call.status()));
      return absl::OkStatus();
    }
    case v1::MigrationCall::kPlan: {
      LH_ASSIGN_OR_RETURN(*answer.mutable_plan(), Plan(call.plan()));
      return absl::OkStatus();
    }
    case v1::MigrationCall::kStart: {
      LH_ASSIGN_OR_RETURN(*answer.mutable_run(), Start(call.start()));
      return absl::OkStatus();
    }
    case v1::MigrationCall::kGet: {
      LH_ASSIGN_OR_RETURN(*answer.mutable_run(), Get(call.get().id()));
      return absl::OkStatus();
    }
    case v1::MigrationCall::kList: {
      LH_ASSIGN_OR_RETURN(const std::vector<StoredRun> runs, rollout_.store().Newest(kNewestRuns));
      for (const StoredRun& run : runs) {
        v1::MigrationRun& listed = *answer.mutable_runs()->add_runs() = run.run;
        listed.clear_files();
        listed.mutable_spec()->mutable_selection()->clear_setting_tenants();
        listed.mutable_spec()->mutable_canary()->clear_setting_tenants();
        listed.clear_findings();
      }
      answer.mutable_runs();
      return absl::OkStatus();
    }
    case v1::MigrationCall::kTasks: {
      LH_ASSIGN_OR_RETURN(const int64_t number, rollout_.store().NumberOf(call.tasks().id()));
      LH_ASSIGN_OR_RETURN(*answer.mutable_tasks(), rollout_.store().ListTasks(number, call.tasks()));
      return absl::OkStatus();
    }
    case v1::MigrationCall::kCancel: {
      LH_ASSIGN_OR_RETURN(*answer.mutable_run(), Cancel(call.cancel().id(), call.id()));
      return absl::OkStatus();
    }
    case v1::MigrationCall::kResume: {
      LH_ASSIGN_OR_RETURN(*answer.mutable_run(), Resume(call.resume(), call.id()));
      return absl::OkStatus();
    }
    case v1::MigrationCall::CALL_NOT_SET:
      break;
  }
  return InvalidField("call", "", "a call that this provisioner knows");
}

absl::StatusOr<v1::MigrationStatus> MigrationCalls::Status(const v1::GetMigrationStatusRequest& request) {
  LH_ASSIGN_OR_RETURN(const Page page, PageOf(request.page_size(), request.page_token()));
  const absl::Status read = rollout_.Reload();
  const FleetMigrations files = rollout_.files();
  auto central = rollout_.central().Take();
  LH_ASSIGN_OR_RETURN(std::vector<FleetDatabase> fleet, ListFleet(*central, rollout_.instance()));
  const size_t without_spares = fleet.size();
  LH_ASSIGN_OR_RETURN(const pqxx::result spares, central->ExecAlone(kSpares));
  for (const auto& row : spares) {
    fleet.push_back({.database_id = row[0].as<std::string>(),
                     .database = StagingName(row[0].as<std::string>()),
                     .tenant = "-",  // for which files; not shown
                     .version = row[1].as<int>(),
                     .digest = row[2].as<std::string>()});
  }
  v1::MigrationStatus status;
  status.set_service(rollout_.instance().service().str());
  status.set_newest_tenant_version(NewestVersion(*files.tenant));
  status.set_newest_central_version(NewestVersion(*files.central));
  Differences differences(files);
  for (size_t i = 0; i < fleet.size(); ++i) {
    const FleetDatabase& database = fleet[i];
    const bool finished = database.finished;
    const auto pending = static_cast<int>(PendingFor(database, files).size());
    const bool differs = differences.Has(database);
    if (page.begin == 0) {
      status.set_total(status.total() + 1);
      if (!finished) status.set_unfinished(status.unfinished() + 1);
      if (finished && pending > 0) status.set_behind(status.behind() + 1);
      if (differs) status.set_differing(status.differing() + 1);
    }
    if (i < page.begin || i >= page.end) continue;
    v1::DatabaseVersion& shown = *status.add_databases();
    shown.set_database(database.database);
    if (i < without_spares) shown.set_tenant(database.tenant);
    shown.set_spare(i >= without_spares);
    shown.set_version(database.version);
    shown.set_pending(pending);
    shown.set_differs(differs);
    shown.set_unfinished(!finished);
  }
  if (page.end < fleet.size()) status.set_next_page_token(std::format("{}", page.end));
  if (page.begin > 0) return status;
  if (!read.ok()) status.set_files_error(std::string(ClientText(read)));
  LH_ASSIGN_OR_RETURN(const std::vector<StoredRun> newest, rollout_.store().Newest(1));
  if (!newest.empty()) *status.mutable_run() = newest.front().run;
  return status;
}

absl::StatusOr<v1::MigrationPlan> MigrationCalls::Plan(const v1::PlanMigrationsRequest& request) {
  v1::MigrationSpec spec = request.spec();
  spec.set_kind(v1::MIGRATION_KIND_APPLY);
  LH_RETURN_IF_ERROR(CheckSpec(spec));
  LH_ASSIGN_OR_RETURN(Page page, PageOf(request.page_size(), request.page_token()));
  LH_RETURN_IF_ERROR(rollout_.Reload());
  const FleetMigrations files = rollout_.files();
  LH_ASSIGN_OR_RETURN(std::vector<FleetDatabase> fleet, ListFleet(*rollout_.central().Take(), rollout_.instance()));
  LH_RETURN_IF_ERROR(CheckSelected(spec, fleet, rollout_.instance().service()));
  std::erase_if(fleet, [&](const FleetDatabase& database) {
    return !database.finished || !IsSelected(spec.selection(), database);
  });
  v1::MigrationPlan plan;
  if (page.begin == 0) {
    for (const Findings& findings : {InspectHistories(rollout_.instance(), fleet, files), InspectFiles(fleet, files)}) {
      for (const v1::MigrationFinding& finding : findings) {
        if (plan.findings_size() < kMostFindings) *plan.add_findings() = finding;
      }
    }
  }
  std::erase_if(fleet, [&](const FleetDatabase& database) { return PendingFor(database, files).empty(); });
  AssignWaves(spec, fleet);
  std::set<std::pair<bool, int>> named;
  size_t room = kStatementsBytes;
  size_t bytes = 0;
  for (size_t i = 0; i < fleet.size(); ++i) {
    const FleetDatabase& database = fleet[i];
    const std::vector<const Migration*> pending = PendingFor(database, files);
    for (const Migration* file : pending) {
      const bool is_new = named.emplace(!database.tenant.empty(), file->version).second;
      if (is_new && page.begin == 0) *plan.add_files() = WithStatements(*file, !database.tenant.empty(), room);
    }
    if (i < page.begin || i >= page.end) continue;
    if (bytes >= kPageBytes) {
      page.end = i;
      continue;
    }
    v1::PlannedDatabase& planned = *plan.add_databases();
    planned.set_database(database.database);
    planned.set_tenant(database.tenant);
    planned.set_wave(database.wave);
    planned.set_version(database.version);
    for (const Migration* file : pending) planned.add_files(file->name);
    bytes += planned.ByteSizeLong();
  }
  if (page.end < fleet.size()) plan.set_next_page_token(std::format("{}", page.end));
  return plan;
}

absl::StatusOr<v1::MigrationRun> MigrationCalls::Get(const std::string& id) {
  LH_ASSIGN_OR_RETURN(const int64_t number, rollout_.store().NumberOf(id));
  LH_ASSIGN_OR_RETURN(StoredRun run, rollout_.store().Get(number));
  return std::move(run.run);
}

absl::StatusOr<v1::MigrationRun> MigrationCalls::Start(const v1::StartMigrationRunRequest& request) {
  v1::MigrationSpec spec = request.spec();
  spec.set_automatic(false);
  LH_RETURN_IF_ERROR(CheckSpec(spec));
  if (spec.kind() == v1::MIGRATION_KIND_UNDO) {
    LH_ASSIGN_OR_RETURN(const v1::MigrationRun undone, Get(spec.undo_run()));
    if (undone.spec().kind() != v1::MIGRATION_KIND_APPLY) {
      return InvalidField("spec.undo_run", spec.undo_run(), "a run that applied migrations");
    }
  }
  LH_RETURN_IF_ERROR(rollout_.Reload());
  LH_ASSIGN_OR_RETURN(const std::vector<FleetDatabase> fleet,
                      ListFleet(*rollout_.central().Take(), rollout_.instance()));
  LH_RETURN_IF_ERROR(CheckSelected(spec, fleet, rollout_.instance().service()));
  LH_ASSIGN_OR_RETURN(StoredRun run, rollout_.store().Create(spec, FilesOf(rollout_.files()), request.request_id()));
  rollout_.Wake();
  return std::move(run.run);
}

absl::StatusOr<v1::MigrationRun> MigrationCalls::Cancel(const std::string& id, const std::string& call) {
  LH_ASSIGN_OR_RETURN(const int64_t number, rollout_.store().NumberOf(id));
  LH_RETURN_IF_ERROR(rollout_.store().Cancel(number, call));
  rollout_.Wake();
  LH_ASSIGN_OR_RETURN(v1::MigrationRun run, Get(id));
  if (run.state() == v1::MIGRATION_RUN_STATE_RUNNING || run.state() == v1::MIGRATION_RUN_STATE_CANCELLED) return run;
  return Error(v1::REASON_OPERATION_NOT_CANCELLABLE, std::format("run {} has ended", id));
}

absl::StatusOr<v1::MigrationRun> MigrationCalls::Resume(const v1::ResumeMigrationRunRequest& request,
                                                        const std::string& call) {
  LH_ASSIGN_OR_RETURN(const int64_t number, rollout_.store().NumberOf(request.id()));
  LH_RETURN_IF_ERROR(rollout_.Reload());
  LH_ASSIGN_OR_RETURN(const StoredRun run, rollout_.store().Get(number));
  const std::string difference = DifferenceFrom(run.run, rollout_.files());
  if (run.run.state() != v1::MIGRATION_RUN_STATE_RUNNING && !difference.empty()) {
    return Error(v1::REASON_MIGRATION_FAILED,
                 std::format("run {} goes on with the files that it began with only, and {}; {} begins one with the "
                             "files as they are now",
                             run.run.id(), difference,
                             run.run.spec().kind() == v1::MIGRATION_KIND_APPLY
                                 ? std::format("`leasehold migrate apply {}`", rollout_.instance().service().str())
                                 : "the same command"));
  }
  LH_RETURN_IF_ERROR(rollout_.store().Resume(number, request.failed(), call));
  rollout_.Wake();
  return Get(request.id());
}

}  // namespace leasehold::provisioner
