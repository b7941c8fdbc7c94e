// leasehold lease acquire|renew|switch|release|revoke|list|show (hold: lease_hold.cc)
#include <iostream>
#include <memory>

#include "common/status/error.h"
#include "services/cli/acquire_flags.h"
#include "services/cli/gateway_client.h"
#include "services/cli/json.h"
#include "services/cli/show.h"
#include "services/cli/verbs.h"

namespace leasehold::cli {
namespace {

using Service = v1::LeaseService::StubInterface;

View Now(const Command& command) { return {command.terminal, absl::Now()}; }

// One call that answers with a lease, which is shown.
template <typename Request>
absl::StatusOr<int> CallAndShow(const Command& command,
                                grpc::Status (Service::*method)(grpc::ClientContext*, const Request&, v1::Lease*),
                                const Request& request) {
  GatewayClient client(command.gateway);
  LH_ASSIGN_OR_RETURN(const v1::Lease lease, client.Call(client.leases(), method, request));
  std::cout << (command.json ? ToJson(lease) : ShowLease(lease, Now(command)));
  return kDone;
}

void AddAcquire(CLI::App& group, Command& command) {
  struct Flags : AcquireFlags {
    bool dsn = false;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* app = group.add_subcommand("acquire", "Take a lease and show how to connect with it");
  flags->AddTo(*app);
  app->add_flag("--dsn", flags->dsn, "Print the DSN alone");
  app->callback([flags, &command] {
    flags->Check();
    if (flags->dsn && command.json) UsageError("give one of --dsn and --json");
    command.run = [flags, &command]() -> absl::StatusOr<int> {
      GatewayClient client(command.gateway);
      LH_ASSIGN_OR_RETURN(
          const v1::AcquireLeaseResponse response,
          client.Call(client.leases(), &Service::AcquireLease, flags->Request(ThisUser()), flags->Patience()));
      if (flags->dsn) {
        std::cout << response.credentials().dsn() << '\n';
      } else {
        std::cout << (command.json ? ToJson(response) : ShowAcquired(response, Now(command)));
      }
      return kDone;
    };
  });
}

void AddRenew(CLI::App& group, Command& command) {
  struct Flags {
    v1::RenewLeaseRequest request;
    absl::Duration ttl = absl::InfiniteDuration();  // not given
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* app = group.add_subcommand("renew", "Move a lease's expiry to now + ttl");
  app->add_option("LEASE", *flags->request.mutable_id(), "The lease's id")->required();
  AddDuration(*app, "--ttl", flags->ttl, "How long from now; the configured time if not given");
  app->callback([flags, &command] {
    command.run = [flags, &command] {
      flags->request.set_request_id(NewRequestId());
      if (flags->ttl != absl::InfiniteDuration()) *flags->request.mutable_ttl() = FromDuration(flags->ttl);
      return CallAndShow(command, &Service::RenewLease, flags->request);
    };
  });
}

void AddSwitch(CLI::App& group, Command& command) {
  auto request = std::make_shared<v1::SwitchLeaseRequest>();
  CLI::App* app = group.add_subcommand("switch", "Let new sessions of a lease start in another tenant");
  app->add_option("LEASE", *request->mutable_id(), "The lease's id")->required();
  app->add_option("TENANT", *request->mutable_tenant(), "The tenant; without it back to where the lease began");
  app->callback([request, &command] {
    command.run = [request, &command] {
      request->set_request_id(NewRequestId());
      return CallAndShow(command, &Service::SwitchLease, *request);
    };
  });
}

void AddRelease(CLI::App& group, Command& command) {
  auto request = std::make_shared<v1::ReleaseLeaseRequest>();
  CLI::App* app = group.add_subcommand("release", "Give a lease back; its sessions end");
  app->add_option("LEASE", *request->mutable_id(), "The lease's id")->required();
  app->callback([request, &command] {
    command.run = [request, &command] {
      request->set_request_id(NewRequestId());
      return CallAndShow(command, &Service::ReleaseLease, *request);
    };
  });
}

void AddRevoke(CLI::App& group, Command& command) {
  auto request = std::make_shared<v1::RevokeLeasesRequest>();
  CLI::App* app = group.add_subcommand("revoke", "End every lease that matches all that is given");
  app->add_option("LEASE", *request->mutable_id(), "A lease's id");
  app->add_option("--tenant", *request->mutable_tenant(), "Leases of this tenant");
  app->add_option("--service", *request->mutable_service(), "Leases of this service");
  app->add_option("--holder", *request->mutable_holder(), "Leases of this holder");
  app->callback([request, &command] {
    if (request->id().empty() && request->tenant().empty() && request->service().empty() && request->holder().empty()) {
      UsageError("give LEASE, --tenant, --service or --holder");
    }
    command.run = [request, &command]() -> absl::StatusOr<int> {
      GatewayClient client(command.gateway);
      request->set_request_id(NewRequestId());
      LH_ASSIGN_OR_RETURN(const v1::RevokeLeasesResponse response,
                          client.Call(client.leases(), &Service::RevokeLeases, *request));
      if (command.json) {
        std::cout << ToJson(response);
      } else if (response.revoked() == 0) {
        std::cout << "nothing matched: no lease that this gateway knows of was revoked\n";
      } else {
        std::cout << response.revoked() << (response.revoked() == 1 ? " lease" : " leases") << " revoked\n";
      }
      return kDone;
    };
  });
}

void AddList(CLI::App& group, Command& command) {
  auto request = std::make_shared<v1::ListLeasesRequest>();
  CLI::App* app = group.add_subcommand("list", "List the leases that have not ended");
  app->add_option("--tenant", *request->mutable_tenant(), "Only those of this tenant");
  app->add_option("--service", *request->mutable_service(), "Only those of this service");
  app->add_option("--holder", *request->mutable_holder(), "Only those of this holder");
  app->callback([request, &command] {
    command.run = [request, &command]() -> absl::StatusOr<int> {
      GatewayClient client(command.gateway);
      request->set_page_size(1000);
      v1::ListLeasesResponse all;
      do {
        LH_ASSIGN_OR_RETURN(v1::ListLeasesResponse page, client.Call(client.leases(), &Service::ListLeases, *request));
        request->set_page_token(page.next_page_token());
        all.mutable_leases()->MergeFrom(page.leases());
      } while (!request->page_token().empty());
      std::cout << (command.json ? ToJson(all) : ShowLeases(all.leases(), Now(command)));
      return kDone;
    };
  });
}

void AddShow(CLI::App& group, Command& command) {
  auto request = std::make_shared<v1::GetLeaseRequest>();
  CLI::App* app = group.add_subcommand("show", "Show a lease");
  app->add_option("LEASE", *request->mutable_id(), "The lease's id")->required();
  app->callback([request, &command] {
    command.run = [request, &command] { return CallAndShow(command, &Service::GetLease, *request); };
  });
}

}  // namespace

void AddLease(CLI::App& app, Command& command) {
  CLI::App* group = AddGroup(app, "lease", "The right to use a database for a while");
  AddAcquire(*group, command);
  AddLeaseHold(*group, command);
  AddRenew(*group, command);
  AddSwitch(*group, command);
  AddRelease(*group, command);
  AddRevoke(*group, command);
  AddList(*group, command);
  AddShow(*group, command);
}

}  // namespace leasehold::cli
