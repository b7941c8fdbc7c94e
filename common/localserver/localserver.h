// Real servers on this machine, for `leasehold stack` and for tests: child processes that die with their parent, wait
// for readiness, and stop cleanly.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/secret/secret.h"

namespace leasehold::localserver {

// Where a program is: on PATH, else in one of `folders`. FAILED_PRECONDITION if nowhere.
absl::StatusOr<std::string> FindProgram(std::string_view name, std::span<const std::string> folders = {});

// The last `lines` lines of a log, each behind "\n  | ", for error messages; empty if there is nothing to read.
std::string LastLines(const std::string& log_path, int lines = 8);

// A child process in its own process group, with PR_SET_PDEATHSIG so that it does not outlive the parent. One thread.
//
// The kernel ties PDEATHSIG to the thread that forked, not to the process: the child is killed when the thread that
// called Start() ends. Call it from a thread that lives as long as the child should, as main()'s does.
class ChildProcess {
 public:
  struct Options {
    std::vector<std::string> argv;         // argv[0] is looked up on PATH if it has no slash
    std::vector<std::string> environment;  // "K=V", added to the parent's
    std::string log_path;                  // stdout and stderr, appended; empty: inherited
    int input = -1;                        // stdin, stays the caller's to close; -1: nothing to read
    int output = -1;                       // the same for stdout, before `log_path`
    std::string working_dir;
    std::string user;  // run as this user if the parent is root; empty: as the parent
  };
  // FAILED_PRECONDITION if the program cannot be executed, with the reason.
  static absl::StatusOr<std::unique_ptr<ChildProcess>> Start(Options options);
  ~ChildProcess();  // SIGKILL to the group if still running, and reaps
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  pid_t pid() const { return pid_; }
  bool Running();                    // reaps without blocking
  std::optional<int> exit_status();  // as waitpid gives it
  void Signal(int signal);           // to the process, not to its group
  int Wait();                        // blocks until it ends; as waitpid gives it
  // Sends `signal`, waits up to `patience`, then SIGKILL to the group.
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

// A PostgreSQL 17 server. PostgreSQL refuses to run as root: as root it is run as user `postgres`. Its log is
// `<data_dir>.log`. One thread, see ChildProcess.
class PostgresServer {
 public:
  struct Options {
    std::string data_dir;               // made by initdb if absent; its parent must be reachable for the server's user
    int port = 0;                       // 0: a free one
    Secret superuser_password;          // of role `postgres`; log-ins use scram-sha-256
    std::vector<std::string> settings;  // "max_connections=100"
    // False, for tests and demos: survives the death of its processes, not that of the machine (fsync off).
    bool durable = false;
    // Offers TLS: with these PEM files, which are copied at each start, else with a certificate of its own making, new
    // each time, which nothing can be verified by.
    bool tls = false;
    std::string certificate_file = {};
    std::string key_file = {};
    // For a process that says nothing yet. One that answers that it is starting up (after a crash it looks at every
    // file of its data) is waited for as long as it lives: to begin anew would take as long again.
    absl::Duration start_patience = absl::Seconds(60);
  };
  // Returns when it accepts connections. FAILED_PRECONDITION says what is in the way and, if the server said anything,
  // its last words. CANCELLED soon after `cancelled` is set, and then nothing is left running.
  static absl::StatusOr<std::unique_ptr<PostgresServer>> Start(Options options,
                                                               const std::atomic<bool>* cancelled = nullptr);
  ~PostgresServer();  // fast shutdown

  int port() const { return options_.port; }
  pid_t pid() const;
  bool Running();
  // postgresql://postgres:…@127.0.0.1:port/database: development and tests only.
  std::string SuperuserDsn(std::string_view database = "postgres") const;
  void Kill();  // SIGKILL of the postmaster and all its backends: a crash. They are gone when it returns
  void Stop();  // fast shutdown
  // Same port and data; stops first if it runs. `cancelled`: as with Start().
  absl::Status Restart(const std::atomic<bool>* cancelled = nullptr);

 private:
  explicit PostgresServer(Options options) : options_(std::move(options)) {}
  absl::Status Initialize();
  absl::Status MakeCertificate();
  absl::Status CopyCertificate();
  absl::Status Launch(const std::atomic<bool>* cancelled);
  absl::Status WaitUntilReady(const std::atomic<bool>* cancelled);
  Options options_;
  std::string user_;  // whose process the server is; empty: ours
  std::unique_ptr<ChildProcess> process_;
};

// A nats-server with JetStream in `data_dir`; its log is `<data_dir>.log`. One thread, see ChildProcess.
class NatsServer {
 public:
  struct Options {
    std::string data_dir;
    int port = 0;
    // PEM files; with a CA, clients have to show a certificate of it. Without a certificate no TLS.
    std::string certificate_file = {};
    std::string key_file = {};
    std::string client_ca_file = {};
    std::vector<std::string> arguments = {};  // more for the program: "--user", "leasehold"
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
