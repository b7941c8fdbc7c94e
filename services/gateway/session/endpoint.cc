#include "services/gateway/session/endpoint.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <cerrno>
#include <cstring>
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
#include "common/telemetry/seldom.h"
#include "services/gateway/session/login.h"
#include "services/gateway/session/session.h"

namespace leasehold::gateway {
namespace {

using asio::ip::tcp;

// Out of file descriptors, mostly: try again when some sessions have gone.
constexpr absl::Duration kAcceptPause = absl::Milliseconds(100);
// Clients let in before those that are in have their turn.
constexpr int kAcceptTurn = 16;
constexpr int kMostDesks = 4;
// Of the clients for whom there is no descriptor: how many at once hear why.
constexpr int kToldOfDescriptors = 16;
// More than a session's farewell, and than PostgreSQL takes to close an idle connection.
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

std::vector<std::string> ServicesOf(const SqlEndpoint::Options& options) {
  std::vector<std::string> services;
  for (const InstanceOptions& instance : options.instances) services.push_back(instance.service.str());
  return services;
}

}  // namespace

// The socket that all halls accept from. Closed when the last lets go of it.
class SqlEndpoint::Door {
 public:
  explicit Door(int fd) : fd_(fd) {}
  ~Door() { close(fd_); }
  Door(const Door&) = delete;
  Door& operator=(const Door&) = delete;

  int fd() const { return fd_; }

 private:
  const int fd_;
};

// One thread on which clients log in and, with their servers, live; or a desk, on which they only log in.
class SqlEndpoint::Hall final : public Login::Host, public Loop::Watcher {
 public:
  explicit Hall(SqlEndpoint& endpoint) : endpoint_(endpoint), context_(endpoint.context_) {}

  Loop& loop() override { return loop_; }

  // Any thread.
  void Open(std::shared_ptr<Door> door) {
    loop_.Post([this, door = std::move(door)]() mutable {
      door_ = std::move(door);
      loop_.WatchListener(door_->fd(), *this);
    });
  }
  void Shut() {
    loop_.Post([this] { ShutNow(); });
  }
  void DrainAll() {
    ForEach([](Session& session) { session.Drain(); });
    loop_.Post([this] {
      std::vector<Login*> all;
      for (const auto& [key, login] : logins_) all.push_back(key);
      for (Login* const login : all) login->Drain();
    });
  }
  void EndAll() {
    const pgwire::ErrorFields why =
        pgwire::ToErrorFields(Error(v1::REASON_SHUTTING_DOWN, "the gateway is shutting down"));
    ForEach([why](Session& session) { session.End(why); });
  }
  // After the loop has stopped.
  void Clear() {
    logins_.clear();
    sessions_.clear();
  }

  // The door's.
  void OnReady(uint32_t) override {
    for (int turn = 0; door_ != nullptr && turn < kAcceptTurn; ++turn) {
      const int fd = accept4(door_->fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd >= 0) {
        Receive(Transport::Accepted(fd));
      } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
        return;
      } else if (errno != ECONNABORTED && errno != EINTR) {
        if (const auto times = accept_failed_.Note(absl::Now())) {
          Log(Level::kWarning, "accept failed", {{"error", std::strerror(errno)}, {"times", std::to_string(*times)}});
        }
        auto door = door_;
        ShutNow();
        loop_.After(kAcceptPause, [this, door = std::move(door)] {
          if (!context_.draining) Open(door);
        });
      }
    }
  }

  void TakeToDesk(Login& login) override {
    Hall& desk = endpoint_.NextDesk();
    desk.loop_.Post([&desk, its = std::move(logins_.extract(&login).mapped())]() mutable {
      Login& moved = *its;
      desk.logins_.emplace(&moved, std::move(its));
      moved.Continue(desk);
    });
  }
  void Done(Login& login, std::optional<Admission> admission) override {
    logins_.erase(&login);
    if (!admission) return;
    const auto pool = context_.pools.find(admission->grant->service.str());
    if (pool == context_.pools.end()) return;
    Hall& home = endpoint_.HallOf(*pool->second);
    if (&home == this) return Seat(*std::move(admission), *pool->second);
    home.loop_.Post([&home, admission = *std::move(admission), &pool = *pool->second]() mutable {
      home.Seat(std::move(admission), pool);
    });
  }

