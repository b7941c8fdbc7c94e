#include "services/gateway/session/endpoint.h"

#include <algorithm>
#include <asio/bind_cancellation_slot.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <exception>
#include <format>
#include <thread>
#include <unordered_map>
#include <utility>

#include "common/secret/secret.h"
#include "common/status/error.h"
#include "common/telemetry/log.h"
#include "services/gateway/pool/wait.h"
#include "services/gateway/session/session.h"
#include "services/gateway/session/verifier_cache.h"

namespace leasehold::gateway {
namespace {

using asio::ip::tcp;

// Out of file descriptors, mostly: try again when some sessions have gone.
constexpr absl::Duration kAcceptPause = absl::Milliseconds(100);
// More than a session's farewell, and than PostgreSQL takes to close an idle connection.
constexpr absl::Duration kStopPatience = absl::Seconds(2);

}  // namespace

// One thread, its sessions, and what they share without locks.
class SqlEndpoint::Loop {
 public:
  Loop(SessionContext& context, Secret salt_key) : context_(context), verifiers_(std::move(salt_key)) {}

  asio::io_context& io() { return io_; }
  void Run() {
    thread_ = std::thread([this] { RunLoop(); });
  }
  void Join() {
    work_.reset();
    io_.stop();
    if (thread_.joinable()) thread_.join();
  }

  // Any thread.
  void Serve(tcp::socket socket) {
    asio::post(io_, [this, socket = std::move(socket)]() mutable {
      auto session = std::make_shared<Session>(std::move(socket), context_, verifiers_);
      sessions_.emplace(session.get(), session);
      asio::co_spawn(
          io_, session->Run(),
          asio::bind_cancellation_slot(session->stop_slot(), [this, session](const std::exception_ptr& thrown) {
            if (thrown) session->End({});
            sessions_.erase(session.get());
          }));
    });
  }
  void DrainAll() {
    ForEach([](Session& session) { session.Drain(); });
  }
  void EndAll() {
    const pgwire::ErrorFields why =
        pgwire::ToErrorFields(Error(v1::REASON_SHUTTING_DOWN, "the gateway is shutting down"));
    ForEach([why](Session& session) { session.End(why); });
  }

 private:
  template <typename Function>
  void ForEach(Function function) {
    asio::post(io_, [this, function] {
      std::vector<std::shared_ptr<Session>> all;
      for (const auto& [key, weak] : sessions_) {
        if (auto session = weak.lock()) all.push_back(std::move(session));
      }
      for (const auto& session : all) function(*session);
    });
  }

  void RunLoop() {
    while (true) {
      try {
        io_.run();
        return;
      } catch (const std::exception& thrown) {  // a defect of one session must not take the others along
        Log(Level::kError, "exception on an event loop", {{"what", thrown.what()}});
      }
    }
  }

