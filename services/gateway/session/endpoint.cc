#include "services/gateway/session/endpoint.h"

#include <algorithm>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <exception>
#include <format>
#include <future>
#include <thread>
#include <unordered_map>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/secret/secret.h"
#include "common/status/error.h"
#include "common/telemetry/log.h"
#include "services/gateway/pool/wait.h"
#include "services/gateway/session/login.h"
#include "services/gateway/session/session.h"
#include "services/gateway/session/verifier_cache.h"

namespace leasehold::gateway {
namespace {

using asio::ip::tcp;

// Out of file descriptors, mostly: try again when some sessions have gone.
constexpr absl::Duration kAcceptPause = absl::Milliseconds(100);
// More than a session's farewell, and than PostgreSQL takes to close an idle connection.
constexpr int kMostDesks = 4;
constexpr absl::Duration kStopPatience = absl::Seconds(2);
// Of one look at the metrics: less than whoever looks has.
constexpr absl::Duration kScrapePatience = absl::Seconds(2);

// Reports of several loops. Each that is asked holds it; whoever lets go of it last, having answered or not, hands them
// over.
class Gathering {
 public:
  explicit Gathering(SqlEndpoint::PoolsCallback done) : done_(std::move(done)) {}
  ~Gathering() {
    std::ranges::sort(reports_, {}, &PoolReport::service);
    done_(std::move(reports_));
  }
  Gathering(const Gathering&) = delete;
  Gathering& operator=(const Gathering&) = delete;

  void Add(PoolReport report) {
    absl::MutexLock lock(&mu_);
    reports_.push_back(std::move(report));
  }

 private:
  SqlEndpoint::PoolsCallback done_;
  absl::Mutex mu_;
  std::vector<PoolReport> reports_ ABSL_GUARDED_BY(mu_);
};

}  // namespace

// One thread on which sessions and their servers live.
class SqlEndpoint::Hall {
 public:
  explicit Hall(SessionContext& context) : context_(context) {}

  Loop& loop() { return loop_; }

