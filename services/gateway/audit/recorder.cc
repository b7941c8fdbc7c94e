#include "services/gateway/audit/recorder.h"

#include <string>
#include <utility>

#include "common/status/error.h"
#include "services/gateway/audit/line.h"

namespace leasehold::gateway {

AuditRecorder::AuditRecorder(const v1::AuditConfig& config, const Clock& clock, Metrics& metrics)
    : on_(config.record() == "on"),
      refuse_(config.on_failure() == "refuse"),
      clock_(clock),
      buffer_(config.buffer()),
      lost_(metrics.Counter("leasehold_audit_lost_total",
                            "Events that found the buffer full and are not in the trail")) {}

absl::Status AuditRecorder::Admit() const {
  if (!on_ || !refuse_ || !buffer_.full()) return absl::OkStatus();
  return WithRetryAfter(Error(v1::REASON_AUDIT_UNAVAILABLE,
                              "what has to be recorded cannot be: the audit's buffer is full, for the registry's "
                              "database takes nothing from it"),
                        absl::Seconds(5));
}

void AuditRecorder::Record(const AuditEntry& entry) {
  if (!on_) return;
  // What is lost anyway need not be written out first.
  if (buffer_.full()) return lost_.Increment();
  Add(entry, nullptr);
}

void AuditRecorder::RecordChange(const AuditEntry& entry, AuditBuffer::Stored stored) {
  if (on_ && refuse_) {
    Add(entry, std::move(stored));
    return;
  }
  Record(entry);
  stored(absl::OkStatus());
}

void AuditRecorder::Add(const AuditEntry& entry, AuditBuffer::Stored stored) {
  thread_local std::string line;
  line.clear();
  const absl::Time now = clock_.Now();
  AppendAuditLine(line, now, entry);
  if (!buffer_.Add(now, line, std::move(stored))) lost_.Increment();
}

}  // namespace leasehold::gateway
