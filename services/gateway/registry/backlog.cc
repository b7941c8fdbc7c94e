#include "services/gateway/registry/backlog.h"

#include <format>
#include <utility>

#include "common/events/tenant_consumer.h"
#include "services/gateway/registry/disposal.h"

namespace leasehold::gateway {

Backlog::Backlog(jetstream::Client& nats, const std::vector<std::string>& services, absl::Duration interval,
                 Metrics& metrics)
    : nats_(nats), interval_(interval), source_(metrics.AddSource([this] { return Families(); })) {
  for (const char* stream : {"TENANTS", "PROVISIONING"}) consumers_.push_back({stream, std::string(kIntakeName)});
  for (const std::string& service : services) {
    const jetstream::ConsumerOptions consumer = events::TenantConsumer(service);
    consumers_.push_back({consumer.stream, consumer.durable, service});
  }
  thread_ = std::thread([this] { Run(); });
}

Backlog::~Backlog() {
  pulse_.Stop();
  thread_.join();
}

void Backlog::Run() {
  do {
    std::vector<std::pair<Consumer, uint64_t>> pending;
    for (const Consumer& consumer : consumers_) {
      if (pulse_.stopped()) return;
      absl::StatusOr<uint64_t> number = nats_.Pending(consumer.stream, consumer.durable);
      if (absl::IsNotFound(number.status()) && !consumer.service.empty()) {
        Make(consumer);
        number = nats_.Pending(consumer.stream, consumer.durable);
      }
      if (number.ok()) pending.emplace_back(consumer, *number);
    }
    const absl::MutexLock lock(&mu_);
    pending_ = std::move(pending);
  } while (pulse_.Wait(interval_));
}

void Backlog::Make(const Consumer& consumer) {
  // If it cannot be made now, for want of its stream say, it is at the next look.
  (void)nats_.Subscribe(events::TenantConsumer(consumer.service));
}

std::vector<prometheus::MetricFamily> Backlog::Families() const {
  prometheus::MetricFamily family{.name = "leasehold_events_pending",
                                  .help = "Events that the stream holds and the consumer has not acknowledged",
                                  .type = prometheus::MetricType::Gauge,
                                  .metric = {}};
  const absl::MutexLock lock(&mu_);
  for (const auto& [consumer, number] : pending_) {
    prometheus::ClientMetric& metric = family.metric.emplace_back();
    metric.label = {{.name = "stream", .value = consumer.stream}, {.name = "consumer", .value = consumer.durable}};
    metric.gauge.value = static_cast<double>(number);
  }
  return {std::move(family)};
}

}  // namespace leasehold::gateway
