// Server → client: relayed as it comes. Headers tell what is answered and how the transaction stands.
#include <algorithm>
#include <chrono>
#include <format>
#include <string>
#include <utility>

#include "common/status/error.h"
#include "common/telemetry/log.h"
#include "services/gateway/pgwire/encode.h"
#include "services/gateway/session/session.h"

namespace leasehold::gateway {
namespace {

constexpr uint64_t kCountEvery = 1 << 20;

// Reported settings that a client's SET keeps over a switch; PgBouncer tracks the same, and IntervalStyle behaves
// alike.
bool IsCarried(std::string_view name) {
  return name == "client_encoding" || name == "DateStyle" || name == "TimeZone" || name == "IntervalStyle" ||
         name == "standard_conforming_strings" || name == "application_name";
}

}  // namespace

asio::awaitable<void> Session::Downstream(std::shared_ptr<Server> server) {
  const auto self = shared_from_this();
  Stream& stream = server->connection->stream;
  ReadBuffer& inbox = server->connection->inbox;
  DownstreamPosition at;
  bool holding = false;  // client_busy_, from the first byte of a message to its last
  while (true) {
    auto [error, count] = co_await stream.AsyncReadSome(inbox.Free(), kAwait);
    if (error || server_ != server) break;
    inbox.Filled(count);
    const std::optional<size_t> ready = ScanServer(inbox, at);
    if (!ready) break;
    if (*ready > 0) {
      if (!holding) {
        while (client_busy_ && !ended_) co_await client_free_.Wait();
        if (ended_) break;
        client_busy_ = holding = true;
      }
      std::error_code failed;
      const std::string_view bytes = inbox.Data().substr(0, *ready);
      const size_t written = client_.TryWrite(bytes, failed);
      if (!failed && written < bytes.size()) failed = co_await client_.Write(bytes.substr(written));
      inbox.Consume(*ready);
      bytes_out_ += *ready;
      if (failed) {
        End({});
        break;
      }
      if (at.passing == 0) {
        client_busy_ = holding = false;
        client_free_.NotifyAll();
      }
    }
    if (server_ == server && tracker_.settled()) {
      settled_.NotifyAll();
      if (draining_) Drain();
    }
    if (bytes_in_ + bytes_out_ > kCountEvery) CountBytes();
    // The last look before the next read, which nobody would cancel any more.
    if (server_ != server) break;
  }
  if (server_ == server) {
    // It went by itself. If it said why, the client has heard it.
    server_.reset();
    const std::string& service = grant_->service.str();
    const bool explained = at.last == 'E' && at.passing == 0;
    End(explained ? pgwire::ErrorFields()
                  : pgwire::ToErrorFields(Error(v1::REASON_INSTANCE_UNAVAILABLE,
                                                std::format("the {} instance closed the connection", service))));
  } else {
    server->pool->Retire(server->connection, server->left);
  }
}

std::optional<size_t> Session::ScanServer(ReadBuffer& inbox, DownstreamPosition& at) {
  size_t pos = 0;
  while (pos < inbox.size()) {
    if (at.passing > 0) {
      const size_t part = std::min(at.passing, inbox.size() - pos);
      pos += part;
      at.passing -= part;
      continue;
    }
    if (at.dropping > 0) {
      const size_t part = std::min(at.dropping, inbox.size() - pos);
      inbox.Erase(pos, part);
      at.dropping -= part;
      continue;
    }
    const std::string_view rest = inbox.Data().substr(pos);
    pgwire::Frame frame;
    const pgwire::Answer answer = pgwire::ReadHeader(rest, pgwire::kLargestBody, frame);
    if (answer == pgwire::Answer::kNeedMore) break;
    if (answer == pgwire::Answer::kStop) return std::nullopt;
    const bool complete = rest.size() >= frame.size;
    char status = '\0';
    if (frame.type == 'Z' || frame.type == 'S') {
      if (!complete && frame.size <= ReadBuffer::kCapacity) break;
      if (frame.type == 'S') NoteParameter(rest.substr(pgwire::kHeaderSize, frame.size - pgwire::kHeaderSize));
      if (frame.type == 'Z') status = rest[pgwire::kHeaderSize];
    }
    tracker_.Received(frame.type, status);
    at.last = frame.type;
    if (frame.type == 'E' && swallow_error_) {
      swallow_error_ = false;
      at.dropping = frame.size;
    } else {
      at.passing = frame.size;
    }
    if (frame.type == 'Z' && !logged_sql_.empty()) LogStatements();
  }
  return pos;
}

void Session::NoteParameter(std::string_view body) {
  pgwire::BodyReader reader(body);
  const std::string name(reader.CString());
  const std::string value(reader.CString());
  if (!reader.ok()) return;
  reported_[name] = value;
  if (IsCarried(name)) carried_[name] = value;
}

void Session::LogStatements() {
  const auto took = std::chrono::steady_clock::now() - logged_since_;
  const std::string sql = std::exchange(logged_sql_, {});
  Log(Level::kInfo, "statement",
      {{"lease", grant_->id.str()},
       {"tenant", tenant_ ? tenant_->str() : ""},
       {"sql", sql},
       {"ms", std::format("{:.3f}", std::chrono::duration<double, std::milli>(took).count())}});
}

}  // namespace leasehold::gateway
