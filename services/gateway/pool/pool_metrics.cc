// FamiliesOf: reports as Prometheus has them.
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "services/gateway/pool/report.h"

namespace leasehold::gateway {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

// One family of series after the other.
class Writer {
 public:
  Writer(std::string_view prefix, std::vector<MetricFamily>& out) : prefix_(prefix), out_(out) {}

  void Begin(std::string_view name, std::string_view help, MetricType type) {
    out_.push_back({.name = prefix_ + std::string(name), .help = std::string(help), .type = type, .metric = {}});
  }
  void Gauge(Labels labels, double value) { Add(std::move(labels)).gauge.value = value; }
  void Counter(Labels labels, uint64_t value) { Add(std::move(labels)).counter.value = static_cast<double>(value); }
  void Histogram(Labels labels, const DurationHistogram& from) {
    ClientMetric::Histogram& to = Add(std::move(labels)).histogram;
    to.sample_count = from.count();
    to.sample_sum = absl::ToDoubleSeconds(from.total());
    uint64_t so_far = 0;
    for (size_t i = 0; i < DurationHistogram::kEnds.size(); ++i) {
      so_far += from.counts()[i];
      to.bucket.push_back(
          {.cumulative_count = so_far, .upper_bound = static_cast<double>(DurationHistogram::kEnds[i]) / 1e9});
    }
    to.bucket.push_back({.cumulative_count = to.sample_count, .upper_bound = std::numeric_limits<double>::infinity()});
  }

 private:
  ClientMetric& Add(Labels labels) {
    ClientMetric& metric = out_.back().metric.emplace_back();
    metric.label = std::move(labels);
    return metric;
  }

  const std::string prefix_;
  std::vector<MetricFamily>& out_;
};

Labels With(Labels labels, std::string name, std::string value) {
  labels.push_back({.name = std::move(name), .value = std::move(value)});
  return labels;
}

// What pools and tenants have alike; T is a PoolReport or one of its tenants.
template <typename T>
void WriteCommon(Writer& writer, const std::vector<std::pair<Labels, const T*>>& of) {
  const auto gauge = [&](std::string_view name, std::string_view help, int T::* member) {
    writer.Begin(name, help, MetricType::Gauge);
    for (const auto& [labels, one] : of) writer.Gauge(labels, one->*member);
  };
  const auto counter = [&](std::string_view name, std::string_view help, uint64_t Tally::* member) {
    writer.Begin(name, help, MetricType::Counter);
    for (const auto& [labels, one] : of) writer.Counter(labels, one->tally.*member);
  };
  gauge("clients", "SQL clients that are logged in.", &T::clients);
  gauge("server_connections", "Server connections, with those opening and closing.", &T::servers);
  gauge("server_connections_working", "Server connections that run a statement.", &T::working);
  gauge("server_connections_idle", "Server connections that wait for a client.", &T::idle);
  gauge("server_connection_waiting", "Clients that wait for a server.", &T::waiting);
  counter("pool_hits_total", "Transactions that found a server idle.", &Tally::hits);
  counter("pool_waits_total", "Transactions that waited for a server.", &Tally::waits);
  counter("pool_evictions_total", "Servers closed to make room for another database.", &Tally::evictions);
  writer.Begin("bytes_total", "Bytes from clients (in) and to clients (out).", MetricType::Counter);
  for (const auto& [labels, one] : of) {
    writer.Counter(With(labels, "direction", "in"), one->tally.bytes_in);
    writer.Counter(With(labels, "direction", "out"), one->tally.bytes_out);
  }
  writer.Begin("query_seconds",
               "Of statements and batches: from the first message, with the wait for a server, to the end.",
               MetricType::Histogram);
  for (const auto& [labels, one] : of) writer.Histogram(labels, one->tally.queries);
}

}  // namespace

std::vector<MetricFamily> FamiliesOf(std::span<const PoolReport> reports) {
  std::vector<std::pair<Labels, const PoolReport*>> pools;
  std::vector<std::pair<Labels, const PoolReport::Tenant*>> tenants;
  for (const PoolReport& report : reports) {
    const Labels service = {{.name = "service", .value = report.service}};
    pools.emplace_back(service, &report);
    for (const PoolReport::Tenant& tenant : report.tenants) {
      // No tenant's id has parentheses.
      tenants.emplace_back(With(service, "tenant", tenant.tenant.empty() ? "(central)" : tenant.tenant), &tenant);
    }
  }
  std::vector<MetricFamily> families;
  Writer of_pools("leasehold_sql_", families);
  WriteCommon(of_pools, pools);
  of_pools.Begin("server_connections_max", "The cap of server connections: max_connections.", MetricType::Gauge);
  for (const auto& [labels, pool] : pools) of_pools.Gauge(labels, pool->cap);
  of_pools.Begin("server_connections_room", "Of the cap, what the instance had room for when it last refused more.",
                 MetricType::Gauge);
  for (const auto& [labels, pool] : pools) of_pools.Gauge(labels, pool->room);
  of_pools.Begin("instance_up", "1: the instance answers, 0: it does not. None before anything was heard of it.",
                 MetricType::Gauge);
  for (const auto& [labels, pool] : pools) {
    if (pool->up) of_pools.Gauge(labels, *pool->up ? 1 : 0);
  }
  of_pools.Begin("server_dials_total", "Server connections begun, those that failed among them.", MetricType::Counter);
  for (const auto& [labels, pool] : pools) of_pools.Counter(labels, pool->dials);
  of_pools.Begin("transaction_seconds", "From a transaction's first message, with its wait for a server, to its end.",
                 MetricType::Histogram);
  for (const auto& [labels, pool] : pools) of_pools.Histogram(labels, pool->transactions);
  Writer of_tenants("leasehold_sql_tenant_", families);
  WriteCommon(of_tenants, tenants);
  return families;
}

}  // namespace leasehold::gateway