 private:
  void Receive(Transport client) {
    // Up to max_clients are served and as many again are told that they are not; beyond that a word costs too much.
    if (context_.draining || context_.clients.count() >= 2 * context_.max_clients) return;
    if (client.fd() >= context_.descriptors.ForClients()) {
      if (const auto times = crowded_.Note(absl::Now())) {
        Log(Level::kWarning, "clients are refused: too many file descriptors are open",
            {{"limit", std::to_string(DescriptorLimit())}, {"times", std::to_string(*times)}});
      }
      if (client.fd() >= context_.descriptors.ForClients() + kToldOfDescriptors) return;
    }
    auto login = std::make_unique<Login>(std::move(client), std::make_unique<ClientTicket>(context_.clients), context_);
    Login& its = *login;
    logins_.emplace(&its, std::move(login));
    its.Begin(*this);
  }
  void Seat(Admission admission, InstancePool& pool) {
    auto session = std::make_shared<Session>(std::move(admission), context_, pool,
                                             [this](Session& gone) { sessions_.erase(&gone); });
    sessions_.emplace(session.get(), session);
    session->Begin();
    if (context_.draining) session->Drain();  // it was on its way while the others were told
  }
  void ShutNow() {
    if (door_ == nullptr) return;
    loop_.Forget(door_->fd(), *this);
    door_.reset();
  }
  template <typename Function>
  void ForEach(Function function) {
    loop_.Post([this, function] {
      std::vector<std::shared_ptr<Session>> all;
      for (const auto& [key, session] : sessions_) all.push_back(session);
      for (const auto& session : all) function(*session);
    });
  }

  SqlEndpoint& endpoint_;
  SessionContext& context_;
  Loop loop_;
  std::shared_ptr<Door> door_;  // from here on: used on the loop only
  Seldom accept_failed_;
  Seldom crowded_;
  std::unordered_map<Login*, std::unique_ptr<Login>> logins_;
  std::unordered_map<Session*, std::shared_ptr<Session>> sessions_;
};

