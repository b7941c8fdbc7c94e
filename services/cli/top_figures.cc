#include "services/cli/top_figures.h"

#include <algorithm>
#include <array>
#include <map>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/config/config.h"
#include "services/cli/relative_time.h"

namespace leasehold::cli {
namespace {

constexpr std::array<std::string_view, kTopSorts> kWords = {"waiting",   "sessions", "queries",
                                                            "evictions", "slowest",  "tenant"};

using Key = std::pair<std::string, std::string>;  // service, tenant

std::optional<double> RateOf(int64_t before, int64_t now, absl::Duration elapsed) {
  if (now < before || elapsed <= absl::ZeroDuration()) return std::nullopt;
  return static_cast<double>(now - before) / absl::ToDoubleSeconds(elapsed);
}

// Of a pool or a tenant's part of one.
template <typename T>
TopLoad LoadOf(const T* before, const T& now, absl::Duration elapsed) {
  TopLoad load{.sessions = now.clients(),
               .waiting = now.waiting(),
               .servers = now.servers(),
               .most_servers = now.max_connections(),
               .working = now.working()};
  if (before == nullptr) {
    load.p99 = QuantileOf(now.queries(), 0.99);
    return load;
  }
  load.queries = RateOf(before->queries().count(), now.queries().count(), elapsed);
  load.waits = RateOf(before->waits(), now.waits(), elapsed);
  load.evictions = RateOf(before->evictions(), now.evictions(), elapsed);
  load.p99 = QuantileOf(Between(before->queries(), now.queries()), 0.99);
  return load;
}

// A tenant that was in no pool before has begun with nothing.
std::map<Key, const v1::PoolTenant*> TenantsOf(const TopSample& sample) {
  std::map<Key, const v1::PoolTenant*> tenants;
  for (const v1::Pool& pool : sample.pools.pools()) {
    for (const v1::PoolTenant& tenant : pool.tenants()) tenants.emplace(Key{pool.service(), tenant.tenant()}, &tenant);
  }
  return tenants;
}

void AddRows(const TopSample* before, const TopSample& now, absl::Duration elapsed, TopFigures& to) {
  std::map<Key, v1::ServiceState> unready;
  for (const v1::UnreadyTenant& tenant : now.status.unready()) {
    unready.emplace(Key{tenant.service(), tenant.tenant()}, tenant.state());
  }
  const auto earlier = before == nullptr ? std::map<Key, const v1::PoolTenant*>() : TenantsOf(*before);
  static const v1::PoolTenant kNothing;
  for (const auto& [key, tenant] : TenantsOf(now)) {
    const auto was = earlier.find(key);
    const v1::PoolTenant* const then = was != earlier.end() ? was->second : before != nullptr ? &kNothing : nullptr;
    TopRow& row = to.rows.emplace_back();
    row.service = key.first;
    row.tenant = key.second.empty() ? "(central)" : key.second;
    row.load = LoadOf(then, *tenant, elapsed);
    if (const auto state = unready.extract(key)) row.state = state.mapped();
  }
  for (const auto& [key, state] : unready) {
    to.rows.push_back({.tenant = key.second, .service = key.first, .state = state});
  }
}

void AddServices(const TopSample* before, const TopSample& now, absl::Duration elapsed, TopFigures& to) {
  std::map<std::string, const v1::Pool*> earlier;
  if (before != nullptr) {
    for (const v1::Pool& pool : before->pools.pools()) earlier[pool.service()] = &pool;
  }
  for (const v1::ServiceOverview& overview : now.status.services()) {
    TopService& service = to.services.emplace_back();
    service.service = overview.service();
    service.instance_well = overview.instance().state() != v1::COMPONENT_STATE_FAILING;
    service.provisioner_answers = overview.has_provisioner();
    for (const v1::ServiceTenants& tenants : overview.tenants()) {
      if (tenants.state() == v1::SERVICE_STATE_READY) service.ready = tenants.count();
      if (tenants.state() == v1::SERVICE_STATE_PENDING) service.pending = tenants.count();
      if (tenants.state() == v1::SERVICE_STATE_FAILED) service.failed = tenants.count();
    }
    for (const v1::Pool& pool : now.pools.pools()) {
      if (pool.service() != overview.service()) continue;
      const auto was = earlier.find(pool.service());
      service.load = LoadOf(was == earlier.end() ? nullptr : was->second, pool, elapsed);
    }
  }
}

void AddErrors(const TopSample& now, TopFigures& to) {
  for (const v1::Problem& problem : now.status.problems()) {
    to.errors.push_back(absl::StrCat(problem.subject(), ": ", problem.message()));
  }
  for (const v1::UnreadyTenant& tenant : now.status.unready()) {
    if (tenant.state() != v1::SERVICE_STATE_FAILED) continue;
    to.errors.push_back(absl::StrCat(tenant.tenant(), " in ", tenant.service(), ", ",
                                     Relative(tenant.since_time(), now.time), ": ", tenant.message()));
  }
}

}  // namespace

TopFigures FiguresOf(const TopSample* before, const TopSample& now) {
  const absl::Duration elapsed = before == nullptr ? absl::ZeroDuration() : now.time - before->time;
  TopFigures figures{.time = now.time,
                     .gateway = now.status.gateway(),
                     .tenants = {now.status.tenants().begin(), now.status.tenants().end()},
                     .operations_running = now.status.operations_running()};
  AddServices(before, now, elapsed, figures);
  AddRows(before, now, elapsed, figures);
  AddErrors(now, figures);
  return figures;
}

std::string_view WordOf(TopSort sort) { return kWords[static_cast<size_t>(sort)]; }

std::optional<TopSort> TopSortOf(std::string_view word) {
  const auto* const found = std::ranges::find(kWords, word);
  if (found == kWords.end()) return std::nullopt;
  return static_cast<TopSort>(found - kWords.begin());
}

std::vector<TopRow> Arranged(std::vector<TopRow> rows, TopSort sort, std::string_view filter) {
  std::erase_if(rows,
                [filter](const TopRow& row) { return !row.tenant.contains(filter) && !row.service.contains(filter); });
  const auto weight = [sort](const TopRow& row) -> double {
    switch (sort) {
      case TopSort::kWaiting:
        return row.load.waiting;
      case TopSort::kSessions:
        return row.load.sessions;
      case TopSort::kQueries:
        return row.load.queries.value_or(0);
      case TopSort::kEvictions:
        return row.load.evictions.value_or(0);
      case TopSort::kSlowest:
        return row.load.p99 ? absl::ToDoubleSeconds(row.load.p99->at) : 0;
      case TopSort::kTenant:
        return 0;
    }
    return 0;
  };
  // Of equals those that are at something first.
  const auto order = [&](const TopRow& row) {
    const int busy = sort == TopSort::kTenant ? 0 : -row.load.sessions;
    return std::tuple(-weight(row), busy, std::string_view(row.tenant), std::string_view(row.service));
  };
  std::ranges::sort(rows, [&](const TopRow& a, const TopRow& b) { return order(a) < order(b); });
  return rows;
}

}  // namespace leasehold::cli
