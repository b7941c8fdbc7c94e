// leasehold migrate status|plan|apply|dry-run|verify|preflight|repair|undo|runs|show|watch|cancel|resume|retry
#include <algorithm>
#include <iostream>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status/error.h"
#include "services/cli/json.h"
#include "services/cli/migrate_flags.h"
#include "services/cli/migrate_watch.h"
#include "services/cli/show_migration.h"
#include "services/cli/verbs.h"

namespace leasehold::cli {
namespace {

using Service = v1::MigrationService::StubInterface;

constexpr const char* kRunHelp = "<service>.<number>, e.g. identity.7";

View Now(const Command& command) { return {command.terminal, absl::Now()}; }

// Of a run that looks, what it found is what it was for.
bool IsLook(const v1::MigrationSpec& spec) {
  return spec.kind() == v1::MIGRATION_KIND_VERIFY || spec.kind() == v1::MIGRATION_KIND_PREFLIGHT ||
         (spec.kind() == v1::MIGRATION_KIND_REPAIR && spec.show_only());
}

bool FoundErrors(const v1::MigrationRun& run, const std::vector<v1::MigrationTask>& tasks) {
  const auto is_error = [](const v1::MigrationFinding& finding) {
    return finding.severity() == v1::MIGRATION_SEVERITY_ERROR;
  };
  return std::ranges::any_of(run.findings(), is_error) ||
         std::ranges::any_of(tasks, [&](const auto& task) { return std::ranges::any_of(task.findings(), is_error); });
}

absl::Status Collect(GatewayClient& client, const std::string& id, bool with_findings,
                     std::vector<v1::MigrationTask>& tasks) {
  v1::ListMigrationTasksRequest request;
  request.set_id(id);
  request.set_page_size(500);
  request.set_with_findings(with_findings);
  if (!with_findings) request.add_states(v1::MIGRATION_TASK_STATE_FAILED);
  do {
    LH_ASSIGN_OR_RETURN(v1::ListMigrationTasksResponse page,
                        client.Call(client.migrations(), &Service::ListMigrationTasks, request));
    for (v1::MigrationTask& task : *page.mutable_tasks()) {
      const bool known = std::ranges::any_of(tasks, [&](const auto& t) { return t.database() == task.database(); });
      if (!known) tasks.push_back(std::move(task));
    }
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return absl::OkStatus();
}

absl::StatusOr<int> Report(const Command& command, GatewayClient& client, const v1::MigrationRun& run) {
  std::vector<v1::MigrationTask> tasks;
  LH_RETURN_IF_ERROR(Collect(client, run.id(), false, tasks));
  if (run.with_findings() > 0) LH_RETURN_IF_ERROR(Collect(client, run.id(), true, tasks));
  // With --json the stream of events has told it all.
  if (!command.json) std::cout << ShowRun(run, tasks, Now(command));
  if (run.state() != v1::MIGRATION_RUN_STATE_SUCCEEDED) {
    return absl::AbortedError(
        absl::StrCat("run ", run.id(), " ", Word(run.state()), run.message().empty() ? "" : ": ", run.message()));
  }
  if (IsLook(run.spec()) && FoundErrors(run, tasks)) {
    return absl::FailedPreconditionError(absl::StrCat("run ", run.id(), " found what has to be mended first"));
  }
  return kDone;
}

absl::StatusOr<int> FollowAndReport(const Command& command, GatewayClient& client, const std::string& id) {
  LH_ASSIGN_OR_RETURN(const v1::MigrationRun run, FollowRun(command, client, id));
  return Report(command, client, run);
}

absl::StatusOr<int> Answer(const Command& command, const v1::MigrationRun& run) {
  if (command.json) {
    std::cout << ToJson(run);
  } else {
    std::cout << "run " << run.id() << " is " << Word(run.state()) << '\n';
  }
  return kDone;
}

absl::StatusOr<int> StartRun(const Command& command, const v1::MigrationSpec& spec, bool detach) {
  GatewayClient client(command.gateway);
  v1::StartMigrationRunRequest request;
  request.set_request_id(NewRequestId());
  *request.mutable_spec() = spec;
  absl::StatusOr<v1::MigrationRun> run = client.Call(client.migrations(), &Service::StartMigrationRun, request);
  if (!run.ok()) return AsTyped(run.status());
  return detach ? Answer(command, *run) : FollowAndReport(command, client, run->id());
}

void AddFleetStatus(CLI::App& group, Command& command) {
  struct Flags {
    v1::GetMigrationStatusRequest request;
    bool all = false;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* app = group.add_subcommand("status", "Which databases of a service are behind the files");
  app->add_option("SERVICE", *flags->request.mutable_service(), kServiceHelp)->required();
  app->add_flag("--all", flags->all, "Every database, not only those that are behind");
  app->callback([flags, &command] {
    command.run = [flags, &command]() -> absl::StatusOr<int> {
      GatewayClient client(command.gateway);
      v1::MigrationStatus all;
      do {
        LH_ASSIGN_OR_RETURN(v1::MigrationStatus page,
                            client.Call(client.migrations(), &Service::GetMigrationStatus, flags->request));
        flags->request.set_page_token(page.next_page_token());
        page.clear_next_page_token();
        all.MergeFrom(page);
      } while (!flags->request.page_token().empty());
      std::cout << (command.json ? ToJson(all) : ShowMigrationStatus(all, flags->all, Now(command)));
      return kDone;
    };
  });
}

void AddPlan(CLI::App& group, Command& command) {
  auto flags = std::make_shared<SpecFlags>();
  CLI::App* app = group.add_subcommand("plan", "What would run where, with the statements");
  flags->AddService(*app);
  flags->AddSelection(*app);
  flags->AddWaves(*app);
  app->callback([flags, &command] {
    command.run = [flags, &command]() -> absl::StatusOr<int> {
      GatewayClient client(command.gateway);
      v1::PlanMigrationsRequest request;
      *request.mutable_spec() = flags->Spec(v1::MIGRATION_KIND_APPLY);
      v1::MigrationPlan all;
      do {
        absl::StatusOr<v1::MigrationPlan> page = client.Call(client.migrations(), &Service::PlanMigrations, request);
        if (!page.ok()) return AsTyped(page.status());
        request.set_page_token(page->next_page_token());
        page->clear_next_page_token();
        all.MergeFrom(*page);
      } while (!request.page_token().empty());
      std::cout << (command.json ? ToJson(all) : ShowPlan(all, Now(command)));
      return kDone;
    };
  });
}

void AddApply(CLI::App& group, Command& command) {
  struct Flags : SpecFlags {
    bool ignore_findings = false;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* app = group.add_subcommand("apply", "Bring databases to the newest version, wave by wave");
  flags->AddService(*app);
  flags->AddSelection(*app);
  flags->AddWaves(*app);
  flags->AddPace(*app);
  app->add_flag("--ignore-findings", flags->ignore_findings, "Begin whatever the look at the fleet has found");
  app->callback([flags, &command] {
    command.run = [flags, &command] {
      v1::MigrationSpec spec = flags->Spec(v1::MIGRATION_KIND_APPLY);
      spec.set_ignore_findings(flags->ignore_findings);
      return StartRun(command, spec, flags->detach);
    };
  });
}

void AddLook(CLI::App& group, Command& command, const std::string& name, v1::MigrationKind kind,
             const std::string& about) {
  auto flags = std::make_shared<SpecFlags>();
  CLI::App* app = group.add_subcommand(name, about);
  flags->AddService(*app);
  flags->AddSelection(*app);
  flags->AddPace(*app);
  // A look is for finding all there is.
  flags->budget = 1'000'000;
  app->callback([flags, kind, &command] {
    command.run = [flags, kind, &command] { return StartRun(command, flags->Spec(kind), flags->detach); };
  });
}

void AddRepair(CLI::App& group, Command& command) {
  struct Flags : SpecFlags {
    std::string file;
    bool accept = false;
    bool forget = false;
    bool mark = false;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* app =
      group.add_subcommand("repair", "Show a mismatch between history and files, and settle it if told how");
  flags->AddService(*app);
  app->add_option("FILE", flags->file, "The file at fault, e.g. 0003_orders.sql")->required();
  flags->AddSelection(*app);
  CLI::Option* accept =
      app->add_flag("--accept-file", flags->accept, "The history takes over name and checksum of the file as it is");
  CLI::Option* forget = app->add_flag("--forget", flags->forget, "The history forgets the file: it is not there");
  CLI::Option* mark = app->add_flag("--mark-applied", flags->mark, "The file counts as applied without being run");
  accept->excludes(forget)->excludes(mark);
  forget->excludes(mark);
  app->callback([flags, &command] {
    command.run = [flags, &command] {
      v1::MigrationSpec spec = flags->Spec(v1::MIGRATION_KIND_REPAIR);
      spec.set_repair_file(flags->file);
      spec.set_failure_budget(1'000'000);
      spec.set_repair(flags->accept   ? v1::MIGRATION_REPAIR_ACCEPT_FILE
                      : flags->forget ? v1::MIGRATION_REPAIR_FORGET
                      : flags->mark   ? v1::MIGRATION_REPAIR_MARK_APPLIED
                                      : v1::MIGRATION_REPAIR_UNSPECIFIED);
      spec.set_show_only(spec.repair() == v1::MIGRATION_REPAIR_UNSPECIFIED);
      return StartRun(command, spec, false);
    };
  });
}

void AddUndo(CLI::App& group, Command& command) {
  struct Flags : SpecFlags {
    std::string run;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* app = group.add_subcommand("undo", "Take back what a run applied, by the files' down files");
  app->add_option("RUN", flags->run, kRunHelp)->required();
  flags->AddTenants(*app);
  flags->AddPace(*app);
  app->callback([flags, &command] {
    command.run = [flags, &command]() -> absl::StatusOr<int> {
      const size_t dot = flags->run.rfind('.');
      if (dot == std::string::npos) return InvalidField("RUN", flags->run, "<service>.<number>, e.g. identity.7");
      v1::MigrationSpec spec = flags->Spec(v1::MIGRATION_KIND_UNDO);
      spec.set_service(flags->run.substr(0, dot));
      spec.set_undo_run(flags->run);
      return StartRun(command, spec, flags->detach);
    };
  });
}

void AddRuns(CLI::App& group, Command& command) {
  auto request = std::make_shared<v1::ListMigrationRunsRequest>();
  CLI::App* app = group.add_subcommand("runs", "List a service's runs, newest first");
  app->add_option("SERVICE", *request->mutable_service(), kServiceHelp)->required();
  app->callback([request, &command] {
    command.run = [request, &command]() -> absl::StatusOr<int> {
      GatewayClient client(command.gateway);
      LH_ASSIGN_OR_RETURN(const v1::ListMigrationRunsResponse runs,
                          client.Call(client.migrations(), &Service::ListMigrationRuns, *request));
      std::cout << (command.json ? ToJson(runs) : ShowRuns(runs.runs(), Now(command)));
      return kDone;
    };
  });
}

void AddShow(CLI::App& group, Command& command) {
  auto request = std::make_shared<v1::GetMigrationRunRequest>();
  CLI::App* app = group.add_subcommand("show", "Show a run: who failed, and what was found");
  app->add_option("RUN", *request->mutable_id(), kRunHelp)->required();
  app->callback([request, &command] {
    command.run = [request, &command]() -> absl::StatusOr<int> {
      GatewayClient client(command.gateway);
      LH_ASSIGN_OR_RETURN(const v1::MigrationRun run,
                          client.Call(client.migrations(), &Service::GetMigrationRun, *request));
      std::vector<v1::MigrationTask> tasks;
      LH_RETURN_IF_ERROR(Collect(client, run.id(), false, tasks));
      LH_RETURN_IF_ERROR(Collect(client, run.id(), true, tasks));
      if (!command.json) {
        std::cout << ShowRun(run, tasks, Now(command));
        return kDone;
      }
      v1::MigrationEvent both;
      *both.mutable_run() = run;
      for (v1::MigrationTask& task : tasks) *both.add_tasks() = std::move(task);
      std::cout << ToJson(both);
      return kDone;
    };
  });
}

void AddWatch(CLI::App& group, Command& command) {
  auto id = std::make_shared<std::string>();
  CLI::App* app = group.add_subcommand("watch", "Follow a run to its end");
  app->add_option("RUN", *id, kRunHelp)->required();
  app->callback([id, &command] {
    command.run = [id, &command] {
      GatewayClient client(command.gateway);
      return FollowAndReport(command, client, *id);
    };
  });
}

void AddCancel(CLI::App& group, Command& command) {
  auto request = std::make_shared<v1::GetMigrationRunRequest>();
  CLI::App* app = group.add_subcommand("cancel", "Begin no further database; the run can be resumed");
  app->add_option("RUN", *request->mutable_id(), kRunHelp)->required();
  app->callback([request, &command] {
    command.run = [request, &command]() -> absl::StatusOr<int> {
      GatewayClient client(command.gateway);
      LH_RETURN_IF_ERROR(client.Call(client.migrations(), &Service::CancelMigrationRun, *request).status());
      // It ends within a moment; who fails meanwhile is not this command's word.
      while (true) {
        LH_ASSIGN_OR_RETURN(const v1::MigrationRun run,
                            client.Call(client.migrations(), &Service::GetMigrationRun, *request));
        if (run.state() == v1::MIGRATION_RUN_STATE_CANCELLED) return Answer(command, run);
        if (run.state() != v1::MIGRATION_RUN_STATE_RUNNING) {
          return absl::AbortedError(absl::StrCat("run ", run.id(), " is ", Word(run.state()), ": it ended first"));
        }
        absl::SleepFor(absl::Milliseconds(200));
      }
    };
  });
}

void AddResume(CLI::App& group, Command& command, const std::string& name, const std::string& about) {
  struct Flags {
    v1::ResumeMigrationRunRequest request;
    bool failed = false;
    bool detach = false;
  };
  auto flags = std::make_shared<Flags>();
  const bool is_retry = name == "retry";
  CLI::App* app = group.add_subcommand(name, about);
  app->add_option("RUN", *flags->request.mutable_id(), kRunHelp)->required();
  app->add_flag("--failed", flags->failed, is_retry ? "Which is what it does" : "The failed databases too");
  app->add_flag("--detach", flags->detach, "Do not wait for the end: leasehold migrate watch ID");
  app->callback([flags, is_retry, &command] {
    command.run = [flags, is_retry, &command]() -> absl::StatusOr<int> {
      GatewayClient client(command.gateway);
      flags->request.set_failed(is_retry || flags->failed);
      LH_ASSIGN_OR_RETURN(const v1::MigrationRun run,
                          client.Call(client.migrations(), &Service::ResumeMigrationRun, flags->request));
      return flags->detach ? Answer(command, run) : FollowAndReport(command, client, run.id());
    };
  });
}

}  // namespace

void AddMigrate(CLI::App& app, Command& command) {
  CLI::App* group = AddGroup(app, "migrate", "Schema migrations over all databases of a service");
  AddFleetStatus(*group, command);
  AddPlan(*group, command);
  AddApply(*group, command);
  AddLook(*group, command, "dry-run", v1::MIGRATION_KIND_DRY_RUN, "Execute what apply would, and roll it back");
  AddLook(*group, command, "verify", v1::MIGRATION_KIND_VERIFY,
          "Compare history with files, and schemas with a freshly migrated database");
  AddLook(*group, command, "preflight", v1::MIGRATION_KIND_PREFLIGHT, "Look for what would be in the way");
  AddRepair(*group, command);
  AddUndo(*group, command);
  AddRuns(*group, command);
  AddShow(*group, command);
  AddWatch(*group, command);
  AddCancel(*group, command);
  AddResume(*group, command, "resume", "Go on with a run that was stopped or cancelled");
  AddResume(*group, command, "retry", "Try a run's failed databases again, and what it has left");
}

}  // namespace leasehold::cli
