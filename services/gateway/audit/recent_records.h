// The records that this gateway has stored last, for its publisher: what was in this process need not be read back out
// of the table. Any threads.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "leasehold/v1/audit.pb.h"

namespace leasehold::gateway {

class RecentRecords {
 public:
  // Later numbers than before. Of more than `kMost` the oldest are left to the table.
  void Add(v1::AuditRecord record);
  // Moves record `number` and what follows it without a gap out, at most `limit`; forgets what is older. None: `number`
  // is another gateway's, or was here too long ago.
  std::vector<v1::AuditRecord> Take(int64_t number, size_t limit);

  static constexpr size_t kMost = 8;  // 8 MiB

 private:
  absl::Mutex mu_;
  std::deque<v1::AuditRecord> records_ ABSL_GUARDED_BY(mu_);
};

}  // namespace leasehold::gateway
