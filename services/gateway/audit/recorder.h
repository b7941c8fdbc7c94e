// Where the gateway's rooms say what was done and refused. Nothing here waits; any thread.
#pragma once

#include "absl/status/status.h"
#include "common/clock/clock.h"
#include "common/telemetry/metrics.h"
#include "leasehold/v1/config.pb.h"
#include "services/gateway/audit/buffer.h"
#include "services/gateway/audit/entry.h"

namespace leasehold::gateway {

class AuditRecorder {
 public:
  // `clock` and `metrics` outlive it.
  AuditRecorder(const v1::AuditConfig& config, const Clock& clock, Metrics& metrics);

  bool on() const { return on_; }

  // Before work that has to be recorded: AUDIT_UNAVAILABLE if it could not be, and the configuration says `refuse`.
  absl::Status Admit() const;

  void Record(const AuditEntry& entry);

  // `stored` once the event is in the trail's table, or with AUDIT_UNAVAILABLE when that does not work for now (it is
  // tried on). With `continue`, and with audit off, at once. On any thread, this one too: it must not block.
  void RecordChange(const AuditEntry& entry, AuditBuffer::Stored stored);

  // The writer's.
  AuditBuffer& buffer() { return buffer_; }

 private:
  void Add(const AuditEntry& entry, AuditBuffer::Stored stored);

  const bool on_;
  const bool refuse_;
  const Clock& clock_;
  AuditBuffer buffer_;
  prometheus::Counter& lost_;
};

}  // namespace leasehold::gateway
