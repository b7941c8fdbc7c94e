// What histograms of durations say.
#pragma once

#include <optional>
#include <string>

#include "absl/time/time.h"
#include "leasehold/v1/pool.pb.h"

namespace leasehold::cli {

struct Quantile {
  absl::Duration at;
  bool beyond = false;  // in the last bucket, which has no end: more than `at`

  std::string Text() const;  // "4.2ms", ">30s"
};

// As if what is in a bucket were spread evenly in it, like Prometheus' histogram_quantile. nullopt: it is empty.
std::optional<Quantile> QuantileOf(const v1::DurationHistogram& histogram, double q);

// What `now` has more than `before`; all of `now` if `before` is no earlier state of it.
v1::DurationHistogram Between(const v1::DurationHistogram& before, const v1::DurationHistogram& now);

}  // namespace leasehold::cli
