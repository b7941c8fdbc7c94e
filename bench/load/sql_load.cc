// leasehold-bench-sql tenants|idle: loads a PostgreSQL endpoint and prints what came of it as one JSON object.
#include <CLI/CLI.hpp>
#include <cstdint>
#include <format>
#include <fstream>
#include <iostream>
#include <map>
#include <string>

#include "bench/load/idle_clients.h"
#include "bench/load/tenant_load.h"
#include "common/status/error.h"

namespace leasehold::bench {
namespace {

// Keys are SQLSTATEs and our own words: nothing to escape.
std::string ToJson(const std::map<std::string, int64_t>& counts) {
  std::string text;
  for (const auto& [key, count] : counts) text += std::format("{}\"{}\":{}", text.empty() ? "" : ",", key, count);
  return "{" + text + "}";
}

std::string ToJson(TenantLoadResult& result) {
  const double seconds = absl::ToDoubleSeconds(result.elapsed);
  const auto milliseconds = [&result](double share) {
    return absl::ToDoubleMilliseconds(result.latencies.Quantile(share));
  };
  return std::format(
      R"({{"requests":{},"seconds":{:.3f},"req_per_s":{:.1f},"p50_ms":{:.3f},"p99_ms":{:.3f},"max_ms":{:.3f},)"
      R"("errors":{},"wrong_databases":{},"cpu_share":{:.2f}}})",
      result.latencies.count(), seconds, static_cast<double>(result.latencies.count()) / seconds, milliseconds(0.5),
      milliseconds(0.99), milliseconds(1), ToJson(result.errors), result.wrong_databases,
      absl::FDivDuration(result.cpu_time, result.elapsed));
}

// Connection strings hold passwords, which have no place on a command line that everybody can read.
absl::StatusOr<Target> ReadTarget(const std::string& path) {
  std::ifstream file(path);
  std::string dsn;
  if (!std::getline(file, dsn)) return absl::FailedPreconditionError(std::format("cannot read {}", path));
  return ParseTarget(dsn);
}

struct Flags {
  TenantLoad load;
  std::string tenants_file;
  std::string home_file;
  double seconds = 3;
  double warm_up_seconds = 0.5;
  double patience_seconds = 60;
  bool stretch_each_time = false;
  std::string sql;
  int idle_clients = 10000;
};

absl::Status Tenants(Flags& flags) {
  TenantLoad& load = flags.load;
  LH_ASSIGN_OR_RETURN(load.tenants, ReadTenantTargets(flags.tenants_file));
  if (!flags.home_file.empty()) {
    load.move = TenantLoad::Move::kSet;
    LH_ASSIGN_OR_RETURN(load.home, ReadTarget(flags.home_file));
  }
  load.duration = absl::Seconds(flags.seconds);
  load.warm_up = absl::Seconds(flags.warm_up_seconds);
  load.keep_scram_keys = !flags.stretch_each_time;
  TenantLoadResult result = RunTenantLoad(load);
  std::cout << ToJson(result) << std::endl;
  return absl::OkStatus();
}

absl::Status Idle(const Flags& flags) {
  LH_ASSIGN_OR_RETURN(Target target, ReadTarget(flags.home_file));
  IdleClients clients(std::move(target));
  const absl::Duration patience = absl::Seconds(flags.patience_seconds);
  const auto say = [&clients](std::string_view what, int count) {
    std::cout << std::format(R"({{"{}":{},"errors":{}}})", what, count, ToJson(clients.errors())) << std::endl;
  };
  say("connected", clients.Connect(flags.idle_clients, patience));
  // Whoever measures says when to go on, by a line, and when to go, by the end.
  std::string line;
  if (!std::getline(std::cin, line)) return absl::OkStatus();
  say("answered", clients.AskEach(flags.sql, patience));
  std::getline(std::cin, line);
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  Flags flags;
  CLI::App app("Loads a PostgreSQL endpoint; prints one JSON object.", "leasehold-bench-sql");
  app.require_subcommand(1);

  CLI::App* tenants = app.add_subcommand("tenants", "Many clients over many tenants, one query per move");
  tenants->add_option("--tenants", flags.tenants_file, "Lines \"<tenant> <connection string>\", the hottest first")
      ->required();
  tenants->add_option("--set", flags.home_file,
                      "Stay connected to the connection string in this file and move by SET leasehold.tenant; without "
                      "it, reconnect for each tenant");
  tenants->add_option("--clients", flags.load.clients, "At once")->check(CLI::Range(1, 10000))->capture_default_str();
  tenants->add_option("--zipf", flags.load.zipf, "Exponent")->check(CLI::NonNegativeNumber)->capture_default_str();
  tenants->add_option("--seed", flags.load.seed, "Of the tenants' order")->capture_default_str();
  tenants->add_option("--seconds", flags.seconds)->check(CLI::PositiveNumber)->capture_default_str();
  tenants->add_option("--warm-up", flags.warm_up_seconds, "Seconds before that, not counted")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  tenants->add_flag("--stretch-each-time", flags.stretch_each_time,
                    "Derive the SCRAM keys at each log-in, as libpq does");

  CLI::App* idle = app.add_subcommand(
      "idle", "Clients that connect; on a line of standard input ask one thing each; and stay until its end");
  idle->add_option("--target", flags.home_file, "A file with a connection string")->required();
  idle->add_option("--clients", flags.idle_clients)->check(CLI::Range(1, 100000))->capture_default_str();
  idle->add_option("--patience", flags.patience_seconds, "Seconds for each of the two steps")->capture_default_str();
  idle->add_option("--sql", flags.sql)->default_val("SELECT 1");

  CLI11_PARSE(app, argc, argv);
  const absl::Status status = tenants->parsed() ? Tenants(flags) : Idle(flags);
  if (status.ok()) return 0;
  std::cerr << "error: " << status.message() << std::endl;
  return 1;
}

}  // namespace
}  // namespace leasehold::bench

int main(int argc, char** argv) { return leasehold::bench::Main(argc, argv); }
