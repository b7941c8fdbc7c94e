// What a pool tells of itself, as of a moment: for `leasehold pools` and for /metrics.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "prometheus/metric_family.h"
#include "services/gateway/pool/line.h"

namespace leasehold::gateway {

// Of which tenants a report tells, always in the order of their ids.
struct ReportScope {
  // The busiest so many: by how often they asked for servers lately, who waits and what is at work.
  size_t most_tenants = std::numeric_limits<size_t>::max();
  // Those too that have neither clients nor servers now.
  bool absent = false;
};

struct PoolReport {
  struct Tenant {
    std::string tenant;  // empty: the central database
    int clients = 0;
    int limit = 0;    // servers at most
    int servers = 0;  // … that it has, with those being dialled
    int idle = 0;
    int dialling = 0;
    int working = 0;
    int waiting = 0;
    Tally tally = {};
  };
  std::string service;
  int clients = 0;
  int cap = 0;
  int room = 0;     // of the cap, what the instance has room for
  int servers = 0;  // with those being dialled and those being closed
  int idle = 0;
  int dialling = 0;
  int closing = 0;
  int working = 0;  // those that run a statement: neither idle nor idle in a transaction
  std::optional<int> working_bound = std::nullopt;  // at so many, tenants with more than their share wait
  int waiting = 0;
  std::optional<bool> up = std::nullopt;  // whether the instance answers; nullopt: nothing has been heard of it
  uint64_t dials = 0;
  Tally tally = {};  // of all tenants, those left out among them
  DurationHistogram transactions = {};
  std::vector<Tenant> tenants = {};
};

// As series: leasehold_sql_… by service, leasehold_sql_tenant_… by service and tenant (docs/metrics.md).
std::vector<prometheus::MetricFamily> FamiliesOf(std::span<const PoolReport> reports);

}  // namespace leasehold::gateway
