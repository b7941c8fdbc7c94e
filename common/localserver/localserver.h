// Real servers on this machine, for `leasehold stack` and for tests: child processes that die with their parent, wait for
// readiness, and stop cleanly.
#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/secret/secret.h"

namespace leasehold::localserver {

// A child process in its own process group, with PR_SET_PDEATHSIG so that it does not outlive the parent. One thread.
class ChildProcess {
 public:
  struct Options {
    std::vector<std::string> argv;          // argv[0] is looked up on PATH
    std::vector<std::string> environment;   // "K=V", added to the parent's
    std::string log_path;                   // stdout and stderr, appended; empty: inherited
    std::string working_dir;
    std::string user;                       // run as this user if the parent is root; empty: as the parent
  };
  static absl::StatusOr<std::unique_ptr<ChildProcess>> Start(Options options);
  ~ChildProcess();  // SIGKILL if still running, and reaps

  pid_t pid() const { return pid_; }
  bool Running();                                                // reaps without blocking
  std::optional<int> exit_status();                              // as waitpid gives it
  void Signal(int signal);
  // Sends `signal`, waits up to `patience`, then SIGKILL.
  void Stop(int signal, absl::Duration patience);

 private:
  explicit ChildProcess(pid_t pid) : pid_(pid) {}
  pid_t pid_;
  std::optional<int> status_;
};

// A TCP port on 127.0.0.1 that was free a moment ago, outside the kernel's ephemeral range; different at each call.
int FreePort();

// Waits until somebody accepts on 127.0.0.1:port. DEADLINE_EXCEEDED otherwise.
absl::Status WaitForPort(int port, absl::Duration patience);

// A PostgreSQL 17 server. PostgreSQL refuses to run as root: as root it is run as user `postgres`.
class PostgresServer {
 public:
  struct Options {
    std::string data_dir;                    // made by initdb if absent; its parent must be reachable for the server's user
    int port = 0;                            // 0: a free one
    Secret superuser_password;               // of role `postgres`; log-ins use scram-sha-256
    std::vector<std::string> settings;       // "max_connections=100"
    bool durable = false;                    // false: fsync off (tests, demos)
  };
  static absl::StatusOr<std::unique_ptr<PostgresServer>> Start(Options options);  // returns when it accepts connections
  ~PostgresServer();                                                              // fast shutdown

  int port() const { return options_.port; }
  pid_t pid() const;
  bool Running();
  // postgresql://postgres:…@127.0.0.1:port/database: development and tests only.
  std::string SuperuserDsn(std::string_view database = "postgres") const;
  void Kill();                                    // SIGKILL of the whole group: a crash
  void Stop();                                    // fast shutdown
  absl::Status Restart();                         // same port and data

 private:
  explicit PostgresServer(Options options) : options_(std::move(options)) {}
  absl::Status Launch();
  Options options_;
  std::unique_ptr<ChildProcess> process_;
};

// A nats-server with JetStream in `data_dir`.
class NatsServer {
 public:
  struct Options {
    std::string data_dir;
    int port = 0;
  };
  static absl::StatusOr<std::unique_ptr<NatsServer>> Start(Options options);
  ~NatsServer();

  int port() const { return options_.port; }
  pid_t pid() const;
  bool Running();
  std::string Url() const;
  void Kill();
  void Stop();
  absl::Status Restart();

 private:
  explicit NatsServer(Options options) : options_(std::move(options)) {}
  absl::Status Launch();
  Options options_;
  std::unique_ptr<ChildProcess> process_;
};

// A fresh folder that goes with its owner; readable for the servers' user. Under $LEASEHOLD_TEST_DIR or /tmp.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace leasehold::localserver
