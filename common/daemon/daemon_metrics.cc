#include "common/daemon/daemon_metrics.h"

#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_split.h"
#include "common/version/version.h"

namespace leasehold {
namespace {

using prometheus::MetricFamily;
using prometheus::MetricType;

MetricFamily Family(std::string name, std::string help, MetricType type = MetricType::Gauge) {
  return {.name = std::move(name), .help = std::move(help), .type = type, .metric = {}};
}

MetricFamily One(std::string name, std::string help, double value, MetricType type = MetricType::Gauge) {
  MetricFamily family = Family(std::move(name), std::move(help), type);
  prometheus::ClientMetric& metric = family.metric.emplace_back();
  (type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
  return family;
}

MetricFamily BuildInfo() {
  MetricFamily family = One("leasehold_build_info", "1, by version and commit", 1);
  family.metric[0].label = {{.name = "version", .value = std::string(Version())},
                            {.name = "commit", .value = std::string(Commit())}};
  return family;
}

MetricFamily Components(const Health& health) {
  MetricFamily family =
      Family("leasehold_component_up", "1: it is well, 0: it is not; none: nothing is known of it yet");
  for (const auto& [component, now] : health.Look()) {
    if (!now.known) continue;
    prometheus::ClientMetric& metric = family.metric.emplace_back();
    metric.label = {{.name = "component", .value = component}};
    metric.gauge.value = now.status.ok() ? 1 : 0;
  }
  return family;
}

double SecondsOf(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

// In Unix time; 0 if the kernel does not tell.
double StartTime() {
  std::ifstream stat("/proc/self/stat");
  std::string line;
  std::getline(stat, line);
  const size_t end_of_name = line.rfind(')');
  if (end_of_name == std::string::npos) return 0;
  // What follows the name begins with field 3; field 22 is when it started, in ticks since the boot.
  const std::vector<std::string> fields = absl::StrSplit(line.substr(end_of_name + 2), ' ');
  constexpr size_t kStart = 22 - 3;
  std::ifstream of_kernel("/proc/stat");
  for (std::string next; fields.size() > kStart && std::getline(of_kernel, next);) {
    if (!next.starts_with("btime ")) continue;
    return std::stod(next.substr(6)) + std::stod(fields[kStart]) / static_cast<double>(sysconf(_SC_CLK_TCK));
  }
  return 0;
}

void AddProcess(double start_time, std::vector<MetricFamily>& families) {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  families.push_back(One("process_cpu_seconds_total", "Processor time, user and system",
                         SecondsOf(usage.ru_utime) + SecondsOf(usage.ru_stime), MetricType::Counter));
  families.push_back(One("process_start_time_seconds", "When it started, in Unix time", start_time));
  std::ifstream statm("/proc/self/statm");
  double size = 0;
  double resident = 0;
  statm >> size >> resident;
  families.push_back(
      One("process_resident_memory_bytes", "Memory in use", resident * static_cast<double>(sysconf(_SC_PAGESIZE))));
  double open = 0;
  std::error_code error;
  for (std::filesystem::directory_iterator fd("/proc/self/fd", error), end; !error && fd != end; fd.increment(error)) {
    ++open;
  }
  families.push_back(One("process_open_fds", "Open file descriptors", open));
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  families.push_back(One("process_max_fds", "How many it may have open", static_cast<double>(limit.rlim_cur)));
}

}  // namespace

Metrics::Handle AddDaemonMetrics(const Health& health, Metrics& metrics) {
  return metrics.AddSource([&health, start_time = StartTime()] {
    std::vector<MetricFamily> families = {BuildInfo(), Components(health)};
    families.push_back(One("leasehold_ready", "1: /readyz answers 200", health.Ready() ? 1 : 0));
    AddProcess(start_time, families);
    return families;
  });
}

}  // namespace leasehold
