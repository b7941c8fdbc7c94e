// Who owes whom an answer between one client and its server: what was sent, in order, and what becomes of each answer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "services/gateway/pgwire/effects.h"
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

  // Where the message that is dealt with next begins in what is kept of its batch: Verdict::failed_at.
  void Mark(size_t at) { mark_ = at; }
  // To the server. `statement`: of a Parse, Bind or Describe; none of the unnamed one. `name`: the client's, of a Parse
  // by it.
  void Sent(char type, Audience audience = Audience::kClient, StatementPtr statement = nullptr,
            std::string_view name = {});
  // An answer of the gateway's own, in its place behind the answers to what was sent before.
  void Answered(std::string bytes);
  // CloseComplete, of a statement of the client's by `name`.
  void AnsweredClose(StatementPtr statement, std::string_view name);
  // ParseComplete, since the server has prepared it already.
  void AnsweredParse(StatementPtr statement, std::string_view name);

  // A Parse or Close that the server has refused or skipped. In the order of the wire.
  struct Undone {
    StatementPtr statement;  // none: the unnamed one
    std::string name;        // the client's, which it has not either; empty: of the gateway's own asking, or unnamed
    bool by_client = false;
    bool on_server = false;  // it is prepared there all the same, from before
    bool closed = false;     // it is still there
  };
  struct Verdict {
    bool pass = true;
    std::vector<Undone> undone = {};
    // Of the step that an error answers.
    StatementPtr failed = nullptr;
    size_t failed_at = 0;
    // An error before anything of the batch was bound or run, outside of a transaction block, with nothing but the
    // batch's own end behind it: sent again from `failed_at` on, it would leave no trace of the first time.
    bool repeatable = false;
    // An error in answer to what the gateway asked.
    bool own_error = false;
  };
  // From the server; `status` is ReadyForQuery's.
  Verdict Received(char type, char status = '\0');
  // The gateway's own answers whose turn has come, appended to `out`.
  void TakeAnswers(std::string& out);
  bool answer_due() const { return head_ < queue_.size() && IsAnswer(queue_[head_].type); }

  // The batch that has just failed will be sent again: the ReadyForQuery at its end is not for the client. False: the
  // Sync has not been sent yet that asks for it.
  bool HushSync();

  // A server that is new to the client, or none.
  void Reset();

  // Nothing that was sent waits for an answer.
  bool settled() const { return head_ == queue_.size(); }
  // How much does, and what is kept for it.
  size_t outstanding() const { return queue_.size() - head_; }
  size_t kept() const { return queue_.capacity(); }
  // As of the last ReadyForQuery: I idle, T in a transaction, E in a failed one.
  char transaction_status() const { return status_; }
  // Steps were sent since the last sync point …
  bool in_batch() const { return in_batch_; }
  // … and one of them was a Bind or an Execute, so that PostgreSQL has begun a transaction for them.
  bool batch_has_run() const { return ran_; }
  // The batch that is being sent has failed: the server ignores everything up to the next Sync.
  bool skipping() const { return skipping_; }
  // The server has asked for COPY data, and has not had the end of it yet.
  bool copying_in() const { return copying_in_; }
  // An ErrorResponse came since the last ReadyForQuery, or before it if nothing came since.
  bool failed() const { return failed_; }
  // What is sent next, up to the next sync point, does this to the transaction block.
  void NoteBlock(pgwire::Block block) { block_ = block; }
  // … as yet without its sync point.
  pgwire::Block block_sent() const { return block_; }
  // The ReadyForQuery that are still to come for the client: what is behind each does to the transaction block.
  std::vector<pgwire::Block> syncs_due() const;
  // The client has been told of a failure, by the server or in our words, and not yet that it is over.
  bool failing() const { return refused_ || (failed_ && !ended_); }

 private:
  static constexpr char kAnswer = 'L';
  static constexpr char kParsed = 'l';  // … which is ParseComplete
  static constexpr char kClosed = 'k';  // … which is CloseComplete
  static constexpr char kCopyEnd = 'c';
  static bool IsAnswer(char type) { return type == kAnswer || type == kParsed || type == kClosed; }
  static bool IsSync(char type) { return type == 'Q' || type == 'F' || type == 'S'; }

  struct Expected {
    char type = 0;
    Audience audience = Audience::kClient;
    StatementPtr statement;
    std::string text;  // kAnswer: the bytes; kParsed, kClosed and Parse: the client's name
    size_t at = 0;
    pgwire::Block block = pgwire::Block::kNone;
  };
  void Pop();
  Verdict Step(char type);
  void Skip(Verdict& verdict);
  void ForgetSyncsOfCopy();

  std::vector<Expected> queue_;
  size_t head_ = 0;
  size_t mark_ = 0;
  char status_ = 'I';
  bool in_batch_ = false;
  bool ran_ = false;
  bool ran_well_ = false;  // … and that has been answered
  bool skipping_ = false;
  bool failed_ = false;
  bool refused_ = false;
  bool copying_in_ = false;
  pgwire::Block block_ = pgwire::Block::kNone;
  bool ended_ = true;  // nothing came since the last ReadyForQuery
};

}  // namespace leasehold::gateway
