// Many clients, many tenants, one query per move: clients that stay connected and move by SET leasehold.tenant, or
// clients that reconnect for each tenant. Every answer's current_database() is compared with the one that was meant.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "bench/load/latencies.h"
#include "bench/load/sql_client.h"

namespace leasehold::bench {

struct TenantTarget {
  std::string tenant;
  Target target;  // its `database` is what current_database() must be
};

struct TenantLoad {
  enum class Move {
    kSet,        // all connect to `home` once; a request is SET leasehold.tenant and the query, one after the other
    kReconnect,  // a request is a connection to the tenant's target, the query, and goodbye
  };
  Move move = Move::kReconnect;
  Target home = {};
  std::vector<TenantTarget> tenants;  // the hottest first
  double zipf = 1.0;
  uint64_t seed = 1;
  int clients = 32;
  absl::Duration warm_up = {};                          // driven but not counted
  absl::Duration duration = {};                         // requests that begin in it are counted
  absl::Duration connect_patience = absl::Seconds(10);  // kSet: for the clients' first connection, before all else
  absl::Duration answer_patience = absl::Seconds(5);    // at the end, for requests that have begun
  bool keep_scram_keys = true;
};

struct TenantLoadResult {
  Latencies latencies;  // of the requests that succeeded
  // By SQLSTATE, or as SqlClient::failure() says; "unfinished" for requests without an answer at the end, "not
  // connected" for clients that never got in.
  std::map<std::string, int64_t> errors;
  int64_t wrong_databases = 0;
  absl::Duration elapsed;   // in which what is counted began
  absl::Duration cpu_time;  // of this process meanwhile: elapsed, if the generator is what limits
};

// One epoll loop on the calling thread.
TenantLoadResult RunTenantLoad(const TenantLoad& load);

// A file of lines "<tenant> <connection string>".
absl::StatusOr<std::vector<TenantTarget>> ReadTenantTargets(const std::string& path);

}  // namespace leasehold::bench