  SessionContext& context_;
  VerifierCache verifiers_;
  asio::io_context io_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_{io_.get_executor()};
  std::unordered_map<Session*, std::weak_ptr<Session>> sessions_;  // used on the loop only
  std::thread thread_;
};

SqlEndpoint::SqlEndpoint(Options options, LeaseAuthority& authority, Metrics& metrics, const Clock& clock)
    : options_(std::move(options)),
      context_{.authority = authority,
               .clock = clock,
               .metrics = SessionMetrics(metrics),
               .pools = {},
               .tls = nullptr,
               .cancel_keys = {},
               .max_clients = options_.max_clients,
               .login_timeout = options_.login_timeout,
               .log_queries = options_.log_queries,
               .clients = {},
               .draining = false} {
  for (const InstanceOptions& instance : options_.instances) {
    context_.pools.emplace(instance.service.str(), std::make_shared<InstancePool>(instance, metrics));
  }
  const int loops =
      options_.loops > 0 ? options_.loops : static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  const Secret salt_key(RandomHex(32));
  for (int i = 0; i < loops; ++i) loops_.push_back(std::make_unique<Loop>(context_, salt_key));
}

SqlEndpoint::~SqlEndpoint() { Stop(); }

absl::Status SqlEndpoint::LoadCertificate() {
  if (options_.certificate_file.empty() && options_.key_file.empty()) return absl::OkStatus();
  auto tls = std::make_unique<asio::ssl::context>(asio::ssl::context::tls_server);
  std::error_code error;
  tls->set_options(
      asio::ssl::context::default_workarounds | asio::ssl::context::no_tlsv1 | asio::ssl::context::no_tlsv1_1, error);
  tls->use_certificate_chain_file(options_.certificate_file, error);
  if (error) {
    return InvalidField("gateway.sql_certificate_file", options_.certificate_file,
                        "a readable PEM file of certificates");
  }
  tls->use_private_key_file(options_.key_file, asio::ssl::context::pem, error);
  if (error) {
    return InvalidField("gateway.sql_key_file", options_.key_file, "a readable PEM file with the certificate's key");
  }
  context_.tls = std::move(tls);
  return absl::OkStatus();
}

absl::Status SqlEndpoint::Listen() {
  const std::string where = std::format("{}:{}", options_.listen.host, options_.listen.port);
  const auto refuse = [&where](const std::error_code& error) {
    return InvalidField("gateway.sql_listen", where, std::format("an address to listen on ({})", error.message()));
  };
  std::error_code error;
  tcp::resolver resolver(loops_.front()->io());
  const auto found = resolver.resolve(options_.listen.host, std::to_string(options_.listen.port),
                                      tcp::resolver::passive | tcp::resolver::numeric_service, error);
  if (error || found.empty()) return refuse(error);
  const tcp::endpoint endpoint = found.begin()->endpoint();
  acceptor_ = std::make_unique<tcp::acceptor>(loops_.front()->io());
  acceptor_->open(endpoint.protocol(), error);
  if (!error) acceptor_->set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor_->bind(endpoint, error);
  if (!error) acceptor_->listen(asio::socket_base::max_listen_connections, error);
  if (error) return refuse(error);
  port_ = acceptor_->local_endpoint(error).port();
  return absl::OkStatus();
}

absl::Status SqlEndpoint::Start() {
  LH_RETURN_IF_ERROR(LoadCertificate());
  LH_RETURN_IF_ERROR(Listen());
  asio::co_spawn(loops_.front()->io(), Accept(), asio::detached);
  for (const auto& loop : loops_) loop->Run();
  return absl::OkStatus();
}

asio::awaitable<void> SqlEndpoint::Accept() {
  for (size_t turn = 0;; ++turn) {
    // In turns: with few long-lived clients the kernel's own spreading (SO_REUSEPORT) can load one loop and idle
    // another.
    Loop& loop = *loops_[turn % loops_.size()];
    tcp::socket socket(loop.io());
    auto [error] = co_await acceptor_->async_accept(socket, kAwait);
    if (!acceptor_->is_open()) co_return;
    if (error) {
      Log(Level::kWarning, "accept failed", {{"error", error.message()}});
      co_await Pause(kAcceptPause);
      continue;
    }
    // Up to max_clients are served and as many again are told that they are not; beyond that a word costs too much.
    if (context_.clients.count() >= 2 * options_.max_clients) continue;
    loop.Serve(std::move(socket));
  }
}

void SqlEndpoint::StopAccepting() {
  context_.draining = true;
  if (!acceptor_) return;
  asio::post(loops_.front()->io(), [this] {
    std::error_code ignored;
    acceptor_->close(ignored);
  });
}

void SqlEndpoint::Drain(absl::Duration patience) {
  StopAccepting();
  for (const auto& loop : loops_) loop->DrainAll();
  if (context_.clients.AwaitNone(patience)) return;
  for (const auto& loop : loops_) loop->EndAll();
  context_.clients.AwaitNone(kStopPatience);
}

void SqlEndpoint::Stop() {
  if (std::exchange(stopped_, true)) return;
  StopAccepting();
  for (const auto& loop : loops_) loop->EndAll();
  if (port_ != 0) context_.clients.AwaitNone(kStopPatience);
  for (const auto& [service, pool] : context_.pools) {
    if (port_ != 0) pool->AwaitNone(kStopPatience);
    pool->Shutdown();
  }
  for (const auto& loop : loops_) loop->Join();
  // What is still waiting on a loop goes with it, while all that it points to is there.
  acceptor_.reset();
  loops_.clear();
}

}  // namespace leasehold::gateway
