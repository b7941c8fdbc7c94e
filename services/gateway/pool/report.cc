#include "services/gateway/pool/report.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "services/gateway/pool/instance_pool.h"

namespace leasehold::gateway {

PoolReport InstancePool::Report(const ReportScope& scope) const {
  PoolReport report{.service = options_.service.str(),
                    .cap = options_.max_connections,
                    .room = room_.get(),
                    .servers = used_,
                    .closing = used_,
                    .working = restraint_.working(),
                    .working_bound = restraint_.bound(),
                    .waiting = waiting_,
                    .dials = dials_,
                    .transactions = transactions_};
  if (vitals_.heard()) report.up = !vitals_.failing();
  struct Row {
    const std::string* tenant = nullptr;
    const Share* share = nullptr;
    int idle = 0;
    int dialling = 0;
    int waiting = 0;
    double busy = 0;
  };
  std::vector<Row> rows;
  rows.reserve(shares_.size());
  absl::flat_hash_map<const Share*, size_t> places;
  for (const auto& [tenant, share] : shares_) {
    report.clients += share->clients;
    report.closing -= share->servers;
    report.tally.Add(share->tally);
    if (!scope.absent && share->clients == 0 && share->servers == 0) continue;
    places.emplace(share.get(), rows.size());
    rows.push_back({.tenant = &tenant, .share = share.get(), .busy = static_cast<double>(share->servers)});
  }
  for (const auto& [key, line] : lines_) {
    const int idle = static_cast<int>(line->idle.size());
    report.idle += idle;
    report.dialling += line->dialling;
    const auto place = places.find(line->share);
    if (place == places.end()) continue;
    Row& row = rows[place->second];
    row.idle += idle;
    row.dialling += line->dialling;
    row.waiting += static_cast<int>(line->waiting.size());
    row.busy += HeatOf(*line) + static_cast<double>(line->waiting.size()) - idle;
  }
  if (rows.size() > scope.most_tenants) {
    const auto end = rows.begin() + static_cast<std::ptrdiff_t>(scope.most_tenants);
    std::ranges::nth_element(rows, end, [](const Row& a, const Row& b) {
      return std::pair(-a.busy, std::string_view(*a.tenant)) < std::pair(-b.busy, std::string_view(*b.tenant));
    });
    rows.erase(end, rows.end());
    std::ranges::sort(rows, {}, [](const Row& row) { return std::string_view(*row.tenant); });
  }
  for (const Row& row : rows) {
    report.tenants.push_back({.tenant = *row.tenant,
                              .clients = row.share->clients,
                              .limit = row.share->limit,
                              .servers = row.share->servers,
                              .idle = row.idle,
                              .dialling = row.dialling,
                              .working = row.share->work.working,
                              .waiting = row.waiting,
                              .tally = row.share->tally});
  }
  return report;
}

}  // namespace leasehold::gateway
