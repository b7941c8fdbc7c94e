// Server → client: passed on as it comes. Headers tell what is answered and how the transaction stands.
#include <algorithm>
#include <format>
#include <string>
#include <utility>

#include "common/status/error.h"
#include "common/telemetry/log.h"
#include "services/gateway/pgwire/encode.h"
#include "services/gateway/session/limits.h"
#include "services/gateway/session/session.h"

namespace leasehold::gateway {
namespace {

constexpr uint64_t kCountEvery = 1 << 20;

bool IsNeededWhole(char type) {
  switch (type) {
    case 'D':
    case 'd':
    case 'T':
    case 'N':
    case 'V':
      return false;
    default:
      return true;
  }
}

}  // namespace

void Session::OnServerReady(Server& server) {
  const auto self = shared_from_this();
  if (!server.Flush()) return LoseServer();
  for (int turn = 0; server_ == &server && server.readable(); ++turn) {
    if (!outbox_.empty()) FlushClient();
    if (outbox_.size() >= kUnheard) break;
    if (turn == kTurn) {
      loop().Defer([self, s = &server] {
        if (self->server_ == s) self->OnServerReady(*s);
      });
      break;
    }
    const std::span<char> into = loop().scratch();
    const Transport::Result result = server.Read(into);
    if (result.closed) return LoseServer();
    if (result.bytes == 0) break;
    if (server.partial.empty()) {
      const std::string_view data(into.data(), result.bytes);
      const size_t used = Digest(data);
      if (used < data.size()) server.partial.assign(data.substr(used));
    } else {
      server.partial.append(into.data(), result.bytes);
      const std::string data = std::exchange(server.partial, {});
      const size_t used = Digest(data);
      server.partial.assign(data, used);
    }
    if (stage_ == Stage::kEnded || server_ != &server) return;
    if (stage_ == Stage::kPreparing && exchange_.settled()) return Prepared(!refusal_);
    if (stage_ == Stage::kHealing && exchange_.settled()) return Healed();
  }
  if (!outbox_.empty()) FlushClient();
  if (exchange_.settled() || bytes_in_ + bytes_out_ > kCountEvery) CountBytes();
  if (!exchange_.settled()) {
    if (stage_ == Stage::kSettling && exchange_.copying_in()) {  // it waits for the client, who waited for it
      stage_ = Stage::kServing;
      return Resume();
    }
    // The client may have waited for the server to take more.
    if (client_readable_ && !server.congested() && stage_ == Stage::kServing) ReadClient();
    return;
  }
  if (stage_ == Stage::kReadingBack) {
    FinishReadingBack();
    if (stage_ == Stage::kEnded) return;
  }
  if (stage_ == Stage::kSettling) stage_ = Stage::kServing;
  AfterTransaction();
  if (server_ != nullptr && exchange_.settled()) pool_.Resting(*server_);
  if (stage_ == Stage::kServing && (!inbox_.empty() || client_readable_)) Resume();
}

size_t Session::Digest(std::string_view data) {
  size_t at = 0;
  size_t run = 0;  // from here to `at` is the client's
  const auto interrupt = [&](size_t skip) {
    outbox_.append(data.substr(run, at - run));
    at += skip;
    run = at;
  };
  while (at < data.size()) {
    if (from_server_ > 0) {
      const size_t part = std::min(from_server_, data.size() - at);
      from_server_ -= part;
      if (passing_on_) {
        at += part;
      } else {
        interrupt(part);
      }
      if (from_server_ == 0 && exchange_.answer_due()) {
        interrupt(0);
        exchange_.TakeAnswers(outbox_);
      }
      continue;
    }
    const std::string_view rest = data.substr(at);
    pgwire::Frame frame;
    const pgwire::Answer answer = pgwire::ReadHeader(rest, pgwire::kLargestBody, frame);
    if (answer == pgwire::Answer::kNeedMore) break;
    if (answer == pgwire::Answer::kStop) {
      End({.code = "08P01", .message = "the server does not speak the protocol"});
      return at;
    }
    const bool whole = IsNeededWhole(frame.type) || stage_ == Stage::kReadingBack;
    if (frame.size > rest.size() && frame.size <= kLargestWhole && whole) break;
    passing_on_ = PassOn(frame, rest.substr(0, std::min(frame.size, rest.size())));
    from_server_ = frame.size;
    if (!parameters_.empty() && passing_on_) {
      interrupt(0);
      outbox_.append(std::exchange(parameters_, {}));
    }
    if (frame.type == 'Z' && passing_on_ && pins_ != told_pins_ && !doubtful_) {
      interrupt(0);
      TellPins();
    }
    if (frame.type == 'A' && IsOwnNotification(rest, frame)) {
      from_server_ = 0;
      interrupt(frame.size);
      pgwire::NotificationResponse(outbox_, key_.process_id,
                                   rest.substr(0, frame.size).substr(pgwire::kHeaderSize + 4));
      continue;
    }
  }
  const std::string_view out = data.substr(run, at - run);
  if (out.empty()) return at;
  if (!outbox_.empty()) {
    outbox_.append(out);
    return at;
  }
  const Transport::Result result = client_.Write(out);
  bytes_out_ += result.bytes;
  if (result.closed) {
    client_hung_up_ = client_readable_ = true;
    loop().Defer([self = shared_from_this()] { self->End({}); });
  } else if (result.bytes < out.size()) {
    outbox_.assign(out.substr(result.bytes));
    if (client_.tls()) FlushClient();  // which takes a record at a time
  }
  return at;
}

// So that a client finds its own among them: it compares with its BackendKeyData, which is the gateway's. Those of
// others keep PostgreSQL's numbers.
bool Session::IsOwnNotification(std::string_view bytes, const pgwire::Frame& frame) const {
  return frame.size <= bytes.size() && frame.size >= pgwire::kHeaderSize + 4 &&
         pgwire::ReadU32(bytes.data() + pgwire::kHeaderSize) == server_->key.process_id;
}

// Takes note of one message of the server's; false: it is not for the client.
bool Session::PassOn(const pgwire::Frame& frame, std::string_view bytes) {
  const std::string_view body = bytes.substr(std::min(bytes.size(), pgwire::kHeaderSize));
  const char status = frame.type == 'Z' && !body.empty() ? body[0] : '\0';
  const bool own = stage_ == Stage::kPreparing || stage_ == Stage::kReadingBack || stage_ == Stage::kHealing;
  if (frame.type == 'S') {
    pgwire::BodyReader reader(body);
    const std::string name(reader.CString());
    server_->NoteParameter(name, std::string(reader.CString()));
    if (own && stage_ == Stage::kPreparing) return false;
    heard_ = server_->parameters;
    return true;
  }
  if (stage_ == Stage::kReadingBack && frame.type == 'D') ReadBack(body);
  if (frame.type == 'E' && pgwire::IsFatal(body)) {
    // A server that is about to go answers nothing with it, and has not ended the session.
    last_words_ = pgwire::ReadErrorFields(body);
    return false;
  }
  const Exchange::Verdict verdict = exchange_.Received(frame.type, status);
  if (!verdict.undone.empty()) ForgetUnprepared(verdict.undone);
  switch (frame.type) {
    case 'E':
      if (stage_ == Stage::kPreparing) refusal_ = pgwire::ReadErrorFields(body);
      if (homeward_ == Homeward::kRan) homeward_ = Homeward::kSent;
      if (Heal(body, verdict)) return false;
      break;
    case 'C':
      NoteDone(body);
      break;
    case 'N':
      return !own;
    case 't':
      if (bytes.size() < frame.size) break;
      parameters_ = bytes;
      return false;
    case 'Z':
      if (!own && verdict.pass) {
        healed_ = false;
        if (exchange_.settled()) forgets_ = false;
        CountQuery(status);
        if (idle_timeout_ != absl::ZeroDuration()) idle_since_ = loop().now();
        if (!logged_sql_.empty()) LogStatements();
        if (exchange_.failed()) doubtful_ = unknown_ = true;
        if (status == 'I') {
          virtuals_.CloseAllPortals();
          if (exchange_.settled()) resetting_portal_.reset();
          if (homeward_ == Homeward::kRan) homeward_ = Homeward::kSure;
          changes_told_ |= !changed_.empty() || !resets_.empty() || homeward_ == Homeward::kSure;
        }
      }
      break;
    default:
      break;
  }
  return verdict.pass;
}

void Session::NoteDone(std::string_view tag) {
  const bool discards = tag.starts_with("DISCARD ALL");
  // These took what we had prepared along.
  if (discards || tag.starts_with("DEALLOCATE ALL")) {
    server_->prepared.Clear();
    if (forgets_) ForgetStatements();
  }
  if (discards) {  // which commits by itself
    discarded_ = true;
    homeward_ = Homeward::kSure;
  }
  if (homeward_ == Homeward::kSent && tag.starts_with("RESET")) homeward_ = Homeward::kRan;
  if (tag.starts_with("ROLLBACK")) {
    doubtful_ = true;
    if (homeward_ == Homeward::kRan) homeward_ = Homeward::kSent;
  }
  if (pins_ != 0) NoteUnpinning(tag);
}

// What a statement may have taken away of what keeps the server.
void Session::NoteUnpinning(std::string_view tag) {
  if (tag.starts_with("UNLISTEN")) {
    doubtful_pins_ |= pgwire::kPinListen;
  } else if (tag.starts_with("DROP ") || tag.starts_with("DISCARD TEMP")) {
    doubtful_pins_ |= pgwire::kPinTemporary;
  } else if (tag.starts_with("CLOSE CURSOR")) {
    doubtful_pins_ |= pgwire::kPinCursor;
  }
}

void Session::NoteStatement(std::string_view sql) {
  if (logged_sql_.size() >= 1'000) return;
  if (logged_sql_.empty()) logged_since_ = loop().now();
  logged_sql_ += std::format("{}{}", logged_sql_.empty() ? "" : "; ", Printable(sql.substr(0, sql.find('\0')), 1'000));
}

void Session::LogStatements() {
  const std::string sql = std::exchange(logged_sql_, {});
  Log(Level::kInfo, "statement",
      {{"lease", grant_->id.str()},
       {"tenant", tenant_ ? tenant_->str() : ""},
       {"sql", sql},
       {"ms", std::format("{:.3f}", absl::ToDoubleMilliseconds(loop().now() - logged_since_))}});
}

}  // namespace leasehold::gateway
