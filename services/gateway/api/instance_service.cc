#include "services/gateway/api/instance_service.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "common/identity/identity.h"
#include "common/status/error.h"
#include "services/gateway/api/unary.h"

namespace leasehold::gateway {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(10);

}  // namespace

absl::StatusOr<std::vector<std::string>> InstanceService::Asked(const std::string& service) const {
  if (service.empty()) {
    std::vector<std::string> names = services_.names();
    std::ranges::sort(names);
    return names;
  }
  LH_ASSIGN_OR_RETURN(const ServiceName name, ServiceName::Parse(service));
  LH_RETURN_IF_ERROR(services_.Check(name));
  return std::vector<std::string>{name.str()};
}

grpc::ServerUnaryReactor* InstanceService::ListInstances(grpc::CallbackServerContext* context,
                                                         const v1::ListInstancesRequest* request,
                                                         v1::ListInstancesResponse* response) {
  const absl::StatusOr<std::vector<std::string>> asked = Asked(request->service());
  if (!asked.ok()) return AnswerNow(context, asked.status());
  v1::InstanceCall call;
  *call.mutable_instance() = *request;
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  const bool accepted =
      asker_.AskAll(*asked, std::move(call), kPatience, [reactor, response, asked](InstanceAsker::Answers answers) {
        for (size_t i = 0; i < answers.size(); ++i) {
          const absl::Status& status = answers[i].status();
          // What is wrong with the request is wrong with it everywhere.
          if (ReasonOf(status) == v1::REASON_INVALID_FIELD) return reactor->Finish(ToGrpc(status));
          v1::Instance& instance = *response->add_instances();
          if (status.ok()) {
            instance = std::move(*answers[i]->mutable_instance());
          } else {
            instance.set_service((*asked)[i]);
            instance.set_trouble(std::string(ClientText(status)));
          }
        }
        reactor->Finish(grpc::Status::OK);
      });
  if (!accepted) RefuseForNow(reactor);
  return reactor;
}

}  // namespace leasehold::gateway
