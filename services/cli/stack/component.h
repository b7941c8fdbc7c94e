// One process of the stack, started so that it is ready when Start() returns.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/config/config.h"
#include "common/daemon/readiness.h"
#include "common/localserver/localserver.h"

namespace leasehold::stack {

// One thread from Start() on, which must live as long as the process (see localserver::ChildProcess).
class Component {
 public:
  Component(std::string name, std::string address) : name_(std::move(name)), address_(std::move(address)) {}
  virtual ~Component() = default;
  Component(const Component&) = delete;
  Component& operator=(const Component&) = delete;

  const std::string& name() const { return name_; }
  const std::string& address() const { return address_; }

  // Also again, after it has ended. CANCELLED soon after `cancelled` is set; another error says why it is not ready,
  // and then nothing is left running.
  virtual absl::Status Start(const std::atomic<bool>& cancelled) = 0;
  virtual bool Running() = 0;
  virtual pid_t pid() const = 0;
  virtual void Stop() = 0;
  // After it ended by itself: "signal 9", "exit status 1"; empty if that is not known.
  virtual std::string HowItEnded() { return ""; }

 private:
  const std::string name_;
  const std::string address_;
};

class PostgresComponent : public Component {
 public:
  // `prepare` runs once, when the server is up for the first time.
  PostgresComponent(std::string name, localserver::PostgresServer::Options options,
                    std::function<absl::Status()> prepare);
  absl::Status Start(const std::atomic<bool>& cancelled) override;
  bool Running() override { return server_ != nullptr && server_->Running(); }
  pid_t pid() const override { return server_ == nullptr ? 0 : server_->pid(); }
  void Stop() override;

 private:
  const localserver::PostgresServer::Options options_;
  std::function<absl::Status()> prepare_;
  std::unique_ptr<localserver::PostgresServer> server_;
};

class NatsComponent : public Component {
 public:
  explicit NatsComponent(localserver::NatsServer::Options options);
  absl::Status Start(const std::atomic<bool>& cancelled) override;
  bool Running() override { return server_ != nullptr && server_->Running(); }
  pid_t pid() const override { return server_ == nullptr ? 0 : server_->pid(); }
  void Stop() override;

 private:
  const localserver::NatsServer::Options options_;
  std::unique_ptr<localserver::NatsServer> server_;
};

// A Leasehold daemon: ready when GET /readyz answers 200.
class DaemonComponent : public Component {
 public:
  struct Options {
    std::string name;
    std::string address;  // shown
    std::vector<std::string> argv;
    std::vector<std::string> environment;
    std::string log_path;
    HostPort http;
    HttpFiles http_files = {};                         // that it serves HTTP with
    absl::Duration patience = absl::Seconds(60);       // until it is ready
    absl::Duration stop_patience = absl::Seconds(10);  // from SIGTERM to SIGKILL
  };
  explicit DaemonComponent(Options options);
  absl::Status Start(const std::atomic<bool>& cancelled) override;
  bool Running() override { return process_ != nullptr && process_->Running(); }
  pid_t pid() const override { return process_ == nullptr ? 0 : process_->pid(); }
  void Stop() override;
  std::string HowItEnded() override;

 private:
  absl::Status Failed(const std::string& what) const;

  const Options options_;
  uintmax_t log_begin_ = 0;  // of what this start has logged
  std::unique_ptr<localserver::ChildProcess> process_;
};

}  // namespace leasehold::stack
