#include "services/gateway/session/session.h"

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/dispatch.hpp>
#include <asio/this_coro.hpp>
#include <utility>

#include "common/status/error.h"
#include "common/telemetry/log.h"
#include "services/gateway/pgwire/encode.h"

namespace leasehold::gateway {
namespace {

// How long a client is given to read its last words, out of the second in which a session must be dead.
constexpr absl::Duration kFarewell = absl::Milliseconds(500);
constexpr absl::Duration kResolvePatience = absl::Seconds(10);

}  // namespace

Session::Session(asio::ip::tcp::socket client, SessionContext& context, VerifierCache& verifiers)
    : context_(context),
      verifiers_(verifiers),
      client_(std::move(client)),
      settled_(client_.executor()),
      client_free_(client_.executor()) {
  client_.Prepare();
  context_.clients.Add();
  context_.metrics.sessions.Increment();
}

Session::~Session() {
  CountBytes();
  context_.clients.Remove();
  context_.metrics.sessions.Decrement();
}

asio::awaitable<void> Session::Run() {
  const auto self = shared_from_this();
  co_await asio::this_coro::throw_if_cancelled(false);
  if (Outcome logged_in = co_await LogIn(); logged_in) {
    if (context_.draining) Drain();
    co_await Upstream();
    End({});
  } else {
    End(std::move(logged_in.error()));
  }
  if (key_.process_id != 0) context_.cancel_keys.Remove(key_);
  attachment_.reset();
}

void Session::End(pgwire::ErrorFields why) {
  if (ended_) return;
  ended_ = true;
  DropServer(tracker_.settled() ? LeftBehind::kIdle : LeftBehind::kWorking);
  stop_.emit(asio::cancellation_type::terminal);
  settled_.NotifyAll();
  client_free_.NotifyAll();
  asio::co_spawn(executor(), Farewell(std::move(why)), asio::detached);
}

asio::awaitable<void> Session::Farewell(pgwire::ErrorFields why) {
  const auto self = shared_from_this();
  const Alarm enough(executor(), kFarewell, [self] { self->client_.Close(); });
  // In the middle of another message nothing can be said.
  if (!why.code.empty() && !std::exchange(client_busy_, true)) {
    std::string words = std::exchange(answers_, {});
    pgwire::ErrorResponse(words, pgwire::Severity::kFatal, why);
    co_await client_.Write(words);
  }
  // Closing with unread input would reset the connection and take the last words with it.
  client_.ShutdownWrite();
  char rest[512];
  while (true) {
    auto [error, count] = co_await client_.AsyncReadSome(asio::buffer(rest), kAwait);
    if (error) break;
  }
  client_.Close();
}

bool Session::Idle() const {
  return grant_ != nullptr && reading_ && passing_ == 0 && inbox_.size() == 0 && tracker_.settled() &&
         !tracker_.in_batch() && !batch_is_ours_ && tracker_.transaction_status() == 'I' && !client_busy_;
}

void Session::Drain() {
  draining_ = true;
  if (Idle()) End(pgwire::ToErrorFields(Error(v1::REASON_SHUTTING_DOWN, "the gateway is shutting down")));
}

asio::awaitable<void> Session::CancelQuery() {
  const auto self = shared_from_this();
  // The connection is this session's alone, so a late cancel can only hit the session's own next statement, as in
  // PostgreSQL.
  if (ended_ || !server_ || tracker_.settled()) co_return;
  const std::shared_ptr<Server> server = server_;
  co_await server->pool->Cancel(server->connection->key);
}

asio::awaitable<absl::StatusOr<Route>> Session::Resolve(std::optional<TenantId> tenant) {
  struct Pending {
    asio::steady_timer timer;
    absl::StatusOr<Route> result;
    bool done = false;
  };
  const auto pending = std::make_shared<Pending>(
      Pending{.timer = asio::steady_timer(executor(), absl::ToChronoNanoseconds(kResolvePatience)),
              .result = Error(v1::REASON_REGISTRY_UNAVAILABLE, "the registry does not answer")});
  // Weak: an answer that comes after the loops have gone finds nothing to wake.
  context_.authority.Resolve(grant_, tenant, [waiting = std::weak_ptr(pending)](absl::StatusOr<Route> route) {
    const auto present = waiting.lock();
    if (!present) return;
    asio::dispatch(present->timer.get_executor(), [present, route = std::move(route)]() mutable {
      present->result = std::move(route);
      present->done = true;
      present->timer.cancel();
    });
  });
  if (!pending->done) co_await pending->timer.async_wait(kAwait);
  if (!tenant && pending->result.ok()) central_database_ = pending->result->database;
  co_return pending->result;
}

Settings Session::ServerSettings() const {
  Settings settings;
  for (const auto& [name, value] : startup_settings_) {
    if (!carried_.contains(name)) settings.emplace_back(name, value);
  }
  for (const auto& [name, value] : carried_) settings.emplace_back(name, value);
  // So that current_setting('leasehold.tenant') is right inside functions and policies too.
  settings.emplace_back("leasehold.tenant", tenant_ ? tenant_->str() : "");
  return settings;
}

asio::awaitable<Session::Outcome> Session::EnsureServer() {
  if (server_) co_return Outcome();
  const absl::StatusOr<Route> route = co_await Resolve(tenant_);
  if (!route.ok()) co_return std::unexpected(pgwire::ToErrorFields(route.status()));
  const auto pool = context_.pools.find(route->service.str());
  if (pool == context_.pools.end()) {
    co_return std::unexpected(
        pgwire::ToErrorFields(Error(v1::REASON_SERVICE_NOT_FOUND, "this gateway knows no instance of the service")));
  }
  InstancePool::Acquired acquired =
      co_await pool->second->Acquire({.database = route->database,
                                      .role = route->role,
                                      .database_id = route->database_id,
                                      .kind = route->read_only ? RoleKind::kReadOnly : RoleKind::kOwner,
                                      .settings = ServerSettings()});
  if (!acquired) co_return std::unexpected(std::move(acquired.error()));
  if (ended_) {
    pool->second->Retire(*std::move(acquired), LeftBehind::kIdle);
    co_return std::unexpected(pgwire::ErrorFields());
  }
  server_ = std::make_shared<Server>(Server{.pool = pool->second, .connection = *std::move(acquired)});
  tracker_.Reset();
  for (const auto& [name, value] : server_->connection->parameters) {
    std::string& heard = reported_[name];
    if (heard == value && !value.empty()) continue;
    heard = value;
    pgwire::ParameterStatus(answers_, name, value);
  }
  asio::co_spawn(executor(), Downstream(server_), asio::detached);
  co_return Outcome();
}

void Session::DropServer(LeftBehind left) {
  if (!server_) return;
  server_->left = left;
  server_->connection->stream.CancelPending();
  server_.reset();
  tracker_.Reset();
}

asio::awaitable<bool> Session::Settle() {
  if (ended_) co_return false;
  if (tracker_.settled()) co_return true;
  if (tracker_.in_batch()) {
    // The server keeps the answers to steps to itself until it is asked for them.
    std::string flush;
    pgwire::Flush(flush);
    const std::shared_ptr<Server> server = server_;
    if (co_await server->connection->stream.Write(flush)) co_return false;
  }
  while (!ended_ && !tracker_.settled()) co_await settled_.Wait();
  co_return !ended_;
}

asio::awaitable<bool> Session::ClientFree() {
  while (client_busy_ && !ended_) co_await client_free_.Wait();
  co_return !ended_;
}

asio::awaitable<bool> Session::FlushAnswers() {
  if (answers_.empty()) co_return !ended_;
  if (!co_await ClientFree()) co_return false;
  client_busy_ = true;
  const std::string words = std::exchange(answers_, {});
  const std::error_code error = co_await client_.Write(words);
  bytes_out_ += words.size();
  client_busy_ = false;
  client_free_.NotifyAll();
  if (error) End({});
  co_return !ended_;
}

void Session::CountBytes() {
  context_.metrics.bytes_in.Increment(static_cast<double>(std::exchange(bytes_in_, 0)));
  context_.metrics.bytes_out.Increment(static_cast<double>(std::exchange(bytes_out_, 0)));
}

}  // namespace leasehold::gateway
