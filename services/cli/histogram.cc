#include "services/cli/histogram.h"

#include "absl/strings/str_cat.h"
#include "common/config/config.h"
#include "services/cli/show.h"

namespace leasehold::cli {

std::string Quantile::Text() const { return absl::StrCat(beyond ? ">" : "", Took(at)); }

std::optional<Quantile> QuantileOf(const v1::DurationHistogram& histogram, double q) {
  double left = q * static_cast<double>(histogram.count());
  for (const v1::DurationHistogram::Bucket& bucket : histogram.buckets()) {
    const auto count = static_cast<double>(bucket.count());
    if (left > count) {
      left -= count;
      continue;
    }
    const absl::Duration from = ToDuration(bucket.from());
    if (!bucket.has_to()) return Quantile{.at = from, .beyond = true};
    return Quantile{.at = from + (ToDuration(bucket.to()) - from) * (left / count)};
  }
  return std::nullopt;
}

v1::DurationHistogram Between(const v1::DurationHistogram& before, const v1::DurationHistogram& now) {
  if (before.count() > now.count()) return now;
  v1::DurationHistogram more;
  for (const v1::DurationHistogram::Bucket& bucket : now.buckets()) {
    int64_t count = bucket.count();
    for (const v1::DurationHistogram::Bucket& was : before.buckets()) {
      if (ToDuration(was.from()) == ToDuration(bucket.from())) count -= was.count();
    }
    if (count < 0) return now;
    if (count == 0) continue;
    *more.add_buckets() = bucket;
    more.mutable_buckets()->rbegin()->set_count(count);
    more.set_count(more.count() + count);
  }
  return more;
}

}  // namespace leasehold::cli
