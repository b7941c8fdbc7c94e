// Counters, gauges and histograms over prometheus-cpp. Get one once (it lives as long as its Metrics) and use it from any
// thread. Names: leasehold_<noun>_<unit>[_total]; labels few and bounded.
#pragma once

#include <map>
#include <memory>
#include <string>

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

namespace leasehold {

class Metrics {
 public:
  using Labels = std::map<std::string, std::string>;

  Metrics();
  prometheus::Counter& Counter(const std::string& name, const std::string& help, const Labels& labels = {});
  prometheus::Gauge& Gauge(const std::string& name, const std::string& help, const Labels& labels = {});
  // Seconds; buckets from 100 µs to 60 s.
  prometheus::Histogram& Seconds(const std::string& name, const std::string& help, const Labels& labels = {});
  // The text exposition format.
  std::string Expose() const;

 private:
  std::shared_ptr<prometheus::Registry> registry_;
};

}  // namespace leasehold
