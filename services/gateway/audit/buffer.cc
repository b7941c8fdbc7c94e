#include "services/gateway/audit/buffer.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "common/status/error.h"

namespace leasehold::gateway {
namespace {

// A record travels as one message of the stream, and those end at 1 MiB, headers among it.
constexpr size_t kMostBytes = 960 * 1024;

absl::Status Lost(std::string_view why) { return Error(v1::REASON_AUDIT_UNAVAILABLE, why); }

}  // namespace

bool AuditBuffer::Add(absl::Time time, std::string_view line, Stored stored) {
  absl::Status refused;
  {
    absl::MutexLock lock(&mu_);
    if (closed_) {
      refused = Lost("this gateway records nothing any more");
    } else if (full()) {
      refused = Lost("the audit's buffer is full");
    } else {
      if (batches_.empty() || batches_.back().lines.size() + line.size() > kMostBytes) {
        batches_.emplace_back().lines.swap(spare_);
      }
      Batch& batch = batches_.back();
      batch.lines += line;
      ++batch.events;
      batch.first = std::min(batch.first, time);
      batch.last = std::max(batch.last, time);
      size_.fetch_add(1, std::memory_order_relaxed);
      if (stored) {
        batch.stored.push_back(std::move(stored));
        urgent_ = true;
      }
      if (waits_for_any_ || Ripe()) ready_.Signal();
      return true;
    }
  }
  if (stored) stored(refused);
  return false;
}

std::optional<AuditBuffer::Batch> AuditBuffer::Take(absl::Duration patience, absl::Duration gather) {
  absl::MutexLock lock(&mu_);
  const absl::Time until = absl::Now() + patience;
  Gather(gather);
  if (batches_.empty()) {
    waits_for_any_ = true;
    while (batches_.empty() && !closed_ && !ready_.WaitWithDeadline(&mu_, until)) {
    }
    waits_for_any_ = false;
    if (batches_.empty()) return std::nullopt;
    Gather(gather);
  }
  Batch batch = std::move(batches_.front());
  batches_.pop_front();
  urgent_ = std::ranges::any_of(batches_, [](const Batch& next) { return !next.stored.empty(); });
  return batch;
}

void AuditBuffer::Gather(absl::Duration gather) {
  const absl::Time ripe = absl::Now() + gather;
  while (!Ripe() && !ready_.WaitWithDeadline(&mu_, ripe)) {
  }
}

void AuditBuffer::Done(const Batch& batch) { size_.fetch_sub(batch.events, std::memory_order_relaxed); }

void AuditBuffer::Recycle(std::string memory) {
  memory.clear();
  absl::MutexLock lock(&mu_);
  spare_.swap(memory);
}

void AuditBuffer::TellWaiting(const absl::Status& why) {
  std::vector<Stored> waiting;
  {
    absl::MutexLock lock(&mu_);
    for (Batch& batch : batches_) {
      std::ranges::move(batch.stored, std::back_inserter(waiting));
      batch.stored.clear();
    }
    urgent_ = false;
  }
  for (Stored& stored : waiting) stored(why);
}

void AuditBuffer::Close() {
  absl::MutexLock lock(&mu_);
  closed_ = true;
  ready_.Signal();
}

bool AuditBuffer::closed() const {
  absl::MutexLock lock(&mu_);
  return closed_;
}

}  // namespace leasehold::gateway
