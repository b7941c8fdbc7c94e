#include "services/gateway/registry/pull_loop.h"

#include <memory>
#include <utility>
#include <vector>

#include "common/clock/clock.h"

namespace leasehold::gateway {
namespace {

constexpr int kBatch = 64;
// How long Stop() may take, too.
constexpr absl::Duration kFetchWait = absl::Milliseconds(500);
constexpr absl::Duration kMinBackoff = absl::Milliseconds(250);
constexpr absl::Duration kMaxBackoff = absl::Seconds(5);

}  // namespace

PullLoop::PullLoop(jetstream::Client& nats, jetstream::ConsumerOptions consumer, Handler handler)
    : nats_(nats), options_(std::move(consumer)), handler_(std::move(handler)), thread_([this] { Run(); }) {}

PullLoop::~PullLoop() {
  pulse_.Stop();
  thread_.join();
}

void PullLoop::Run() {
  Backoff backoff(kMinBackoff, kMaxBackoff);
  std::unique_ptr<jetstream::PullConsumer> consumer;
  int failures = 0;
  while (!pulse_.stopped()) {
    absl::Status status;
    if (!consumer) {
      auto subscribed = nats_.Subscribe(options_);
      status = subscribed.status();
      if (subscribed.ok()) consumer = *std::move(subscribed);
    }
    if (consumer) {
      auto batch = consumer->Fetch(kBatch, kFetchWait);
      status = batch.status();
      if (batch.ok()) {
        for (const std::unique_ptr<jetstream::Message>& message : *batch) {
          if (const absl::Status handled = handler_(*message); !handled.ok()) status = handled;
        }
      }
    }
    failures = status.ok() ? 0 : failures + 1;
    if (failures > 0) pulse_.Wait(backoff.Wait(failures));
  }
}

}  // namespace leasehold::gateway
