// Client → server. What is PostgreSQL's is relayed as it comes; statements are looked at for what they leave behind,
// and what is ours is answered here.
#include <algorithm>
#include <format>
#include <utility>

#include "common/status/error.h"
#include "services/gateway/pgwire/encode.h"
#include "services/gateway/pgwire/extended.h"
#include "services/gateway/session/limits.h"
#include "services/gateway/session/session.h"

namespace leasehold::gateway {
namespace {

size_t HeldWhole(std::string_view bytes, const pgwire::Frame& frame) {
  if (frame.type == 'B') return kLargestWhole;
  const bool named = frame.type == 'P' && bytes.size() > pgwire::kHeaderSize && bytes[pgwire::kHeaderSize] != '\0';
  return named && frame.size <= kLargestNamed ? kLargestNamed : kLargestStatement;
}

}  // namespace

size_t Session::Consume(std::string_view data) {
  size_t at = 0;
  size_t run = 0;  // from here to `at` is the server's
  const auto pass_run = [&](bool more) {
    const std::string_view bytes = data.substr(run, at - run);
    run = at;
    if (bytes.empty() || server_ == nullptr) return true;
    if (more) {
      server_->outbox().append(bytes);
      return true;
    }
    return server_->Send(bytes);
  };
  while (stage_ == Stage::kServing) {
    if (passing_ > 0) {
      const size_t part = std::min(passing_, data.size() - at);
      at += part;
      passing_ -= part;
      if (passing_ > 0) break;
      continue;
    }
    if (discarding_ > 0) {
      pass_run(true);
      const size_t part = std::min(discarding_, data.size() - at);
      discarding_ -= part;
      run = at += part;
      if (discarding_ > 0) break;
      continue;
    }
    const std::string_view rest = data.substr(at);
    pgwire::Frame frame;
    const pgwire::Answer answer = pgwire::ReadClientHeader(rest, frame);
    if (answer == pgwire::Answer::kNeedMore) break;
    if (answer == pgwire::Answer::kStop) {
      End({.code = "08P01", .message = "invalid frontend message"});
      return data.size();
    }
    if (MustWait(frame)) {
      pass_run(true);
      Settle();
      break;
    }
    const std::string_view bytes = rest.substr(0, frame.size);
    const Verdict verdict = Judge(bytes, frame);
    if (verdict == Verdict::kMore) break;
    if (verdict == Verdict::kViolation) {
      End({.code = "08P01", .message = std::format("invalid message of type \"{}\"", frame.type)});
      return data.size();
    }
    if (!batch_open_) BeginBatch();
    exchange_.Mark(server_ == nullptr ? 0 : server_->batch.size());
    if (verdict == Verdict::kRelay) {
      if (effects_.resets_all && !refusal_) {
        pass_run(true);
        if (Settle() == Handled::kWaits) continue;
        refusal_ = MayNotReset();
      }
      if (!refusal_) refusal_ = LeavesTooMuch(effects_);
      if (refusal_) {
        Refused(frame, *std::exchange(refusal_, std::nullopt));
        run = at += bytes.size();
        discarding_ = frame.size - bytes.size();
        continue;
      }
      if (!Attach()) continue;  // it waits, or was refused
      NoteEffects(effects_);
      if (log_queries_ && frame.type == 'Q') NoteStatement(bytes.substr(pgwire::kHeaderSize));
      exchange_.Sent(frame.type);
      KeepStep(bytes, frame);
      passing_ = frame.size;
      continue;
    }
    pass_run(true);
    switch (Handle(bytes, frame)) {
      case Handled::kWaits:
        break;
      case Handled::kReplaced:
        run = at += bytes.size();
        if (server_ != nullptr && !server_->Flush()) LoseServer();
        return at;
      case Handled::kDone:
        KeepStep(bytes, frame);
        run = at += bytes.size();
        discarding_ = frame.size - bytes.size();
        continue;
      case Handled::kRelayed:
        KeepStep(bytes, frame);
        run = at += bytes.size();
        continue;
    }
    break;
  }
  if (stage_ == Stage::kEnded) return data.size();
  if (server_ != nullptr) {
    const bool well = server_->outbox().empty() ? pass_run(false) : (pass_run(true), server_->Flush());
    if (!well) {
      // The server may still have something to say; its end is told to whoever has it.
      loop().Defer([self = shared_from_this(), s = server_] {
        if (self->server_ == s) self->OnServerReady(*s);
      });
    }
  }
  return at;
}

// Behind too much that the server has not answered, or behind something after which the session will be elsewhere or
// has fewer names of statements.
bool Session::MustWait(const pgwire::Frame& frame) const {
  if (exchange_.outstanding() >= kMostOutstanding) return !exchange_.copying_in();
  if ((homeward_ == Homeward::kNo && !forgets_) || batch_open_ || exchange_.settled() || exchange_.copying_in()) {
    return false;
  }
  return frame.type != 'd' && frame.type != 'c' && frame.type != 'f' && frame.type != 'H';
}

// RESET ALL takes the session home, which is a switch.
std::optional<pgwire::ErrorFields> Session::MayNotReset() const {
  const bool in_block = exchange_.transaction_status() != 'I' || exchange_.block_sent() == pgwire::Block::kBegins ||
                        effects_.first_block != pgwire::Block::kNone || effects_.last_block != pgwire::Block::kNone;
  if (tenant_ == grant_->home_tenant || !in_block) return std::nullopt;
  return pgwire::ErrorFields{.code = "25001",
                             .message = "RESET ALL and DISCARD ALL cannot take the session home inside a transaction",
                             .hint = "Send them outside of it, or RESET each setting."};
}

Session::Verdict Session::Judge(std::string_view bytes, const pgwire::Frame& frame) {
  effects_ = {};
  if (frame.type == 'X') return Verdict::kHandle;
  if (frame.type == 'S') {
    const bool ours = server_ == nullptr || skip_to_sync_ || batch_is_ours_ || lost_ != Lost::kNo;
    return ours ? Verdict::kHandle : Verdict::kRelay;
  }
  if (skip_to_sync_ || lost_batch_) return Verdict::kHandle;
  // PostgreSQL says what it thinks of anything but data now.
  if (exchange_.copying_in()) return Verdict::kRelay;
  const bool whole = bytes.size() == frame.size;
  if (lost_ != Lost::kNo && frame.type != 'P' && frame.type != 'B' && frame.type != 'D' && frame.type != 'C' &&
      frame.type != 'E') {
    return whole || frame.type != 'Q' || bytes.size() >= kLargestStatement ? Verdict::kHandle : Verdict::kMore;
  }
  switch (frame.type) {
    case 'Q':
      if (!whole && bytes.size() < kLargestStatement) return Verdict::kMore;
      return JudgeStatement(bytes, frame);
    case 'P':
    case 'B':
      if (!whole && bytes.size() < HeldWhole(bytes, frame)) return Verdict::kMore;
      return JudgeName(bytes, frame);
    case 'D':
    case 'C':
    case 'E':
      if (!whole) return frame.size > kLargestWhole ? Verdict::kViolation : Verdict::kMore;
      return JudgeName(bytes, frame);
    case 'F':
      effects_.unknown = true;
      return Verdict::kRelay;
    default:  // Flush and COPY data: without a server there is nothing that they could mean
      return server_ != nullptr ? Verdict::kRelay : Verdict::kHandle;
  }
}

Session::Verdict Session::JudgeStatement(std::string_view bytes, const pgwire::Frame& frame) {
  const std::string_view body = bytes.substr(pgwire::kHeaderSize);
  const bool whole = bytes.size() == frame.size;
  if (whole && !body.ends_with('\0')) return Verdict::kViolation;
  const std::string_view sql = body.substr(0, body.find('\0'));
  unnamed_ = 0;  // a simple query destroys it
  if (server_ != nullptr) server_->unnamed = 0;
  effects_ = pgwire::EffectsOf(sql);
  if (!whole) effects_.AddAnything();
  return effects_.concerns_gateway ? JudgeCommands(sql, whole) : Verdict::kRelay;
}

Session::Verdict Session::JudgeCommands(std::string_view sql, bool whole) {
  recognition_ = pgwire::Recognize(sql, whole);
  if (recognition_.alone) {
    const pgwire::Command& command = *recognition_.alone;
    return IsOurs(command) ? Verdict::kHandle : Verdict::kRelay;
  }
  if (recognition_.refusal || !recognition_.commands.empty()) return Verdict::kHandle;
  return Verdict::kRelay;
}

// What PostgreSQL itself could do, and the gateway does in its place where it can.
bool Session::IsOurs(const pgwire::Command& alone) const {
  switch (alone.kind) {
    case pgwire::Command::Kind::kDeallocate:
      // What SQL's PREPARE has made is the server's to forget.
      if (alone.name.empty()) return server_ == nullptr || (pins_ & pgwire::kPinPrepare) == 0;
      return statements_.contains(alone.name) || virtuals_.FindStatement(alone.name) != nullptr ||
             (server_ == nullptr && sql_prepared_.contains(alone.name));
    case pgwire::Command::Kind::kResetAll:
    case pgwire::Command::Kind::kDiscardAll:
      // Of a server that is kept there is more to reset than we know of.
      if (server_ != nullptr && held()) return false;
      break;
    default:
      break;
  }
  return exchange_.transaction_status() == 'I' && !exchange_.batch_has_run();
}

Session::Verdict Session::JudgeName(std::string_view bytes, const pgwire::Frame& frame) {
  const std::string_view body = bytes.substr(pgwire::kHeaderSize);
  switch (frame.type) {
    case 'P':
      return Verdict::kHandle;
    case 'B': {
      const auto names = pgwire::ReadBindNames(body);
      return names ? Verdict::kHandle : Verdict::kViolation;
    }
    case 'E': {
      const auto portal = pgwire::ReadExecute(body);
      if (!portal) return Verdict::kViolation;
      effects_.resets_all = resetting_portal_ == *portal;
      if (lost_ != Lost::kNo) return Verdict::kHandle;
      return !virtuals_.empty() && virtuals_.FindPortal(*portal) != nullptr ? Verdict::kHandle : Verdict::kRelay;
    }
    default: {
      const auto target = pgwire::ReadTarget(body);
      if (!target) return Verdict::kViolation;
      if (target->kind == 'S' || lost_ != Lost::kNo) return Verdict::kHandle;
      return !virtuals_.empty() && virtuals_.FindPortal(target->name) != nullptr ? Verdict::kHandle : Verdict::kRelay;
    }
  }
}

Session::Handled Session::Settle() {
  if (exchange_.settled()) return Handled::kDone;
  // The server answers steps when it is asked to, or at the next Sync.
  if (exchange_.in_batch()) pgwire::Flush(server_->outbox());
  stage_ = Stage::kSettling;
  return Handled::kWaits;
}

// There is no server for what `frame` begins.
void Session::Refused(const pgwire::Frame& frame, const pgwire::ErrorFields& why) {
  if (frame.type == 'Q' || frame.type == 'F') {
    FailQuery(why);
  } else {
    FailStep(why);
  }
}

Session::Handled Session::Handle(std::string_view bytes, const pgwire::Frame& frame) {
  const bool complete = frame.size == bytes.size();
  const std::string_view body = bytes.substr(pgwire::kHeaderSize);
  if (frame.type == 'X') {
    if (!exchange_.settled() && !exchange_.copying_in()) return Settle();
    End({});
    return Handled::kDone;
  }
  if (lost_batch_ && frame.type != 'H') {
    pgwire::ErrorResponse(outbox_, pgwire::Severity::kError, *std::exchange(lost_batch_, std::nullopt));
    skip_to_sync_ = true;
    if (lost_ != Lost::kNo) lost_ = Lost::kTold;
  }
  if (lost_ != Lost::kNo && frame.type != 'S' && !skip_to_sync_ && !exchange_.skipping()) {
    if (const std::optional<Handled> handled = HandleInLost(bytes, frame)) return *handled;
  }
  switch (frame.type) {
    case 'S':
      return HandleSync();
    case 'Q':
      return skip_to_sync_ ? Handled::kDone : HandleQuery(body, complete);
    case 'P':
    case 'B':
    case 'D':
    case 'E':
    case 'C':
      // What PostgreSQL ignores must leave nothing here either.
      if (skip_to_sync_ || exchange_.skipping()) return Handled::kDone;
      break;
    default:
      return Handled::kDone;
  }
  if (frame.type == 'P') {
    pgwire::BodyReader reader(body);
    const std::string_view name = reader.CString();
    const size_t begin = std::min(name.size() + 1, body.size());
    const std::string_view sql = body.substr(begin, body.find('\0', begin) - begin);
    if (complete && begin + sql.size() >= body.size()) {
      End({.code = "08P01", .message = "invalid Parse message"});
      return Handled::kWaits;
    }
    // A new statement of that name, whoever had one.
    if (name.empty()) virtuals_.CloseStatement(name);
    if (pgwire::MayConcernGateway(sql)) {
      recognition_ = pgwire::Recognize(sql, complete);
      const bool alone = recognition_.alone && IsOurs(*recognition_.alone);
      if (recognition_.refusal || !recognition_.commands.empty() || alone) return HandleStep('P', body, complete);
    }
    return complete ? ParseStatement(body) : UseStatement(bytes, frame, name, 0);
  }
  // Ours, or PostgreSQL's under a name of ours?
  std::string_view statement;
  size_t name_at = 0;
  switch (frame.type) {
    case 'B': {
      const auto names = pgwire::ReadBindNames(body);
      statement = names->statement;
      name_at = names->portal.size() + 1;
      // A portal's name is taken over by whoever binds last.
      if (virtuals_.FindStatement(statement) == nullptr) virtuals_.ClosePortal(names->portal);
      break;
    }
    case 'E':
      return HandleStep('E', body, complete);
    default: {
      const auto target = pgwire::ReadTarget(body);
      if (target->kind == 'P') return HandleStep(frame.type, body, complete);
      statement = target->name;
      name_at = 1;
      break;
    }
  }
  if (!virtuals_.empty() && virtuals_.FindStatement(statement) != nullptr)
    return HandleStep(frame.type, body, complete);
  if (frame.type == 'C') return CloseStatement(statement);
  return UseStatement(bytes, frame, statement, name_at);
}

Session::Handled Session::HandleSync() {
  // That there is a transaction, lost as it is, the server does not know.
  if (lost_ != Lost::kNo && EndOwnBatch() == Handled::kWaits) return Handled::kWaits;
  if (server_ != nullptr && exchange_.in_batch()) {
    // Steps of this batch are with the server, so its end is the server's to answer.
    pgwire::Sync(server_->outbox());
    exchange_.Sent('S');
  } else {
    if (Settle() == Handled::kWaits) return Handled::kWaits;
    CountOwnAnswer();
    pgwire::ReadyForQuery(outbox_, TransactionStatus());
    if (exchange_.transaction_status() == 'I') virtuals_.CloseAllPortals();
  }
  skip_to_sync_ = batch_is_ours_ = false;
  return Handled::kDone;
}

}  // namespace leasehold::gateway
