// leasehold tenant create|get|list|update|suspend|resume|delete|undelete|retry|clone|watch
#include <algorithm>
#include <iostream>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/status/error.h"
#include "services/cli/change.h"
#include "services/cli/json.h"
#include "services/cli/relative_time.h"
#include "services/cli/show.h"
#include "services/cli/verbs.h"
#include "services/cli/waiting.h"

namespace leasehold::cli {
namespace {

using Service = v1::TenantService::StubInterface;
using Settings = std::vector<std::pair<std::string, std::string>>;

View Now(const Command& command) { return {command.terminal, absl::Now()}; }

absl::StatusOr<v1::Tenant> Get(GatewayClient& client, const v1::GetTenantRequest& request) {
  return client.Call(client.tenants(), &Service::GetTenant, request);
}

template <typename Request>
absl::StatusOr<int> Write(const Command& command,
                          grpc::Status (Service::*method)(grpc::ClientContext*, const Request&, v1::TenantChange*),
                          v1::OperationKind kind, Request request, const ChangeFlags& flags) {
  GatewayClient client(command.gateway);
  request.set_request_id(flags.RequestId());
  LH_ASSIGN_OR_RETURN(v1::TenantChange change, client.Call(client.tenants(), method, request));
  return FinishChange(command, client, std::move(change), kind, flags);
}

void AddCreate(CLI::App& group, Command& command) {
  struct Flags : ChangeFlags {
    v1::CreateTenantRequest request;
    Settings settings;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* app = group.add_subcommand("create", "Add a tenant; every service makes its database");
  app->add_option("ID", *flags->request.mutable_tenant()->mutable_id(), "[a-z0-9]([a-z0-9-]{0,34}[a-z0-9])?")
      ->required();
  app->add_option("--name", *flags->request.mutable_tenant()->mutable_name(), "For people; the id if not given");
  app->add_option("--domain", *flags->request.mutable_tenant()->mutable_domain(), "A DNS name; unique among tenants");
  AddSettings(*app, "--setting", flags->settings, "Free for you; may be repeated");
  flags->AddTo(*app);
  app->callback([flags, &command] {
    command.run = [flags, &command] {
      for (const auto& [key, value] : flags->settings) {
        (*flags->request.mutable_tenant()->mutable_settings())[key] = value;
      }
      return Write(command, &Service::CreateTenant, v1::OPERATION_KIND_CREATE, flags->request, *flags);
    };
  });
}

void AddClone(CLI::App& group, Command& command) {
  struct Flags : ChangeFlags {
    v1::CloneTenantRequest request;
    Settings settings;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* app = group.add_subcommand("clone", "Add a tenant whose databases begin as copies of another's");
  app->add_option("SOURCE", *flags->request.mutable_source(), "The tenant that is copied; it works on meanwhile")
      ->required();
  app->add_option("ID", *flags->request.mutable_tenant()->mutable_id(), "The new tenant")->required();
  app->add_option("--name", *flags->request.mutable_tenant()->mutable_name(), "For people; the id if not given");
  app->add_option("--domain", *flags->request.mutable_tenant()->mutable_domain(), "A DNS name; unique among tenants");
  AddSettings(*app, "--setting", flags->settings, "In place of the source's settings; may be repeated");
  flags->AddTo(*app);
  app->callback([flags, &command] {
    command.run = [flags, &command] {
      for (const auto& [key, value] : flags->settings) {
        (*flags->request.mutable_tenant()->mutable_settings())[key] = value;
      }
      return Write(command, &Service::CloneTenant, v1::OPERATION_KIND_CLONE, flags->request, *flags);
    };
  });
}

void AddGet(CLI::App& group, Command& command) {
  struct Flags {
    std::string id;
    std::string domain;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* app = group.add_subcommand("get", "Show a tenant and what each service has made of it");
  app->add_option("ID", flags->id, "The tenant");
  app->add_option("--domain", flags->domain, "The tenant with this domain instead");
  app->callback([flags, &command] {
    if (flags->id.empty() == flags->domain.empty()) UsageError("give a tenant's ID or --domain");
    command.run = [flags, &command]() -> absl::StatusOr<int> {
      GatewayClient client(command.gateway);
      v1::GetTenantRequest request;
      if (flags->domain.empty()) {
        request.set_id(flags->id);
      } else {
        request.set_domain(flags->domain);
      }
      LH_ASSIGN_OR_RETURN(const v1::Tenant tenant, Get(client, request));
      std::cout << (command.json ? ToJson(tenant) : ShowTenant(tenant, Now(command)));
      return kDone;
    };
  });
}

void AddList(CLI::App& group, Command& command) {
  struct Flags {
    std::vector<std::string> states;
    v1::ListTenantsRequest request;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* app = group.add_subcommand("list", "List tenants");
  app->add_option("--state", flags->states, "Only those in this state; may be repeated")
      ->type_name("STATE")
      ->allow_extra_args(false);
  app->callback([flags, &command] {
    for (const auto& word : flags->states) flags->request.add_states(ParseTenantState(word));
    command.run = [flags, &command]() -> absl::StatusOr<int> {
      GatewayClient client(command.gateway);
      flags->request.set_page_size(1000);
      v1::ListTenantsResponse all;
      do {
        LH_ASSIGN_OR_RETURN(v1::ListTenantsResponse page,
                            client.Call(client.tenants(), &Service::ListTenants, flags->request));
        flags->request.set_page_token(page.next_page_token());
        all.mutable_tenants()->MergeFrom(page.tenants());
      } while (!flags->request.page_token().empty());
      std::cout << (command.json ? ToJson(all) : ShowTenants(all.tenants(), Now(command)));
      return kDone;
    };
  });
}

void AddUpdate(CLI::App& group, Command& command) {
  struct Flags : ChangeFlags {
    std::string id;
    std::string name;
    std::string domain;
    Settings settings;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* app = group.add_subcommand("update", "Change a tenant's name, domain or settings");
  app->add_option("ID", flags->id, "The tenant")->required();
  const CLI::Option* name = app->add_option("--name", flags->name, "The new name");
  const CLI::Option* domain = app->add_option("--domain", flags->domain, "The new domain; '' removes it");
  AddSettings(*app, "--setting", flags->settings, "Sets K; 'K=' removes it; may be repeated");
  flags->AddTo(*app);
  app->callback([flags, name, domain, &command] {
    if (name->count() == 0 && domain->count() == 0 && flags->settings.empty()) {
      UsageError("nothing to change: give --name, --domain or --setting");
    }
    command.run = [flags, name, domain, &command] {
      v1::UpdateTenantRequest request;
      request.set_id(flags->id);
      if (name->count() > 0) request.set_name(flags->name);
      if (domain->count() > 0) request.set_domain(flags->domain);
      for (const auto& [key, value] : flags->settings) (*request.mutable_settings())[key] = value;
      return Write(command, &Service::UpdateTenant, v1::OPERATION_KIND_UPDATE, request, *flags);
    };
  });
}

template <typename Request>
void AddStateChange(CLI::App& group, Command& command, const std::string& verb, const std::string& about,
                    grpc::Status (Service::*method)(grpc::ClientContext*, const Request&, v1::TenantChange*),
                    v1::OperationKind kind) {
  struct Flags : ChangeFlags {
    Request request;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* app = group.add_subcommand(verb, about);
  app->add_option("ID", *flags->request.mutable_id(), "The tenant")->required();
  flags->AddTo(*app);
  app->callback([flags, method, kind, &command] {
    command.run = [flags, method, kind, &command] { return Write(command, method, kind, flags->request, *flags); };
  });
}

void AddDelete(CLI::App& group, Command& command) {
  struct Flags : ChangeFlags {
    std::string id;
    absl::Duration retention = absl::ZeroDuration();
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* app = group.add_subcommand("delete", "Close a tenant now and drop its databases after the retention time");
  app->add_option("ID", flags->id, "The tenant")->required();
  const CLI::Option* retention =
      AddDuration(*app, "--retention", flags->retention, "How long the data is kept; the configured time if not given");
  flags->AddTo(*app);
  app->callback([flags, retention, &command] {
    command.run = [flags, retention, &command] {
      v1::DeleteTenantRequest request;
      request.set_id(flags->id);
      if (retention->count() > 0) *request.mutable_retention() = FromDuration(flags->retention);
      return Write(command, &Service::DeleteTenant, v1::OPERATION_KIND_DELETE, request, *flags);
    };
  });
}

}  // namespace

void AddTenant(CLI::App& app, Command& command) {
  CLI::App* group = AddGroup(app, "tenant", "Tenants and the state of their databases");
  AddCreate(*group, command);
  AddGet(*group, command);
  AddList(*group, command);
  AddUpdate(*group, command);
  AddStateChange(*group, command, "suspend", "Refuse leases and sessions; keep the data", &Service::SuspendTenant,
                 v1::OPERATION_KIND_SUSPEND);
  AddStateChange(*group, command, "resume", "Undo a suspension", &Service::ResumeTenant, v1::OPERATION_KIND_RESUME);
  AddDelete(*group, command);
  AddStateChange(*group, command, "undelete", "Bring a deleted tenant back, until its databases are dropped",
                 &Service::UndeleteTenant, v1::OPERATION_KIND_UNDELETE);
  AddStateChange(*group, command, "retry",
                 "Let services that have failed try again now; if none has, let all look again", &Service::RetryTenant,
                 v1::OPERATION_KIND_RETRY);
  AddClone(*group, command);
  AddTenantWatch(*group, command);
}

}  // namespace leasehold::cli
