// Counters, gauges and histograms over prometheus-cpp. Get one once (it lives as long as its Metrics) and use it from
// any thread. Names: leasehold_<noun>_<unit>[_total]; labels few and bounded.
#pragma once

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/metric_family.h>
#include <prometheus/registry.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace leasehold {

class Metrics {
 public:
  using Labels = std::map<std::string, std::string>;

  Metrics();
  // The same name and labels give the same object. A name has one kind and one help text; another kind aborts.
  prometheus::Counter& Counter(const std::string& name, const std::string& help, const Labels& labels = {});
  prometheus::Gauge& Gauge(const std::string& name, const std::string& help, const Labels& labels = {});
  // Seconds; buckets from 100 µs to 60 s.
  prometheus::Histogram& Seconds(const std::string& name, const std::string& help, const Labels& labels = {});

  // Numbers that are kept elsewhere: `source` runs with each Expose(), on its thread, perhaps on several at once, until
  // the handle is dropped, which waits for those that run. Its names are its own; the handle goes before the Metrics.
  using Source = std::function<std::vector<prometheus::MetricFamily>()>;
  using Handle = std::shared_ptr<void>;
  [[nodiscard]] Handle AddSource(Source source);

  // The text exposition format.
  std::string Expose() const;

 private:
  std::shared_ptr<prometheus::Registry> registry_;
  mutable absl::Mutex mu_;
  std::map<const void*, Source> sources_ ABSL_GUARDED_BY(mu_);
};

}  // namespace leasehold
