// Client → server. What is PostgreSQL's is relayed as it comes, frame headers read and nothing else; what may be ours
// is looked at first.
#include <algorithm>
#include <format>
#include <utility>

#include "common/status/error.h"
#include "services/gateway/pgwire/encode.h"
#include "services/gateway/pgwire/extended.h"
#include "services/gateway/session/session.h"

namespace leasehold::gateway {

asio::awaitable<void> Session::Upstream() {
  while (!ended_) {
    const Scanned scanned = Scan();
    if (size_t left = scanned.relay; left > 0) {
      RelayNow(left);
      if (left > 0) co_await Relay(left);
      if (ended_) break;
    }
    switch (scanned.next) {
      case Scanned::Next::kHandle:
        co_await Handle(scanned.frame);
        continue;
      case Scanned::Next::kNeedServer:
        if (Outcome outcome = co_await EnsureServer(); !outcome && !ended_) {
          // The statement fails, the session lives: the next one tries again.
          if (scanned.frame.type == 'Q' || scanned.frame.type == 'F') {
            co_await FailQuery(std::move(outcome.error()));
          } else {
            co_await FailStep(std::move(outcome.error()));
          }
          Discard(scanned.frame.size);
        }
        continue;
      case Scanned::Next::kViolation:
        End({.code = "08P01", .message = "invalid frontend message", .detail = "", .hint = ""});
        continue;
      case Scanned::Next::kRead:
        break;
    }
    if (!co_await FlushAnswers()) break;
    reading_ = true;
    if (draining_) Drain();
    if (ended_) break;
    auto [error, count] = co_await client_.AsyncReadSome(inbox_.Free(), kAwait);
    reading_ = false;
    if (error) End({});
    if (ended_) break;
    inbox_.Filled(count);
    bytes_in_ += count;
  }
}

Session::Scanned Session::Scan() {
  using Next = Scanned::Next;
  const std::string_view data = inbox_.Data();
  if (discarding_ > 0) {
    const size_t dropped = std::min(discarding_, data.size());
    inbox_.Consume(dropped);
    discarding_ -= dropped;
    if (discarding_ > 0) return {};
    return Scan();
  }
  size_t at = 0;
  while (at < data.size()) {
    if (passing_ > 0) {
      const size_t part = std::min(passing_, data.size() - at);
      at += part;
      passing_ -= part;
      continue;
    }
    pgwire::Frame frame;
    const std::string_view rest = data.substr(at);
    const pgwire::Answer answer = pgwire::ReadClientHeader(rest, frame);
    if (answer == pgwire::Answer::kNeedMore) break;
    if (answer == pgwire::Answer::kStop) return {.relay = at, .next = Next::kViolation, .frame = frame};
    const Verdict verdict = Judge(rest, frame);
    if (verdict == Verdict::kMore) break;
    if (verdict == Verdict::kHandle) return {.relay = at, .next = Next::kHandle, .frame = frame};
    if (!server_) return {.relay = at, .next = Next::kNeedServer, .frame = frame};
    tracker_.Sent(frame.type);
    passing_ = frame.size;
  }
  return {.relay = at, .next = Next::kRead, .frame = {}};
}

Session::Verdict Session::Judge(std::string_view bytes, const pgwire::Frame& frame) {
  switch (frame.type) {
    case 'X':
      return Verdict::kHandle;
    case 'S':
      return !server_ || skip_to_sync_ || batch_is_ours_ ? Verdict::kHandle : Verdict::kRelay;
    default:
      break;
  }
  if (skip_to_sync_) return Verdict::kHandle;
  switch (frame.type) {
    case 'Q':
    case 'P':
      return JudgeStatement(bytes, frame);
    case 'B':
    case 'D':
    case 'E':
    case 'C':
      return virtuals_.empty() ? Verdict::kRelay : JudgeName(bytes, frame);
    case 'F':
      return Verdict::kRelay;
    default:  // Flush and COPY data: without a server there is nothing that they could mean
      return server_ ? Verdict::kRelay : Verdict::kHandle;
  }
}

Session::Verdict Session::JudgeStatement(std::string_view bytes, const pgwire::Frame& frame) {
  const bool complete = bytes.size() >= frame.size;
  // A longer statement is judged by what fits into the buffer.
  if (!complete && bytes.size() < ReadBuffer::kCapacity) return Verdict::kMore;
  pgwire::BodyReader reader(bytes.substr(pgwire::kHeaderSize, frame.size - pgwire::kHeaderSize));
  const std::string_view name = frame.type == 'P' ? reader.CString() : "";
  if (!reader.ok()) return Verdict::kRelay;
  const std::string_view sql = reader.rest().substr(0, reader.rest().find('\0'));
  if (context_.log_queries && logged_sql_.size() < 1'000) {
    if (logged_sql_.empty()) logged_since_ = std::chrono::steady_clock::now();
    logged_sql_ += std::format("{}{}", logged_sql_.empty() ? "" : "; ", Printable(sql, 1'000));
  }
  if (pgwire::MayConcernGateway(sql, away())) {
    recognition_ = pgwire::Recognize(sql);
    const bool goes_home = recognition_.resets_all && away() && complete;
    const bool ours = recognition_.refusal || !recognition_.commands.empty() ||
                      (goes_home && (frame.type == 'Q' || recognition_.reset_all));
    if (ours) return Verdict::kHandle;
  }
  if (!virtuals_.empty()) {
    if (frame.type == 'Q') virtuals_.ClosePortal("");
    virtuals_.CloseStatement(name);
  }
  return Verdict::kRelay;
}

Session::Verdict Session::JudgeName(std::string_view bytes, const pgwire::Frame& frame) {
  const bool complete = bytes.size() >= frame.size;
  if (!complete && bytes.size() < ReadBuffer::kCapacity) return Verdict::kMore;
  const std::string_view body = bytes.substr(pgwire::kHeaderSize, frame.size - pgwire::kHeaderSize);
  bool ours = false;
  if (frame.type == 'B') {
    if (const auto names = pgwire::ReadBindNames(body)) {
      ours = virtuals_.FindStatement(names->statement) != nullptr;
      if (!ours) virtuals_.ClosePortal(names->portal);
    }
  } else if (frame.type == 'E') {
    const auto portal = pgwire::ReadExecute(body);
    ours = portal && virtuals_.FindPortal(*portal) != nullptr;
  } else if (const auto target = pgwire::ReadTarget(body)) {
    ours = target->kind == 'S' ? virtuals_.FindStatement(target->name) != nullptr
                               : virtuals_.FindPortal(target->name) != nullptr;
  }
  return ours ? Verdict::kHandle : Verdict::kRelay;
}

void Session::RelayNow(size_t& count) {
  if (!answers_.empty()) return;  // what came first goes out first
  std::error_code error;
  const size_t written = server_->connection->stream.TryWrite(inbox_.Data().substr(0, count), error);
  inbox_.Consume(written);
  count -= written;
}

asio::awaitable<void> Session::Relay(size_t count) {
  const std::shared_ptr<Server> server = server_;
  if (!co_await FlushAnswers()) co_return;
  // A server that does not take it any more may still have something to say: Downstream hears it and ends the session.
  co_await server->connection->stream.Write(inbox_.Data().substr(0, count));
  inbox_.Consume(count);
}

asio::awaitable<void> Session::SendToServer(char type, std::string message) {
  const std::shared_ptr<Server> server = server_;
  if (!co_await FlushAnswers()) co_return;
  tracker_.Sent(type);
  co_await server->connection->stream.Write(message);
}

void Session::Discard(size_t frame_size) {
  const size_t here = std::min(frame_size, inbox_.size());
  inbox_.Consume(here);
  discarding_ = frame_size - here;
}

asio::awaitable<void> Session::Handle(pgwire::Frame frame) {
  const bool complete = frame.size <= inbox_.size();
  const std::string_view body = inbox_.Data().substr(pgwire::kHeaderSize, frame.size - pgwire::kHeaderSize);
  switch (frame.type) {
    case 'X':
      co_await Settle();
      End({});
      co_return;
    case 'S':
      co_await HandleSync();
      break;
    case 'Q':
      if (!skip_to_sync_) co_await HandleQuery(body, complete);
      break;
    case 'P':
    case 'B':
    case 'D':
    case 'E':
    case 'C':
      if (!skip_to_sync_) co_await HandleStep(frame.type, body, complete);
      break;
    default:
      break;
  }
  Discard(frame.size);
}

asio::awaitable<void> Session::HandleSync() {
  skip_to_sync_ = batch_is_ours_ = false;
  if (server_ && tracker_.in_batch()) {
    // Steps of this batch are with the server, so its end is the server's to answer.
    std::string sync = {'S', '\0', '\0', '\0', '\4'};
    co_await SendToServer('S', std::move(sync));
  } else if (co_await Settle()) {
    pgwire::ReadyForQuery(answers_, tracker_.transaction_status());
  }
  if (tracker_.transaction_status() == 'I') virtuals_.CloseAllPortals();
}

}  // namespace leasehold::gateway
