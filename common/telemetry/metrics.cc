#include "common/telemetry/metrics.h"

#include <prometheus/text_serializer.h>

#include <iterator>
#include <utility>

namespace leasehold {
namespace {

const prometheus::Histogram::BucketBoundaries& SecondsBuckets() {
  static const prometheus::Histogram::BucketBoundaries buckets = {
      0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60};
  return buckets;
}

}  // namespace

Metrics::Metrics() : registry_(std::make_shared<prometheus::Registry>()) {}

prometheus::Counter& Metrics::Counter(const std::string& name, const std::string& help, const Labels& labels) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(*registry_).Add(labels);
}

prometheus::Gauge& Metrics::Gauge(const std::string& name, const std::string& help, const Labels& labels) {
  return prometheus::BuildGauge().Name(name).Help(help).Register(*registry_).Add(labels);
}

prometheus::Histogram& Metrics::Seconds(const std::string& name, const std::string& help, const Labels& labels) {
  return prometheus::BuildHistogram().Name(name).Help(help).Register(*registry_).Add(labels, SecondsBuckets());
}

Metrics::Handle Metrics::AddSource(Source source) {
  auto key = std::make_unique<char>();
  absl::WriterMutexLock lock(&mu_);
  sources_.emplace(key.get(), std::move(source));
  return Handle(key.release(), [this](char* gone) {
    absl::WriterMutexLock removing(&mu_);
    sources_.erase(gone);
    delete gone;
  });
}

std::string Metrics::Expose() const {
  std::vector<prometheus::MetricFamily> families = registry_->Collect();
  {
    absl::ReaderMutexLock lock(&mu_);
    for (const auto& [key, source] : sources_) {
      std::vector<prometheus::MetricFamily> more = source();
      families.insert(families.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
    }
  }
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace leasehold