// One thread on which servers are dialled.
class SqlEndpoint::Switchboard {
 public:
  auto executor() { return io_.get_executor(); }
  void Run() {
    thread_ = std::thread([this] {
      while (true) {
        try {
          io_.run();
          return;
        } catch (const std::exception& thrown) {  // a defect of one dial must not take the others along
          Log(Level::kError, "exception while dialling", {{"what", thrown.what()}});
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
               .tls = options_.tls,
               .require_tls = options_.require_tls,
               .cancel_keys = {},
               .verifiers = VerifierCache(Secret(RandomHex(32))),
               .max_clients = options_.max_clients,
               .descriptors = options_.descriptors,
               .login_timeout = options_.login_timeout,
               .query_log = QueryLog(ServicesOf(options_), options_.log_queries),
               .audit = options_.audit,
               .clients = {},
               .draining = false} {
  const int cores = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  const int halls =
      std::min(options_.loops > 0 ? options_.loops : cores, std::max(1, static_cast<int>(options_.instances.size())));
  for (int i = 0; i < halls; ++i) halls_.push_back(std::make_unique<Hall>(*this));
  const int desks = options_.desks > 0 ? options_.desks : std::min(cores, kMostDesks);
  for (int i = 0; i < desks; ++i) {
    desks_.push_back(std::make_unique<Hall>(*this));
    switchboards_.push_back(std::make_unique<Switchboard>());
  }
  for (size_t i = 0; i < options_.instances.size(); ++i) {
    const InstanceOptions& instance = options_.instances[i];
    context_.pools.emplace(instance.service.str(), std::make_unique<InstancePool>(
                                                       instance, halls_[i % halls_.size()]->loop(),
                                                       switchboards_[i % switchboards_.size()]->executor(), metrics));
  }
}

SqlEndpoint::~SqlEndpoint() { Stop(); }

// Offered by direct TLS (PostgreSQL 17), and by libpq 17 behind an SSLRequest too. A client that offers other protocols
// only has the wrong server.
void SqlEndpoint::PrepareTls(SSL_CTX* context) {
  SSL_CTX_set_alpn_select_cb(
      context,
      [](SSL*, const unsigned char** out, unsigned char* size, const unsigned char* offered, unsigned int offered_size,
         void*) {
        static constexpr unsigned char kPostgres[] = "\x0apostgresql";
        unsigned char* chosen = nullptr;
        const int found = SSL_select_next_proto(&chosen, size, kPostgres, sizeof(kPostgres) - 1, offered, offered_size);
        *out = chosen;
        return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
      },
      nullptr);
}

absl::Status SqlEndpoint::Listen() {
  const std::string where = std::format("{}:{}", options_.listen.host, options_.listen.port);
  const auto refuse = [&where](const std::error_code& error) {
    return InvalidField("gateway.sql_listen", where, std::format("an address to listen on ({})", error.message()));
  };
  std::error_code error;
  asio::io_context io;
  tcp::resolver resolver(io);
  const auto found = resolver.resolve(options_.listen.host, std::to_string(options_.listen.port),
                                      tcp::resolver::passive | tcp::resolver::numeric_service, error);
  if (error || found.empty()) return refuse(error);
  const tcp::endpoint endpoint = found.begin()->endpoint();
  tcp::acceptor acceptor(io);
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor.non_blocking(true, error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) Transport::PrepareListener(acceptor.native_handle());
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) return refuse(error);
  port_ = acceptor.local_endpoint(error).port();
  const auto door = std::make_shared<Door>(acceptor.release(error));
  for (const auto& hall : halls_) hall->Open(door);
  return absl::OkStatus();
}

absl::Status SqlEndpoint::Start() {
  LH_RETURN_IF_ERROR(Listen());
  for (const auto& switchboard : switchboards_) switchboard->Run();
  for (const auto& desk : desks_) desk->loop().Start(Loop::Turns::kLong);
  for (const auto& hall : halls_) hall->loop().Start();
  source_ = metrics_.AddSource([this] { return Collect(); });
  return absl::OkStatus();
}

SqlEndpoint::Hall& SqlEndpoint::NextDesk() { return *desks_[desk_turn_++ % desks_.size()]; }

SqlEndpoint::Hall& SqlEndpoint::HallOf(InstancePool& pool) {
  return **std::ranges::find_if(halls_, [&pool](const auto& hall) { return &hall->loop() == &pool.loop(); });
}

void SqlEndpoint::Pools(PoolsCallback done) { Report({}, std::move(done)); }

void SqlEndpoint::Report(const ReportScope& scope, PoolsCallback done) {
  const auto gathering = std::make_shared<Gathering>(std::move(done));
  for (const auto& [service, pool] : context_.pools) {
    pool->loop().Post([gathering, scope, &its = *pool] { gathering->Add(its.Report(scope)); });
  }
}

void SqlEndpoint::AskVitals(std::move_only_function<void()> done) {
  const auto gathering =
      std::make_shared<Gathering>([done = std::move(done)](const std::vector<PoolReport>&) mutable { done(); });
  for (const auto& [service, pool] : context_.pools) {
    pool->loop().Post([gathering, &its = *pool] { its.AskVitals([gathering] {}); });
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
  for (const auto& hall : halls_) hall->Shut();
}

void SqlEndpoint::Drain(absl::Duration patience) {
  StopAccepting();
  for (const auto& desk : desks_) desk->DrainAll();
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
    for (const auto& desk : desks_) desk->DrainAll();
    for (const auto& hall : halls_) {
      hall->DrainAll();
      hall->EndAll();
    }
    context_.clients.AwaitNone(kStopPatience);
    CloseServers();
  }
  for (const auto& switchboard : switchboards_) switchboard->Join();
  for (const auto& desk : desks_) desk->loop().Stop();
  for (const auto& hall : halls_) hall->loop().Stop();
  // Clients first, then the pools that they point to, then the loops that those do.
  for (const auto& desk : desks_) desk->Clear();
  for (const auto& hall : halls_) hall->Clear();
  context_.pools.clear();
  halls_.clear();
  desks_.clear();
  switchboards_.clear();
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
