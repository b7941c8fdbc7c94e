// What `leasehold top` shows, of two looks at a gateway: a row for each tenant of each service.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "leasehold/v1/pool.pb.h"
#include "leasehold/v1/status.pb.h"
#include "services/cli/histogram.h"

namespace leasehold::cli {

// One look.
struct TopSample {
  absl::Time time;
  v1::GetStatusResponse status;
  v1::ListPoolsResponse pools;
};

// What is counted comes as so many a second between two looks; nullopt: there was only one, or the gateway has begun to
// count anew.
struct TopLoad {
  int sessions = 0;
  int waiting = 0;
  int servers = 0;
  int most_servers = 0;
  int working = 0;
  std::optional<double> queries = std::nullopt;
  std::optional<double> waits = std::nullopt;
  std::optional<double> evictions = std::nullopt;
  std::optional<Quantile> p99 = std::nullopt;  // of the queries between them; since the gateway's start if one
};

struct TopRow {
  std::string tenant;  // "(central)"
  std::string service;
  v1::ServiceState state = v1::SERVICE_STATE_READY;
  TopLoad load = {};
};

struct TopService {
  std::string service;
  TopLoad load = {};
  bool instance_well = true;
  bool provisioner_answers = true;
  int64_t ready = 0;
  int64_t pending = 0;
  int64_t failed = 0;
};

struct TopFigures {
  absl::Time time;
  v1::GatewayStatus gateway;
  std::vector<v1::TenantCount> tenants;
  int64_t operations_running = 0;
  std::vector<TopService> services = {};  // in the order of names
  std::vector<TopRow> rows = {};          // in no order
  std::vector<std::string> errors = {};   // what is not well, then failed tenants
};

// `before`: null for none.
TopFigures FiguresOf(const TopSample* before, const TopSample& now);

enum class TopSort { kWaiting, kSessions, kQueries, kEvictions, kSlowest, kTenant };
inline constexpr int kTopSorts = 6;
// "waiting", "sessions" …: for --sort and on the screen.
std::string_view WordOf(TopSort sort);
std::optional<TopSort> TopSortOf(std::string_view word);

// Those with `filter` in the name of tenant or service, and the most of what is sorted by first.
std::vector<TopRow> Arranged(std::vector<TopRow> rows, TopSort sort, std::string_view filter);

}  // namespace leasehold::cli
