#include "services/gateway/api/instance_asker.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <utility>

#include "common/events/instance_subject.h"
#include "common/status/error.h"
#include "services/gateway/api/ask_provisioner.h"

namespace leasehold::gateway {
namespace {

// Two calls at a time of as many services as most have.
constexpr int kThreads = 8;

struct Round {
  std::vector<std::string> services;
  v1::InstanceCall call;
  std::move_only_function<void(InstanceAsker::Answers)> done;
  InstanceAsker::Answers answers;
  std::atomic<size_t> left;
};

}  // namespace

InstanceAsker::InstanceAsker(jetstream::Client& nats, const KnownServices& services)
    : nats_(nats), services_(services), executor_("instances", kThreads) {}

absl::StatusOr<v1::InstanceAnswer> InstanceAsker::Ask(const std::string& service, const v1::InstanceCall& call,
                                                      absl::Duration patience, Whose whose) {
  LH_ASSIGN_OR_RETURN(const ServiceName name, ServiceName::Parse(service));
  LH_RETURN_IF_ERROR(services_.Check(name));
  return AskProvisioner<v1::InstanceAnswer>(
      nats_,
      {.service = name,
       .subject = whose == Whose::kAll ? InstanceSubjectOfAll(name) : InstanceSubject(name),
       .subject_of_all = InstanceSubjectOfAll(name),
       .patience = patience,
       .patience_with_one = patience / 2},
      call);
}

bool InstanceAsker::AskAll(std::vector<std::string> services, v1::InstanceCall call, absl::Duration patience,
                           std::move_only_function<void(Answers)> done, Whose whose) {
  const auto round = std::make_shared<Round>();
  round->services = std::move(services);
  round->call = std::move(call);
  round->done = std::move(done);
  const size_t count = round->services.size();
  round->answers.resize(count, Error(v1::REASON_SHUTTING_DOWN, "the gateway is shutting down"));
  // One more, ours: nothing is done before all are submitted.
  round->left = count + 1;
  const auto ended = [](Round& of) {
    if (--of.left == 0) of.done(std::move(of.answers));
  };
  size_t taken = 0;
  for (size_t i = 0; i < count; ++i) {
    const bool accepted = executor_.Submit([this, round, i, patience, whose, ended] {
      round->answers[i] = Ask(round->services[i], round->call, patience, whose);
      ended(*round);
    });
    if (!accepted) break;
    ++taken;
  }
  if (taken < count) round->left -= count - taken;
  return executor_.Submit([round, ended] { ended(*round); });
}

}  // namespace leasehold::gateway
