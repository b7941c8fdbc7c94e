// Who owes whom an answer between one client and its server: what was sent, in order, and what becomes of each answer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "services/gateway/pool/statement.h"

namespace leasehold::gateway {

// The protocol has sync points, each answered by one ReadyForQuery: Query, FunctionCall and Sync. Between them are
// steps (Parse, Bind, Describe, Execute, Close), each answered once, or by no more than one ErrorResponse for all up to
// the next Sync.
//
// One loop. Tell it every message in the order of the wire.
class Exchange {
 public:
  enum class Audience : uint8_t {
    kClient,     // the answer is passed on
    kNobody,     // the gateway asked
    kNotErrors,  // passed on, but for an ErrorResponse: the client has been told in our words
  };

  // To the server. `statement`: of a Parse, Bind or Describe.
  void Sent(char type, Audience audience = Audience::kClient, StatementPtr statement = nullptr);
  // An answer of the gateway's own, in its place behind the answers to what was sent before.
  void Answered(std::string bytes);

  // A Parse that the server has refused or skipped.
  struct Undone {
    StatementPtr statement;
    bool by_client = false;
  };
  struct Verdict {
    bool pass = true;
    std::vector<Undone> undone = {};
    // Of the step that an error answers.
    StatementPtr failed = nullptr;
    // An error in answer to what the gateway asked.
    bool own_error = false;
  };
  // From the server; `status` is ReadyForQuery's.
  Verdict Received(char type, char status = '\0');
  // The gateway's own answers whose turn has come, appended to `out`.
  void TakeAnswers(std::string& out);
  bool answer_due() const { return head_ < queue_.size() && queue_[head_].type == kAnswer; }

  // A server that is new to the client, or none.
  void Reset();

  // Nothing that was sent waits for an answer.
  bool settled() const { return head_ == queue_.size(); }
  // As of the last ReadyForQuery: I idle, T in a transaction, E in a failed one.
  char transaction_status() const { return status_; }
  // Steps were sent since the last sync point …
  bool in_batch() const { return in_batch_; }
  // … and one of them was a Bind or an Execute, so that PostgreSQL has begun a transaction for them.
  bool batch_has_run() const { return ran_; }
  // The batch that is being sent has failed: the server ignores everything up to the next Sync.
  bool skipping() const { return skipping_; }
  // An ErrorResponse came since the last ReadyForQuery, or before it if nothing came since.
  bool failed() const { return failed_; }
  // How many ReadyForQuery are still to come for the client.
  int syncs_due() const;

 private:
  static constexpr char kAnswer = 'L';
  static constexpr char kCopyEnd = 'c';
  static bool IsSync(char type) { return type == 'Q' || type == 'F' || type == 'S'; }

  struct Expected {
    char type = 0;
    Audience audience = Audience::kClient;
    StatementPtr statement;
    std::string answer;  // kAnswer
  };
  void Pop();
  Verdict Step(char type);
  void Skip(Verdict& verdict);
  void ForgetSyncsOfCopy();

  std::vector<Expected> queue_;
  size_t head_ = 0;
  char status_ = 'I';
  bool in_batch_ = false;
  bool ran_ = false;
  bool skipping_ = false;
  bool failed_ = false;
  bool ended_ = true;  // nothing came since the last ReadyForQuery
};

}  // namespace leasehold::gateway
