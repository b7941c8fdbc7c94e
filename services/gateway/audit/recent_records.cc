#include "services/gateway/audit/recent_records.h"

#include <utility>

namespace leasehold::gateway {

void RecentRecords::Add(v1::AuditRecord record) {
  absl::MutexLock lock(&mu_);
  records_.push_back(std::move(record));
  if (records_.size() > kMost) records_.pop_front();
}

std::vector<v1::AuditRecord> RecentRecords::Take(int64_t number, size_t limit) {
  std::vector<v1::AuditRecord> taken;
  absl::MutexLock lock(&mu_);
  while (!records_.empty() && records_.front().number() < number) records_.pop_front();
  while (!records_.empty() && taken.size() < limit && records_.front().number() == number) {
    taken.push_back(std::move(records_.front()));
    records_.pop_front();
    ++number;
  }
  return taken;
}

}  // namespace leasehold::gateway
