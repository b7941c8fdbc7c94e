// A pool before a PostgreSQL that does as it is told, and clients that stand in its lines. Tests only.
#pragma once

#include <gtest/gtest.h>

#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "services/gateway/pool/fake_postgres.h"
#include "services/gateway/pool/instance_pool.h"
#include "services/gateway/pool/run_on.h"

namespace leasehold::gateway {

// A pool with its loop and its desk.
class Rig {
 public:
  explicit Rig(InstanceOptions options)
      : pool_(std::make_unique<InstancePool>(std::move(options), loop_, io_.get_executor(), metrics_)),
        desk_([this, work = asio::make_work_guard(io_)] { io_.run(); }) {
    loop_.Start();
  }
  ~Rig() {
    io_.stop();
    desk_.join();
    loop_.Stop();
    pool_.reset();
  }
  Rig(const Rig&) = delete;
  Rig& operator=(const Rig&) = delete;

  // Runs `work` on the loop and waits for it.
  template <typename Work>
  auto On(Work work) {
    return RunOn(loop_, std::move(work));
  }
  InstancePool& pool() { return *pool_; }
  Line& LineOf(const std::string& tenant) {
    return pool_->LineFor(
        {.database = tenant, .role = "role", .database_id = "id", .kind = RoleKind::kOwner, .tenant = tenant});
  }
  std::string Exposed() const { return metrics_.Expose(); }
  PoolReport Report(const ReportScope& scope = {}) {
    return On([&] { return pool_->Report(scope); });
  }
  // As soon as it holds of a report, or not in half a minute.
  bool Becomes(const std::function<bool(const PoolReport&)>& condition) {
    for (const absl::Time end = absl::Now() + absl::Seconds(30); absl::Now() < end;) {
      if (condition(Report())) return true;
      absl::SleepFor(absl::Milliseconds(1));
    }
    return false;
  }

 private:
  Metrics metrics_;
  asio::io_context io_{1};
  Loop loop_;
  std::unique_ptr<InstancePool> pool_;
  std::thread desk_;
};

// Stands in line like a session. Any thread but the loop's.
class Client final : public ServerClient {
 public:
  explicit Client(Rig& rig) : rig_(rig) {}
  ~Client() override {
    rig_.On([this] {
      rig_.pool().Leave(*this);
      if (server_ != nullptr) rig_.pool().Release(*server_, Leftover::kNothing);
    });
  }

  Client& Ask(const std::string& tenant) {
    rig_.On([&] {
      if (Server* const server = rig_.pool().Acquire(rig_.LineOf(tenant), *this)) OnServer(*server);
    });
    return *this;
  }
  bool waits() {
    absl::MutexLock lock(&mu_);
    return outcome_.empty();
  }
  // "served", or what it was told in place of a server.
  std::string Outcome() {
    absl::MutexLock lock(&mu_);
    mu_.AwaitWithTimeout(
        absl::Condition(+[](std::string* outcome) { return !outcome->empty(); }, &outcome_), absl::Seconds(30));
    return std::exchange(outcome_, "");
  }
  // Does something with its server, on the loop; it has none then.
  template <typename Use>
  void With(Use use) {
    rig_.On([&] { use(rig_.pool(), *std::exchange(server_, nullptr)); });
  }
  void Release(Leftover leftover = Leftover::kNothing) {
    With([leftover](InstancePool& pool, Server& server) { pool.Release(server, leftover); });
  }

  void OnServer(Server& server) override {
    server_ = &server;
    Set("served");
  }
  void OnNoServer(const pgwire::ErrorFields& why) override { Set(why.code + ": " + why.message); }
  void OnServerReady(Server&) override {}

 private:
  void Set(std::string outcome) {
    absl::MutexLock lock(&mu_);
    outcome_ = std::move(outcome);
  }

  Rig& rig_;
  Server* server_ = nullptr;  // the loop's
  absl::Mutex mu_;
  std::string outcome_ ABSL_GUARDED_BY(mu_);
};

class InstancePoolTest : public testing::Test {
 protected:
  InstanceOptions Options() {
    return {.service = *ServiceName::Parse("identity"),
            .address = {.host = "127.0.0.1", .port = postgres_.port(), .tls = TlsMode::kDisable},
            .role_keys = *RoleKey::Parse("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"),
            .connection_timeout = absl::Seconds(20)};
  }
  InstanceOptions WithCap(int cap) {
    InstanceOptions options = Options();
    options.max_connections = cap;
    return options;
  }
  // A transaction from its beginning to its end.
  static std::string Use(Rig& rig, const std::string& tenant) {
    Client client(rig);
    return client.Ask(tenant).Outcome();
  }
  static bool NoneIsClosing(const PoolReport& report) { return report.closing == 0; }

  FakePostgres postgres_;
};

}  // namespace leasehold::gateway
