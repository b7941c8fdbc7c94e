// leasehold tenant create|get|list|update|suspend|resume|delete|watch
#include <algorithm>
#include <iostream>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/status/error.h"
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

// The end of the work that a change began. Nothing to keep means that dropping overtakes closing: then that is waited
// for.
absl::StatusOr<v1::Operation> AwaitChange(const Command& command, GatewayClient& client, const v1::Operation& begun,
                                          absl::Duration timeout) {
  Progress progress(command.terminal, command.json);
  LH_ASSIGN_OR_RETURN(v1::Operation ended, WaitForOperation(client, begun.id(), timeout, progress));
  if (ended.kind() == v1::OPERATION_KIND_DELETE && ended.state() == v1::OPERATION_STATE_ABORTED) {
    v1::GetOperationRequest next;
    next.set_id(absl::StrCat(ended.tenant(), ".", ended.generation() + 1));
    const absl::StatusOr<v1::Operation> overtaker =
        client.Call(client.operations(), &v1::OperationService::StubInterface::GetOperation, next);
    if (overtaker.ok() && overtaker->kind() == v1::OPERATION_KIND_PURGE) {
      LH_ASSIGN_OR_RETURN(ended, WaitForOperation(client, next.id(), timeout, progress));
    }
  }
  LH_RETURN_IF_ERROR(Verdict(ended));
  return ended;
}

// What every write ends with: wait if asked to, then show the tenant as it is now.
absl::StatusOr<int> FinishChange(const Command& command, GatewayClient& client, v1::TenantChange change,
                                 const WaitFlags& flags) {
  if (flags.wait && !change.operation().id().empty()) {
    LH_ASSIGN_OR_RETURN(*change.mutable_operation(), AwaitChange(command, client, change.operation(), flags.timeout));
    v1::GetTenantRequest request;
    request.set_id(change.tenant().id());
    absl::StatusOr<v1::Tenant> tenant = Get(client, request);
    if (tenant.ok()) {
      *change.mutable_tenant() = *std::move(tenant);
    } else if (change.operation().kind() == v1::OPERATION_KIND_PURGE && !command.json) {
      std::cout << "tenant " << change.tenant().id() << " is gone\n";
      return kDone;
    }
  }
  if (command.json) {
    std::cout << ToJson(change);
    return kDone;
  }
  const v1::Tenant& tenant = change.tenant();
  std::cout << "tenant " << tenant.id() << " is " << Word(tenant.state());
  if (!flags.wait && change.operation().state() == v1::OPERATION_STATE_RUNNING) {
    std::cout << " (operation " << change.operation().id() << ")";
  }
  if (tenant.has_purge_time())
    std::cout << "; its databases are dropped " << Relative(tenant.purge_time(), absl::Now());
  std::cout << '\n';
  return kDone;
}

template <typename Request>
absl::StatusOr<int> Write(const Command& command,
                          grpc::Status (Service::*method)(grpc::ClientContext*, const Request&, v1::TenantChange*),
                          Request request, const WaitFlags& flags) {
  GatewayClient client(command.gateway);
  request.set_request_id(NewRequestId());
  LH_ASSIGN_OR_RETURN(v1::TenantChange change, client.Call(client.tenants(), method, request));
  return FinishChange(command, client, std::move(change), flags);
}

void AddCreate(CLI::App& group, Command& command) {
  struct Flags : WaitFlags {
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
      return Write(command, &Service::CreateTenant, flags->request, *flags);
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

v1::TenantState ParseState(const std::string& word) {
  const v1::TenantState state = TenantStateOf(word);
  if (state == v1::TENANT_STATE_UNSPECIFIED) {
    UsageError(
        absl::StrCat("the state is '", Printable(word), "'; allowed: ", absl::StrJoin(TenantStateWords(), ", ")));
  }
  return state;
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
    for (const auto& word : flags->states) flags->request.add_states(ParseState(word));
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
  struct Flags : WaitFlags {
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
      return Write(command, &Service::UpdateTenant, request, *flags);
    };
  });
}

template <typename Request>
void AddStateChange(CLI::App& group, Command& command, const std::string& verb, const std::string& about,
                    grpc::Status (Service::*method)(grpc::ClientContext*, const Request&, v1::TenantChange*)) {
  struct Flags : WaitFlags {
    Request request;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* app = group.add_subcommand(verb, about);
  app->add_option("ID", *flags->request.mutable_id(), "The tenant")->required();
  flags->AddTo(*app);
  app->callback([flags, method, &command] {
    command.run = [flags, method, &command] { return Write(command, method, flags->request, *flags); };
  });
}

void AddDelete(CLI::App& group, Command& command) {
  struct Flags : WaitFlags {
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
      return Write(command, &Service::DeleteTenant, request, *flags);
    };
  });
}

