// Pools as people read them.
#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "services/cli/histogram.h"
#include "services/cli/show.h"
#include "services/cli/table.h"

namespace leasehold::cli {
namespace {

// Empty: nothing to tell of.
std::string TextOf(const std::optional<Quantile>& quantile) { return quantile ? quantile->Text() : ""; }

Cell OfLimit(int servers, int limit) {
  return {absl::StrCat(servers, "/", limit), servers >= limit ? Colour::kYellow : Colour::kPlain};
}

Cell Waiting(int clients) { return {absl::StrCat(clients), clients > 0 ? Colour::kYellow : Colour::kPlain}; }

Cell Working(const v1::Pool& pool) {
  return pool.has_working_bound() ? OfLimit(pool.working(), pool.working_bound())
                                  : Cell{absl::StrCat(pool.working()), Colour::kPlain};
}

// What pools and tenants have alike behind their own columns.
template <typename T>
void AddTally(std::vector<Cell>& row, const T& of) {
  row.emplace_back(absl::StrCat(of.evictions()));
  row.emplace_back(absl::StrCat(of.waits()));
  row.emplace_back(of.has_hit_rate() ? absl::StrFormat("%.1f%%", 100 * of.hit_rate()) : "");
  row.emplace_back(absl::StrCat(of.queries().count()));
  row.emplace_back(TextOf(QuantileOf(of.queries(), 0.5)));
  row.emplace_back(TextOf(QuantileOf(of.queries(), 0.99)));
  row.emplace_back(Bytes(of.bytes_in()));
  row.emplace_back(Bytes(of.bytes_out()));
}

}  // namespace

std::string Took(absl::Duration d) {
  const double ms = absl::ToDoubleMilliseconds(d);
  if (ms < 1) return absl::StrFormat("%.2fms", ms);
  if (ms < 10) return absl::StrFormat("%.1fms", ms);
  if (ms < 1'000) return absl::StrFormat("%.0fms", ms);
  if (ms < 10'000) return absl::StrFormat("%.1fs", ms / 1'000);
  return absl::StrFormat("%.0fs", ms / 1'000);
}

std::string ShowPools(const google::protobuf::RepeatedPtrField<v1::Pool>& pools, const Terminal& terminal) {
  if (pools.empty()) return "no pools\n";
  Table table({"SERVICE", "CLIENTS", "WAITING", "SERVERS", "WORKING", "IDLE", "DIALLING", "CLOSING", "DIALS",
               "EVICTIONS", "WAITS", "HIT RATE", "QUERIES", "P50", "P99", "IN", "OUT"});
  Table tenants({"SERVICE", "TENANT", "CLIENTS", "WAITING", "SERVERS", "WORKING", "IDLE", "DIALLING", "EVICTIONS",
                 "WAITS", "HIT RATE", "QUERIES", "P50", "P99", "IN", "OUT"});
  for (const v1::Pool& pool : pools) {
    std::vector<Cell> row = {pool.service(),
                             absl::StrCat(pool.clients()),
                             Waiting(pool.waiting()),
                             OfLimit(pool.servers(), pool.max_connections()),
                             Working(pool),
                             absl::StrCat(pool.idle()),
                             absl::StrCat(pool.dialling()),
                             absl::StrCat(pool.closing()),
                             absl::StrCat(pool.dials())};
    AddTally(row, pool);
    table.AddRow(std::move(row));
    for (const v1::PoolTenant& tenant : pool.tenants()) {
      std::vector<Cell> its = {pool.service(),
                               tenant.tenant().empty() ? "(central)" : tenant.tenant(),
                               absl::StrCat(tenant.clients()),
                               Waiting(tenant.waiting()),
                               OfLimit(tenant.servers(), tenant.max_connections()),
                               absl::StrCat(tenant.working()),
                               absl::StrCat(tenant.idle()),
                               absl::StrCat(tenant.dialling())};
      AddTally(its, tenant);
      tenants.AddRow(std::move(its));
    }
  }
  std::string out = table.Render(terminal);
  if (!tenants.empty()) absl::StrAppend(&out, "\n", tenants.Render(terminal));
  return out;
}

}  // namespace leasehold::cli
