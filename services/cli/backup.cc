// leasehold backup create|list|show|delete|restore
#include <iostream>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status/error.h"
#include "services/cli/change.h"
#include "services/cli/json.h"
#include "services/cli/show.h"
#include "services/cli/verbs.h"
#include "services/cli/waiting.h"

namespace leasehold::cli {
namespace {

using Service = v1::BackupService::StubInterface;

constexpr const char* kIdHelp = "<tenant>.<generation>, e.g. acme.3";

void Print(const Command& command, const v1::Backup& backup) {
  std::cout << (command.json ? ToJson(backup) : ShowBackup(backup, {command.terminal, absl::Now()}));
}

absl::StatusOr<v1::Backup> Get(GatewayClient& client, const std::string& id) {
  v1::GetBackupRequest request;
  request.set_id(id);
  return client.Call(client.backups(), &Service::GetBackup, request);
}

absl::StatusOr<int> Create(const Command& command, const v1::CreateBackupRequest& request, const WaitFlags& flags) {
  GatewayClient client(command.gateway);
  LH_ASSIGN_OR_RETURN(v1::BackupChange change, client.Call(client.backups(), &Service::CreateBackup, request));
  if (flags.wait) {
    Progress progress(command.terminal, command.json);
    LH_ASSIGN_OR_RETURN(*change.mutable_operation(),
                        WaitForOperation(client, change.operation().id(), flags.timeout, progress));
    LH_RETURN_IF_ERROR(Verdict(change.operation()));
    LH_ASSIGN_OR_RETURN(*change.mutable_backup(), Get(client, change.backup().id()));
  }
  if (command.json) {
    std::cout << ToJson(change);
  } else {
    std::cout << "backup " << change.backup().id() << " is " << Word(change.backup().state()) << '\n';
  }
  return kDone;
}

void AddCreate(CLI::App& group, Command& command) {
  struct Flags : ChangeFlags {
    v1::CreateBackupRequest request;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* app = group.add_subcommand("create", "Copy a tenant's databases into the configured folder");
  app->add_option("TENANT", *flags->request.mutable_tenant(), "The tenant; it works on meanwhile")->required();
  flags->AddTo(*app);
  app->callback([flags, &command] {
    command.run = [flags, &command] {
      flags->request.set_request_id(flags->RequestId());
      return Create(command, flags->request, *flags);
    };
  });
}

void AddList(CLI::App& group, Command& command) {
  auto request = std::make_shared<v1::ListBackupsRequest>();
  CLI::App* app = group.add_subcommand("list", "List backups, newest first");
  app->add_option("TENANT", *request->mutable_tenant(), "Only those of this tenant");
  app->callback([request, &command] {
    command.run = [request, &command]() -> absl::StatusOr<int> {
      GatewayClient client(command.gateway);
      request->set_page_size(1000);
      v1::ListBackupsResponse all;
      do {
        LH_ASSIGN_OR_RETURN(v1::ListBackupsResponse page,
                            client.Call(client.backups(), &Service::ListBackups, *request));
        request->set_page_token(page.next_page_token());
        all.mutable_backups()->MergeFrom(page.backups());
      } while (!request->page_token().empty());
      std::cout << (command.json ? ToJson(all) : ShowBackups(all.backups(), {command.terminal, absl::Now()}));
      return kDone;
    };
  });
}

void AddShow(CLI::App& group, Command& command) {
  auto id = std::make_shared<std::string>();
  CLI::App* app = group.add_subcommand("show", "Show a backup and what each service has made of it");
  app->add_option("ID", *id, kIdHelp)->required();
  app->callback([id, &command] {
    command.run = [id, &command]() -> absl::StatusOr<int> {
      GatewayClient client(command.gateway);
      LH_ASSIGN_OR_RETURN(const v1::Backup backup, Get(client, *id));
      Print(command, backup);
      return kDone;
    };
  });
}

void AddDelete(CLI::App& group, Command& command) {
  auto request = std::make_shared<v1::DeleteBackupRequest>();
  CLI::App* app = group.add_subcommand("delete", "Remove a backup's files; one that runs is cancelled");
  app->add_option("ID", *request->mutable_id(), kIdHelp)->required();
  app->callback([request, &command] {
    command.run = [request, &command]() -> absl::StatusOr<int> {
      GatewayClient client(command.gateway);
      request->set_request_id(NewRequestId());
      LH_ASSIGN_OR_RETURN(const v1::Backup backup, client.Call(client.backups(), &Service::DeleteBackup, *request));
      if (command.json) {
        std::cout << ToJson(backup);
      } else {
        std::cout << "backup " << backup.id() << " is " << Word(backup.state()) << '\n';
      }
      return kDone;
    };
  });
}

void AddRestore(CLI::App& group, Command& command) {
  struct Flags : ChangeFlags {
    v1::RestoreBackupRequest request;
    std::vector<std::pair<std::string, std::string>> settings;
    bool in_place = false;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* app =
      group.add_subcommand("restore", "Make a backup's data a new tenant's, or again that of one that exists");
  app->add_option("ID", *flags->request.mutable_backup(), kIdHelp)->required();
  v1::Tenant& tenant = *flags->request.mutable_tenant();
  CLI::Option* into = app->add_option("--into", *tenant.mutable_id(), "The new tenant");
  CLI::Option* in_place = app->add_flag("--in-place", flags->in_place, "Replace what the backup's own tenant has now");
  const std::vector<const CLI::Option*> of_a_new_one = {
      into, app->add_option("--name", *tenant.mutable_name(), "Of a new tenant: for people; the id if not given"),
      app->add_option("--domain", *tenant.mutable_domain(), "Of a new tenant: a DNS name; unique among tenants"),
      AddSettings(*app, "--setting", flags->settings, "Of a new tenant: free for you; may be repeated")};
  flags->AddTo(*app);
  app->callback([flags, into, in_place, of_a_new_one, &command] {
    if (into->count() == 0 && in_place->count() == 0) {
      UsageError("say where the data goes: --into ID for a new tenant, --in-place for the one it came from");
    }
    for (const CLI::Option* option : of_a_new_one) {
      if (in_place->count() == 0 || option->count() == 0) continue;
      UsageError(absl::StrCat(option->get_name(),
                              " is for a new tenant, --in-place for the one that the backup is of; ",
                              "give one of them"));
    }
    command.run = [flags, &command]() -> absl::StatusOr<int> {
      GatewayClient client(command.gateway);
      flags->request.set_in_place(flags->in_place);
      flags->request.set_request_id(flags->RequestId());
      for (const auto& [key, value] : flags->settings) {
        (*flags->request.mutable_tenant()->mutable_settings())[key] = value;
      }
      LH_ASSIGN_OR_RETURN(v1::TenantChange change,
                          client.Call(client.backups(), &Service::RestoreBackup, flags->request));
      return FinishChange(command, client, std::move(change), v1::OPERATION_KIND_RESTORE, *flags);
    };
  });
}

}  // namespace

void AddBackup(CLI::App& app, Command& command) {
  CLI::App* group = AddGroup(app, "backup", "Copies of tenants' databases in the configured folder");
  AddCreate(*group, command);
  AddList(*group, command);
  AddShow(*group, command);
  AddDelete(*group, command);
  AddRestore(*group, command);
}

}  // namespace leasehold::cli