  // Any thread.
  void Enter(Admission admission, InstancePool& pool) {
    loop_.Post([this, admission = std::move(admission), &pool]() mutable {
      auto session = std::make_shared<Session>(std::move(admission), context_, pool,
                                               [this](Session& gone) { sessions_.erase(&gone); });
      sessions_.emplace(session.get(), session);
      session->Begin();
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
  // After the loop has stopped.
  void Clear() { sessions_.clear(); }

 private:
  template <typename Function>
  void ForEach(Function function) {
    loop_.Post([this, function] {
      std::vector<std::shared_ptr<Session>> all;
      for (const auto& [key, session] : sessions_) all.push_back(session);
      for (const auto& session : all) function(*session);
    });
  }

  SessionContext& context_;
  Loop loop_;
  std::unordered_map<Session*, std::shared_ptr<Session>> sessions_;  // used on the loop only
};

// One thread on which clients log in and servers are dialled.
class SqlEndpoint::Desk {
 public:
  explicit Desk(Secret salt_key) : verifiers_(std::move(salt_key)) {}

  asio::io_context& io() { return io_; }
  VerifierCache& verifiers() { return verifiers_; }
  void Run() {
    thread_ = std::thread([this] {
      while (true) {
        try {
          io_.run();
          return;
        } catch (const std::exception& thrown) {  // a defect of one log-in must not take the others along
          Log(Level::kError, "exception at a log-in desk", {{"what", thrown.what()}});
        }
      }
    });
  }
  void Join() {
    work_.reset();
    io_.stop();
    if (thread_.joinable()) thread_.join();
  }

 private:
  VerifierCache verifiers_;
  asio::io_context io_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_{io_.get_executor()};
  std::thread thread_;
};

SqlEndpoint::SqlEndpoint(Options options, LeaseAuthority& authority, Metrics& metrics, const Clock& clock)
    : options_(std::move(options)),
      metrics_(metrics),
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
  const int cores = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  const int halls =
      std::min(options_.loops > 0 ? options_.loops : cores, std::max(1, static_cast<int>(options_.instances.size())));
  for (int i = 0; i < halls; ++i) halls_.push_back(std::make_unique<Hall>(context_));
  const Secret salt_key(RandomHex(32));
  const int desks = options_.desks > 0 ? options_.desks : std::min(cores, kMostDesks);
  for (int i = 0; i < desks; ++i) desks_.push_back(std::make_unique<Desk>(salt_key));
  for (size_t i = 0; i < options_.instances.size(); ++i) {
    const InstanceOptions& instance = options_.instances[i];
    context_.pools.emplace(instance.service.str(),
                           std::make_unique<InstancePool>(instance, halls_[i % halls_.size()]->loop(),
                                                          desks_[i % desks_.size()]->io().get_executor(), metrics));
  }
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
  // Offered by direct TLS (PostgreSQL 17), and by libpq 17 behind an SSLRequest too. A client that offers other
  // protocols only has the wrong server.
  SSL_CTX_set_alpn_select_cb(
      tls->native_handle(),
      [](SSL*, const unsigned char** out, unsigned char* size, const unsigned char* offered, unsigned int offered_size,
         void*) {
        static constexpr unsigned char kPostgres[] = "\x0apostgresql";
        unsigned char* chosen = nullptr;
        const int found = SSL_select_next_proto(&chosen, size, kPostgres, sizeof(kPostgres) - 1, offered, offered_size);
        *out = chosen;
        return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
      },
      nullptr);
  context_.tls = std::move(tls);
  return absl::OkStatus();
}

absl::Status SqlEndpoint::Listen() {
  const std::string where = std::format("{}:{}", options_.listen.host, options_.listen.port);
  const auto refuse = [&where](const std::error_code& error) {
    return InvalidField("gateway.sql_listen", where, std::format("an address to listen on ({})", error.message()));
  };
  std::error_code error;
  tcp::resolver resolver(desks_.front()->io());
  const auto found = resolver.resolve(options_.listen.host, std::to_string(options_.listen.port),
                                      tcp::resolver::passive | tcp::resolver::numeric_service, error);
  if (error || found.empty()) return refuse(error);
  const tcp::endpoint endpoint = found.begin()->endpoint();
  acceptor_ = std::make_unique<tcp::acceptor>(desks_.front()->io());
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
  asio::co_spawn(desks_.front()->io(), Accept(), asio::detached);
  for (const auto& hall : halls_) hall->loop().Start();
  for (const auto& desk : desks_) desk->Run();
  source_ = metrics_.AddSource([this] { return Collect(); });
  return absl::OkStatus();
}

asio::awaitable<void> SqlEndpoint::Accept() {
  for (size_t turn = 0;; ++turn) {
    tcp::socket socket(desks_.front()->io());
    auto [error] = co_await acceptor_->async_accept(socket, kAwait);
    if (!acceptor_->is_open()) co_return;
    if (error) {
      Log(Level::kWarning, "accept failed", {{"error", error.message()}});
      co_await Pause(kAcceptPause);
      continue;
    }
    // Up to max_clients are served and as many again are told that they are not; beyond that a word costs too much.
    if (context_.clients.count() >= 2 * options_.max_clients) continue;
    const int fd = socket.release(error);
    Desk& desk = *desks_[turn % desks_.size()];
    auto ticket = std::make_unique<ClientTicket>(context_.clients);
    asio::co_spawn(desk.io(), LogIn(desk, fd, std::move(ticket)), asio::detached);
  }
}

asio::awaitable<void> SqlEndpoint::LogIn(Desk& desk, int fd, std::unique_ptr<ClientTicket> ticket) {
  Login login(desk.io().get_executor(), fd, std::move(ticket), context_, desk.verifiers());
  std::optional<Admission> admission = co_await login.Run();
  if (!admission) co_return;
  const auto pool = context_.pools.find(admission->grant->service.str());
  if (pool == context_.pools.end()) co_return;
  const auto hall = std::ranges::find_if(halls_, [&](const auto& h) { return &h->loop() == &pool->second->loop(); });
  (*hall)->Enter(*std::move(admission), *pool->second);
}

void SqlEndpoint::Pools(PoolsCallback done) { Report({}, std::move(done)); }

void SqlEndpoint::Report(const ReportScope& scope, PoolsCallback done) {
  const auto gathering = std::make_shared<Gathering>(std::move(done));
  for (const auto& [service, pool] : context_.pools) {
    pool->loop().Post([gathering, scope, &its = *pool] { gathering->Add(its.Report(scope)); });
  }
}

// A thread of the HTTP endpoint's, or a test's.
std::vector<prometheus::MetricFamily> SqlEndpoint::Collect() {
  auto promise = std::make_shared<std::promise<std::vector<PoolReport>>>();
  std::future<std::vector<PoolReport>> reports = promise->get_future();
  Report({.most_tenants = options_.metrics_tenants, .absent = true},
         [promise](std::vector<PoolReport> all) { promise->set_value(std::move(all)); });
  if (reports.wait_for(absl::ToChronoNanoseconds(kScrapePatience)) != std::future_status::ready) {
    Log(Level::kWarning, "an event loop is too busy to tell of its pools", {});
    return {};
  }
  return FamiliesOf(reports.get());
}

void SqlEndpoint::StopAccepting() {
  context_.draining = true;
  if (!acceptor_) return;
  asio::post(desks_.front()->io(), [this] {
    std::error_code ignored;
    acceptor_->close(ignored);
  });
}

void SqlEndpoint::Drain(absl::Duration patience) {
  StopAccepting();
  for (const auto& hall : halls_) hall->DrainAll();
  if (context_.clients.AwaitNone(patience)) return;
  for (const auto& hall : halls_) hall->EndAll();
  context_.clients.AwaitNone(kStopPatience);
}

void SqlEndpoint::Stop() {
  if (std::exchange(stopped_, true)) return;
  source_.reset();
  StopAccepting();
  if (port_ != 0) {
    for (const auto& hall : halls_) hall->EndAll();
    context_.clients.AwaitNone(kStopPatience);
    CloseServers();
  }
  for (const auto& desk : desks_) desk->Join();
  for (const auto& hall : halls_) hall->loop().Stop();
  // Sessions first, then the pools that they point to, then the loops that those do.
  for (const auto& hall : halls_) hall->Clear();
  acceptor_.reset();
  context_.pools.clear();
  halls_.clear();
  desks_.clear();
}

// PostgreSQL is told good-bye rather than left to find out.
void SqlEndpoint::CloseServers() {
  for (const auto& [service, pool] : context_.pools) {
    pool->loop().Post([&its = *pool] { its.Close(); });
  }
  const absl::Time end = absl::Now() + kStopPatience;
  for (const auto& [service, pool] : context_.pools) {
    while (absl::Now() < end) {
      std::promise<int> promise;
      std::future<int> open = promise.get_future();
      pool->loop().Post(
          [&its = *pool, promise = std::move(promise)]() mutable { promise.set_value(its.connections()); });
      if (open.get() == 0) break;
      absl::SleepFor(absl::Milliseconds(2));
    }
  }
}

}  // namespace leasehold::gateway
