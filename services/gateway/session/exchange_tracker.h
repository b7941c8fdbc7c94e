// Follows who owes whom an answer between one client and its server connection, from message types alone.
#pragma once

#include <cstdint>

namespace leasehold::gateway {

// The protocol has sync points, each answered by one ReadyForQuery: Query, FunctionCall and Sync. Between them are
// steps (Parse, Bind, Describe, Execute, Close), each answered once, or by no more than one ErrorResponse for all up to
// the next Sync.
//
// One loop. Tell it every message in the order of the wire.
class ExchangeTracker {
 public:
  void Sent(char type);  // to the server
  // From the server; `status` is ReadyForQuery's.
  void Received(char type, char status = '\0');
  // A new server connection.
  void Reset() { *this = ExchangeTracker(); }

  // Nothing that was sent waits for an answer.
  bool settled() const { return ready_ == syncs_ && (failed_ || answered_ >= steps_); }
  // As of the last ReadyForQuery: I idle, T in a transaction, E in a failed one.
  char transaction_status() const { return status_; }
  // Steps were sent since the last sync point …
  bool in_batch() const { return steps_ > 0; }
  // … and one of them was a Bind or an Execute, so that PostgreSQL has begun a transaction for them.
  bool batch_has_run() const { return ran_; }
  // The batch has failed: the server ignores everything up to the next Sync.
  bool skipping() const { return failed_; }
  // An ErrorResponse came before the last ReadyForQuery.
  bool last_failed() const { return last_failed_; }

 private:
  uint64_t syncs_ = 0;     // sync points sent
  uint64_t ready_ = 0;     // … and answered
  uint64_t steps_ = 0;     // steps sent since the last sync point
  uint64_t answered_ = 0;  // … and answered
  char last_sync_ = 'S';
  char status_ = 'I';
  bool failed_ = false;  // the server skips everything up to the next Sync
  bool ran_ = false;
  bool error_seen_ = false;
  bool last_failed_ = false;
};

}  // namespace leasehold::gateway
