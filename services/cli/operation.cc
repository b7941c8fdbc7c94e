// leasehold operation show|list|watch|cancel; get and wait are older words for show and watch
#include <iostream>
#include <memory>

#include "common/status/error.h"
#include "services/cli/json.h"
#include "services/cli/show.h"
#include "services/cli/verbs.h"
#include "services/cli/waiting.h"

namespace leasehold::cli {
namespace {

using Service = v1::OperationService::StubInterface;

void Print(const Command& command, const v1::Operation& operation) {
  std::cout << (command.json ? ToJson(operation) : ShowOperation(operation, {command.terminal, absl::Now()}));
}

void AddGet(CLI::App& group, Command& command) {
  auto request = std::make_shared<v1::GetOperationRequest>();
  CLI::App* app = group.add_subcommand("show", "Show an operation and how far each service is");
  app->alias("get");
  app->add_option("ID", *request->mutable_id(), "<tenant>.<generation>, e.g. acme.3")->required();
  app->callback([request, &command] {
    command.run = [request, &command]() -> absl::StatusOr<int> {
      GatewayClient client(command.gateway);
      LH_ASSIGN_OR_RETURN(const v1::Operation operation,
                          client.Call(client.operations(), &Service::GetOperation, *request));
      Print(command, operation);
      return kDone;
    };
  });
}

void AddList(CLI::App& group, Command& command) {
  struct Flags {
    v1::ListOperationsRequest request;
    int limit = 100;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* app = group.add_subcommand("list", "List operations, newest first");
  app->add_option("--tenant", *flags->request.mutable_tenant(), "Only those of this tenant");
  AddCount(*app, "--limit", flags->limit, "At most so many (default 100); 0 means all");
  app->callback([flags, &command] {
    command.run = [flags, &command]() -> absl::StatusOr<int> {
      GatewayClient client(command.gateway);
      v1::ListOperationsResponse all;
      do {
        const int wanted = flags->limit == 0 ? 1000 : std::min(1000, flags->limit - all.operations_size());
        flags->request.set_page_size(wanted);
        LH_ASSIGN_OR_RETURN(v1::ListOperationsResponse page,
                            client.Call(client.operations(), &Service::ListOperations, flags->request));
        flags->request.set_page_token(page.next_page_token());
        all.mutable_operations()->MergeFrom(page.operations());
      } while (!flags->request.page_token().empty() && (flags->limit == 0 || all.operations_size() < flags->limit));
      std::cout << (command.json ? ToJson(all) : ShowOperations(all.operations(), {command.terminal, absl::Now()}));
      return kDone;
    };
  });
}

void AddWait(CLI::App& group, Command& command) {
  struct Flags : WaitFlags {
    std::string id;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* app = group.add_subcommand("watch", "Follow an operation to its end");
  app->alias("wait");
  app->add_option("ID", flags->id, "<tenant>.<generation>, e.g. acme.3")->required();
  flags->AddTimeoutTo(*app);
  app->callback([flags, &command] {
    command.run = [flags, &command]() -> absl::StatusOr<int> {
      GatewayClient client(command.gateway);
      Progress progress(command.terminal, command.json);
      LH_ASSIGN_OR_RETURN(const v1::Operation operation, WaitForOperation(client, flags->id, flags->timeout, progress));
      LH_RETURN_IF_ERROR(Verdict(operation));
      Print(command, operation);
      return kDone;
    };
  });
}

void AddCancel(CLI::App& group, Command& command) {
  auto request = std::make_shared<v1::CancelOperationRequest>();
  CLI::App* app =
      group.add_subcommand("cancel", "End a backup, clone or restore that runs, and remove what it has made");
  app->add_option("ID", *request->mutable_id(), "<tenant>.<generation>, e.g. acme.3")->required();
  app->callback([request, &command] {
    command.run = [request, &command]() -> absl::StatusOr<int> {
      GatewayClient client(command.gateway);
      request->set_request_id(NewRequestId());
      LH_ASSIGN_OR_RETURN(const v1::Operation operation,
                          client.Call(client.operations(), &Service::CancelOperation, *request));
      Print(command, operation);
      return kDone;
    };
  });
}

}  // namespace

void AddOperation(CLI::App& app, Command& command) {
  CLI::App* group = AddGroup(app, "operation", "Work that outlives the call that started it");
  AddGet(*group, command);
  AddList(*group, command);
  AddWait(*group, command);
  AddCancel(*group, command);
}

}  // namespace leasehold::cli
