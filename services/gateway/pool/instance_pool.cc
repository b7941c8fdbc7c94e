#include "services/gateway/pool/instance_pool.h"

#include <asio/co_spawn.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>
#include <chrono>
#include <exception>
#include <format>
#include <utility>

#include "common/status/error.h"
#include "common/status/view.h"
#include "common/telemetry/log.h"
#include "services/gateway/pgwire/encode.h"
#include "services/gateway/pool/server_login.h"
#include "services/gateway/pool/wait.h"

namespace leasehold::gateway {
namespace {

constexpr int kMostCancels = 16;
constexpr absl::Duration kCancelPatience = absl::Seconds(5);
constexpr absl::Duration kClosePatience = absl::Seconds(5);
// A cancel stops one statement; a client may have sent several. So ask again until the backend has gone.
constexpr absl::Duration kCancelAgain = absl::Milliseconds(200);

using SteadyClock = std::chrono::steady_clock;

// Reads and drops until the server closes. False: it had not within `patience`.
asio::awaitable<bool> ReadToEnd(ServerConnection& connection, absl::Duration patience) {
  Alarm alarm(connection.stream.executor(), patience, [&connection] { connection.stream.CancelPending(); });
  while (!alarm.rang()) {
    connection.inbox.Consume(connection.inbox.size());
    auto [error, count] = co_await connection.stream.AsyncReadSome(connection.inbox.Free(), kAwait);
    if (error) co_return !alarm.rang();
  }
  co_return false;
}

}  // namespace

InstancePool::InstancePool(InstanceOptions options, Metrics& metrics)
    : options_(std::move(options)),
      cap_(std::make_shared<ConnectionCap>(options_.max_connections)),
      cancels_(std::make_shared<ConnectionCap>(kMostCancels)),
      tls_(asio::ssl::context::tls_client),
      connections_(metrics.Gauge("leasehold_sql_server_connections",
                                 "Server connections to an instance, with those opening and closing.",
                                 {{"service", options_.service.str()}})),
      waiting_(metrics.Gauge("leasehold_sql_server_connection_waiting", "Sessions that wait for a server connection.",
                             {{"service", options_.service.str()}})),
      connect_seconds_(metrics.Seconds("leasehold_sql_server_connect_seconds",
                                       "From dialling an instance to its first ReadyForQuery.",
                                       {{"service", options_.service.str()}})) {}

void InstancePool::CountConnections() {
  connections_.Set(cap_->in_use());
  waiting_.Set(cap_->waiting());
}

pgwire::ErrorFields InstancePool::Exhausted() const {
  return pgwire::ToErrorFields(Error(
      v1::REASON_INSTANCE_CONNECTIONS_EXHAUSTED,
      std::format("no server connection to the {} instance came free in {}: all {} of its max_connections are in use",
                  options_.service.str(), absl::FormatDuration(options_.connection_timeout),
                  options_.max_connections)));
}

pgwire::ErrorFields InstancePool::ForClient(const pgwire::ErrorFields& from_server) const {
  const std::string& service = options_.service.str();
  const std::string& code = from_server.code;
  if (code == "53300") {
    return pgwire::ToErrorFields(Error(v1::REASON_INSTANCE_CONNECTIONS_EXHAUSTED,
                                       std::format("the {} instance itself accepts no more connections", service)));
  }
  if (code == "3D000") {
    return pgwire::ToErrorFields(
        Error(v1::REASON_TENANT_NOT_READY, std::format("the database is not on the {} instance", service)));
  }
  // Of these only the client's own settings can be the cause: an unknown one, or a bad value.
  if (code.starts_with("22") || code == "42704" || code == "42501" || code == "55P02" || code == "42601") {
    return from_server;
  }
  const std::string_view how = code.starts_with("28") ? "refuses the gateway" : "does not answer";
  return pgwire::ToErrorFields(Error(v1::REASON_INSTANCE_UNAVAILABLE, std::format("the {} instance {}", service, how)));
}

asio::awaitable<InstancePool::Acquired> InstancePool::Acquire(ServerDemand demand) {
  const auto self = shared_from_this();
  const auto start = SteadyClock::now();
  waiting_.Set(cap_->waiting() + 1);
  std::optional<ConnectionCap::Permit> permit = co_await cap_->Take(options_.connection_timeout);
  CountConnections();
  if (!permit) co_return std::unexpected(Exhausted());

  const absl::Duration left = options_.connection_timeout - absl::FromChrono(SteadyClock::now() - start);
  const auto dialled = SteadyClock::now();
  auto connection =
      std::make_shared<ServerConnection>(asio::ip::tcp::socket(co_await asio::this_coro::executor), *std::move(permit));
  // At least a second: having queued to the end should not make a log-in fail that would take two milliseconds.
  Alarm alarm(connection->stream.executor(), std::max(left, absl::Seconds(1)),
              [connection] { connection->stream.Close(); });

  std::optional<LoginFailure> failure;
  if (absl::Status status = co_await Dial(options_.address, tls_, connection->stream); !status.ok()) {
    failure = LoginFailure{.status = std::move(status), .from_server = {}};
  } else {
    Settings startup = {{"user", demand.role}, {"database", demand.database}};
    for (auto& setting : demand.settings) startup.push_back(std::move(setting));
    // A backend whose gateway vanished stops its query within a second, rather than when it next writes.
    startup.emplace_back("client_connection_check_interval", "1000");
    failure = co_await LogIn(*connection, startup, options_.role_key.PasswordOf(demand.database_id, demand.kind));
  }
  if (!failure) {
    connect_seconds_.Observe(std::chrono::duration<double>(SteadyClock::now() - dialled).count());
    co_return connection;
  }
  Log(Level::kWarning, "no server connection",
      {{"service", options_.service.str()},
       {"database", demand.database},
       {"error", alarm.rang() ? "timed out" : StdView(failure->status.message())}});
  connection->stream.Close();
  connection.reset();
  CountConnections();
  co_return std::unexpected(ForClient(failure->from_server.value_or(pgwire::ErrorFields{})));
}

void InstancePool::Retire(ServerConnectionPtr connection, LeftBehind what) {
  const auto loop = connection->stream.executor();
  asio::co_spawn(loop, Finish(std::move(connection), what),
                 [self = shared_from_this()](std::exception_ptr) { self->CountConnections(); });
}

asio::awaitable<void> InstancePool::Finish(ServerConnectionPtr connection, LeftBehind what) {
  const auto give_up = SteadyClock::now() + absl::ToChronoNanoseconds(kClosePatience);
  if (what == LeftBehind::kWorking) co_await Cancel(connection->key);
  {
    Alarm alarm(connection->stream.executor(), kCancelAgain, [connection] { connection->stream.CancelPending(); });
    std::string goodbye;
    pgwire::Terminate(goodbye);
    co_await connection->stream.Write(goodbye);
  }
  connection->stream.ShutdownWrite();
  while (!co_await ReadToEnd(*connection, kCancelAgain) && SteadyClock::now() < give_up) {
    if (what == LeftBehind::kWorking) co_await Cancel(connection->key);
  }
  connection->stream.Close();
}

asio::awaitable<void> InstancePool::Cancel(BackendKey key) {
  const std::optional<ConnectionCap::Permit> permit = co_await cancels_->Take(kCancelPatience);
  if (!permit) co_return;
  const auto stream = std::make_shared<Stream>(asio::ip::tcp::socket(co_await asio::this_coro::executor));
  Alarm alarm(stream->executor(), kCancelPatience, [stream] { stream->Close(); });
  if (absl::Status status = co_await Dial(options_.address, tls_, *stream); !status.ok()) {
    Log(Level::kWarning, "cancel request failed",
        {{"service", options_.service.str()}, {"error", StdView(status.message())}});
    co_return;
  }
  std::string request;
  pgwire::CancelRequestPacket(request, key.process_id, key.secret);
  co_await stream->Write(request);
  char end = 0;  // PostgreSQL answers by closing
  co_await stream->AsyncReadSome(asio::buffer(&end, 1), kAwait);
}

void InstancePool::Shutdown() {
  cap_->Shutdown();
  cancels_->Shutdown();
}

}  // namespace leasehold::gateway