struct WatchFlags {
  std::string id;
  std::string service;
  std::string until_word;
  v1::TenantState until = v1::TENANT_STATE_UNSPECIFIED;
  absl::Duration timeout = absl::InfiniteDuration();
};

void ShowEvent(const Command& command, const v1::WatchTenantsResponse& event) {
  if (command.json) {
    std::cout << ToJsonLine(event);
  } else if (event.has_tenant()) {
    std::cout << TenantLine(event.tenant(), Now(command));
  } else if (event.has_removed()) {
    std::cout << event.removed() << " was purged\n";
  }
  std::cout.flush();
}

// One stream of a watch, from its beginning to its end.
struct Watched {
  bool reached = false;  // the state that was waited for
  bool purged = false;   // the one tenant that was watched
  bool answered = false;
  grpc::Status end;
};

Watched WatchOnce(const Command& command, GatewayClient& client, const WatchFlags& flags, absl::Time deadline) {
  v1::WatchTenantsRequest request;
  request.set_id(flags.id);
  request.set_service(flags.service);
  grpc::ClientContext context;
  if (deadline != absl::InfiniteFuture()) context.set_deadline(absl::ToChronoTime(deadline));
  const auto stream = client.tenants().WatchTenants(&context, request);
  Watched watched;
  v1::WatchTenantsResponse event;
  while (!watched.reached && stream->Read(&event)) {
    watched.answered = true;
    ShowEvent(command, event);
    watched.reached = flags.until != v1::TENANT_STATE_UNSPECIFIED && event.tenant().state() == flags.until;
    watched.purged = event.has_removed() && event.removed() == flags.id;
  }
  if (watched.reached) context.TryCancel();
  watched.end = stream->Finish();
  return watched;
}

absl::StatusOr<int> Watch(const Command& command, const WatchFlags& flags) {
  constexpr absl::Duration kLookAgain = absl::Milliseconds(250);
  GatewayClient client(command.gateway);
  const bool waits = flags.until != v1::TENANT_STATE_UNSPECIFIED;
  const absl::Time begun = absl::Now();
  const absl::Time deadline = begun + flags.timeout;
  for (bool told = false;;) {
    const Watched watched = WatchOnce(command, client, flags, deadline);
    if (watched.reached) return kDone;
    if (watched.purged) {
      if (!waits) return kDone;
      return absl::NotFoundError(absl::StrCat("tenant ", flags.id, " was purged before it was ", Word(flags.until)));
    }
    if (absl::Now() >= deadline || watched.end.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
      if (!waits) return kDone;
      return absl::DeadlineExceededError(
          absl::StrCat("tenant ", flags.id, " is not ", Word(flags.until), " after ", ShortDuration(flags.timeout)));
    }
    const absl::Status status =
        watched.answered ? client.StreamEnd(watched.end) : client.ToStatus(watched.end, absl::Now() - begun);
    // It may be on its way, announced by an event.
    if (!waits || ReasonOf(status) != v1::REASON_TENANT_NOT_FOUND) {
      LH_RETURN_IF_ERROR(status);
      return absl::UnavailableError("the gateway ended the watch");
    }
    if (!std::exchange(told, true)) std::cerr << "there is no tenant " << flags.id << " yet; waiting for it\n";
    absl::SleepFor(std::min(kLookAgain, deadline - absl::Now()));
  }
}

void AddWatch(CLI::App& group, Command& command) {
  auto flags = std::make_shared<WatchFlags>();
  CLI::App* app = group.add_subcommand("watch", "Show the present state, then each change as it happens, until Ctrl-C");
  app->add_option("ID", flags->id, "Only this tenant, until it is purged");
  app->add_option("--service", flags->service, "Only changes that concern this service");
  app->add_option("--until", flags->until_word, "End when the tenant is in this state; it need not exist yet")
      ->type_name("STATE");
  AddDuration(*app, "--timeout", flags->timeout, "End after this long; with --until that is a failure");
  app->callback([flags, &command] {
    if (!flags->until_word.empty()) {
      flags->until = ParseState(flags->until_word);
      if (flags->id.empty()) UsageError("--until needs a tenant's ID");
    }
    command.run = [flags, &command] { return Watch(command, *flags); };
  });
}

}  // namespace

void AddTenant(CLI::App& app, Command& command) {
  CLI::App* group = AddGroup(app, "tenant", "Tenants and the state of their databases");
  AddCreate(*group, command);
  AddGet(*group, command);
  AddList(*group, command);
  AddUpdate(*group, command);
  AddStateChange(*group, command, "suspend", "Refuse leases and sessions; keep the data", &Service::SuspendTenant);
  AddStateChange(*group, command, "resume", "Undo a suspension", &Service::ResumeTenant);
  AddDelete(*group, command);
  AddWatch(*group, command);
}

}  // namespace leasehold::cli
