#include "services/gateway/api/status_service.h"

#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "common/config/config.h"
#include "common/status/error.h"
#include "common/status/grpc.h"
#include "common/telemetry/log.h"
#include "common/version/version.h"
#include "services/gateway/api/diagnosis.h"
#include "services/gateway/api/problems.h"
#include "services/gateway/api/unary.h"
#include "services/gateway/registry/store.h"

namespace leasehold::gateway {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(2);

v1::Component ToProto(const std::string& name, const Health::Component& from) {
  v1::Component to;
  to.set_name(name);
  to.set_state(!from.known        ? v1::COMPONENT_STATE_UNKNOWN
               : from.status.ok() ? v1::COMPONENT_STATE_OK
                                  : v1::COMPONENT_STATE_FAILING);
  to.set_required(from.required);
  *to.mutable_since_time() = FromTime(from.since);
  if (from.latency) *to.mutable_latency() = FromDuration(*from.latency);
  if (from.last_error.empty()) return to;
  to.set_last_error(from.last_error);
  *to.mutable_last_error_time() = FromTime(from.last_error_time);
  return to;
}

}  // namespace

StatusService::StatusService(Parts parts, std::string name, absl::Duration resync_interval)
    : parts_(std::move(parts)),
      name_(std::move(name)),
      resync_interval_(resync_interval),
      start_time_(parts_.clock.Now()) {}

absl::Status StatusService::ReadRegistry(v1::GetStatusResponse& to) {
  Store& store = parts_.registry.store();
  LH_ASSIGN_OR_RETURN(v1::GetStatusResponse overview, store.Overview());
  LH_ASSIGN_OR_RETURN(v1::DiagnoseResponse diagnosis, store.Diagnose("", "", kDiagnosisPatience));
  Judge(diagnosis, parts_.clock.Now(), resync_interval_);
  // Both are in the order of names.
  for (int i = 0; i < overview.services_size(); ++i) {
    *overview.mutable_services(i)->mutable_health() = std::move(*diagnosis.mutable_services(i));
  }
  to = std::move(overview);
  return absl::OkStatus();
}

void StatusService::TellOfGateway(v1::GetStatusResponse& to) {
  v1::GatewayStatus& gateway = *to.mutable_gateway();
  gateway.set_name(name_);
  gateway.set_version(std::string(Version()));
  gateway.set_commit(std::string(Commit()));
  *gateway.mutable_start_time() = FromTime(start_time_);
  gateway.set_sessions(parts_.sessions());
  gateway.set_leases(parts_.leases());
  std::map<std::string, Health::Component> components = parts_.health.Look();
  gateway.set_ready(parts_.health.Ready());
  for (v1::ServiceOverview& service : *to.mutable_services()) {
    const std::string name = InstanceComponent(service.service());
    *service.mutable_instance() = ToProto(name, components[name]);
    components.erase(name);
  }
  for (const auto& [name, component] : components) *gateway.add_components() = ToProto(name, component);
}

void StatusService::Complete(InstanceAsker::Answers answers, v1::GetStatusResponse& to) {
  for (size_t i = 0; i < answers.size(); ++i) {
    if (!answers[i].ok()) continue;
    *to.mutable_services(static_cast<int>(i))->mutable_provisioner() = std::move(*answers[i]->mutable_status());
  }
  *to.mutable_time() = FromTime(parts_.clock.Now());
  TellOfGateway(to);
  FindProblems(to);
}

// Ends when provisioners have answered, or not in time, and instances have. One that stands still would else be well
// for as long as nobody has reason to ask it.
struct StatusService::Round {
  Round(StatusService& its, grpc::ServerUnaryReactor* to, v1::GetStatusResponse* answer)
      : service(its), reactor(to), response(answer) {}
  ~Round() {
    if (!answers.has_value()) {
      RefuseForNow(reactor);
    } else {
      service.Complete(*std::move(answers), *response);
      reactor->Finish(grpc::Status::OK);
    }
  }
  Round(const Round&) = delete;
  Round& operator=(const Round&) = delete;

  StatusService& service;
  grpc::ServerUnaryReactor* const reactor;
  v1::GetStatusResponse* const response;
  std::optional<InstanceAsker::Answers> answers;  // none: nobody was asked
};

grpc::ServerUnaryReactor* StatusService::GetStatus(grpc::CallbackServerContext* context,
                                                   const v1::GetStatusRequest* request,
                                                   v1::GetStatusResponse* response) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  const bool accepted = parts_.registry.executor().Submit([this, reactor, request, response] {
    const std::vector<std::string>& names = parts_.registry.services();
    if (const absl::Status read = ReadRegistry(*response); !read.ok()) {
      // It is among the problems as the health of a component.
      Log(Level::kDebug, "status without the registry", {{"error", ClientText(read)}});
      response->Clear();
      for (const std::string& name : names) response->add_services()->set_service(name);
    }
    v1::InstanceCall call;
    call.mutable_status()->set_count_outdated_secrets(request->count_outdated_secrets());
    const auto round = std::make_shared<Round>(*this, reactor, response);
    const bool asked = parts_.asker.AskAll(names, std::move(call), kPatience, [round](InstanceAsker::Answers answers) {
      round->answers = std::move(answers);
    });
    if (asked) parts_.ask_instances([round] {});
  });
  if (!accepted) RefuseForNow(reactor);
  return reactor;
}

}  // namespace leasehold::gateway
