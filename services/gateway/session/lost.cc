// A transaction whose server has died, until its client ends it. To the client it is one that has failed; but COMMIT
// fails too, so that nobody takes it for done, and no server is needed to end it.
#include <format>
#include <memory>
#include <utility>

#include "services/gateway/pgwire/encode.h"
#include "services/gateway/pgwire/extended.h"
#include "services/gateway/pgwire/lexer.h"
#include "services/gateway/session/session.h"

namespace leasehold::gateway {
namespace {

using pgwire::Block;
using pgwire::Command;

std::string_view SqlIn(std::string_view query_body) { return query_body.substr(0, query_body.find('\0')); }

bool IsEmpty(std::string_view sql) { return pgwire::Lexer(sql).Next().kind == pgwire::TokenKind::kEnd; }

// Nothing but a semicolon behind the first statement.
bool IsOne(std::string_view sql) {
  pgwire::Lexer lexer(sql);
  bool ended = false;
  for (pgwire::Token token = lexer.Next(); token.kind != pgwire::TokenKind::kEnd; token = lexer.Next()) {
    if (token.Is(';')) {
      ended = true;
    } else if (ended) {
      return false;
    }
  }
  return true;
}

bool Ends(Block block) { return block == Block::kCommits || block == Block::kRollsBack; }

// Of what the gateway keeps for its clients only this runs now: the rest, a switch among it, belongs to the
// transaction.
template <typename Kept>
bool EndsLost(const Kept* kept) {
  return kept != nullptr && kept->command->kind == Command::Kind::kEndLost;
}

CommandPtr EndLost(Block block) {
  return std::make_shared<const Command>(Command{.kind = Command::Kind::kEndLost,
                                                 .tag = block == Block::kCommits ? "COMMIT" : "ROLLBACK",
                                                 .column = "",
                                                 .tenant = {},
                                                 .is_local = {},
                                                 .parameter_types = {}});
}

}  // namespace

// nullopt: as at any other time.
std::optional<Session::Handled> Session::HandleInLost(std::string_view bytes, const pgwire::Frame& frame) {
  const std::string_view body = bytes.substr(pgwire::kHeaderSize);
  switch (frame.type) {
    case 'd':
    case 'c':
    case 'f':
    case 'H':
      return Handled::kDone;
    case 'C':
      return std::nullopt;
    case 'Q':
      return QueryInLost(bytes, frame.size == bytes.size());
    case 'P': {
      pgwire::BodyReader reader(body);
      const std::string_view name = reader.CString();
      const std::string_view sql = reader.CString();
      const Block block = pgwire::EffectsOf(sql).first_block;
      if (!Ends(block) || frame.size != bytes.size() || !IsOne(sql)) break;
      if (!name.empty()) return std::nullopt;
      if (Settle() == Handled::kWaits) return Handled::kWaits;
      virtuals_.Prepare("", {.command = EndLost(block), .types = {}});
      pgwire::ParseComplete(outbox_);
      batch_is_ours_ = true;
      return Handled::kDone;
    }
    case 'B': {
      const auto names = pgwire::ReadBindNames(body);
      if (EndsLost(virtuals_.FindStatement(names->statement))) return std::nullopt;
      const Block block = EffectsOf(names->statement).first_block;
      if (!Ends(block) || virtuals_.FindStatement(names->statement) != nullptr) break;
      if (Settle() == Handled::kWaits) return Handled::kWaits;
      virtuals_.Open(names->portal, {.command = EndLost(block)});
      pgwire::BindComplete(outbox_);
      batch_is_ours_ = true;
      return Handled::kDone;
    }
    case 'D': {
      const auto target = pgwire::ReadTarget(body);
      const bool known = target->kind == 'P' ? EndsLost(virtuals_.FindPortal(target->name))
                                             : EndsLost(virtuals_.FindStatement(target->name)) ||
                                                   Ends(EffectsOf(target->name).first_block);
      if (!known) break;
      return std::nullopt;
    }
    case 'E':
      if (!EndsLost(virtuals_.FindPortal(*pgwire::ReadExecute(body)))) break;
      return std::nullopt;
    default:
      break;
  }
  Refused(frame, WhyLost());
  return Handled::kDone;
}

Session::Handled Session::QueryInLost(std::string_view bytes, bool complete) {
  const std::string_view sql = SqlIn(bytes.substr(pgwire::kHeaderSize));
  const Block block = pgwire::EffectsOf(sql).first_block;
  if (complete && IsEmpty(sql)) {
    pgwire::EmptyQueryResponse(outbox_);
    pgwire::ReadyForQuery(outbox_, TransactionStatus());
    return Handled::kDone;
  }
  if (block == Block::kRollsBack && complete) {
    EndLostTransaction();
    if (!IsOne(sql)) {  // what is behind it is PostgreSQL's
      replacement_ = bytes;
      return Handled::kReplaced;
    }
    pgwire::CommandComplete(outbox_, "ROLLBACK");
    CountOwnAnswer();
    pgwire::ReadyForQuery(outbox_, TransactionStatus());
    return Handled::kDone;
  }
  FailQuery(block == Block::kCommits ? EndLostTransaction() : WhyLost());
  return Handled::kDone;
}

// What a COMMIT is told.
pgwire::ErrorFields Session::EndLostTransaction() {
  pgwire::ErrorFields why = {
      .code = "08006",
      .message = std::format("the {} instance closed the connection: the transaction is lost", grant_->service.str()),
      .detail = lost_why_ ? std::exchange(lost_why_, nullptr)->message : "",
      .hint = "Begin it again."};
  lost_ = Lost::kNo;
  return why;
}

// The first time what happened, as PostgreSQL has it, if it has said anything.
pgwire::ErrorFields Session::WhyLost() {
  pgwire::ErrorFields why = {
      .code = "25P02", .message = "current transaction is aborted, commands ignored until end of transaction block"};
  if (std::exchange(lost_, Lost::kTold) == Lost::kUntold) {
    why.code = lost_why_->code;
    why.message = lost_why_->message;
    why.detail = "The transaction is lost.";
  }
  why.hint = "Roll it back, and begin it again.";
  return why;
}

}  // namespace leasehold::gateway
