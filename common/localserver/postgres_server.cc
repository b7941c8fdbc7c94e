#include <fcntl.h>
#include <poll.h>
#include <postgresql/libpq-fe.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <format>
#include <fstream>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/time/clock.h"
#include "common/localserver/account.h"
#include "common/localserver/localserver.h"
#include "common/status/error.h"
#include "common/status/view.h"

namespace leasehold::localserver {
namespace {

namespace fs = std::filesystem;

constexpr absl::Duration kStopPatience = absl::Seconds(20);

absl::StatusOr<std::string> FindPostgresProgram(std::string_view name) {
  static constexpr std::string_view kDebian = "/usr/lib/postgresql/17/bin";
  const std::array<std::string, 1> folders = {std::string(kDebian)};
  return FindProgram(name, folders);
}

std::string LogPath(const std::string& data_dir) { return std::format("{}.log", data_dir); }

absl::Status Failed(std::string_view what, const std::string& data_dir) {
  const std::string log_path = LogPath(data_dir);
  return absl::FailedPreconditionError(
      std::format("{}; its log, {}, ends with:{}", what, log_path, LastLines(log_path)));
}

// What the server of `data_dir` says of itself in its lock file (line 8): "starting", "ready", …; empty if that file is
// not of the process `pid` (line 1).
std::string SaysOfItself(const std::string& data_dir, pid_t pid) {
  std::ifstream file(std::format("{}/postmaster.pid", data_dir));
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  if (lines.size() < 8 || lines[0] != std::format("{}", pid)) return "";
  return std::string(StdView(absl::StripAsciiWhitespace(lines[7])));
}

PGPing Ping(int port) {
  return PQping(std::format("host=127.0.0.1 port={} dbname=postgres user=postgres connect_timeout=2", port).c_str());
}

std::vector<pid_t> ChildrenOf(pid_t pid) {
  std::vector<pid_t> children;
  std::ifstream file(std::format("/proc/{}/task/{}/children", pid, pid));
  for (pid_t child = 0; file >> child;) children.push_back(child);
  return children;
}

std::string PercentEncoded(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const unsigned char byte = static_cast<unsigned char>(c);
    if (absl::ascii_isalnum(byte) || c == '-' || c == '_' || c == '.' || c == '~') {
      out.push_back(c);
    } else {
      out += std::format("%{:02X}", byte);
    }
  }
  return out;
}

}  // namespace

absl::StatusOr<std::unique_ptr<PostgresServer>> PostgresServer::Start(Options options,
                                                                      const std::atomic<bool>* cancelled) {
  options.data_dir = fs::absolute(options.data_dir).lexically_normal();
  if (options.port == 0) options.port = FreePort();
  std::unique_ptr<PostgresServer> server(new PostgresServer(std::move(options)));
  if (geteuid() == 0) server->user_ = "postgres";
  LH_RETURN_IF_ERROR(server->Initialize());
  LH_RETURN_IF_ERROR(server->Launch(cancelled));
  return server;
}

absl::Status PostgresServer::Initialize() {
  const std::string& data_dir = options_.data_dir;
  std::error_code error;
  fs::create_directories(fs::path(data_dir).parent_path(), error);
  if (error) return absl::FailedPreconditionError(std::format("cannot make {}: {}", data_dir, error.message()));
  std::optional<Account> account;
  if (!user_.empty()) {
    LH_ASSIGN_OR_RETURN(account, FindAccount(user_));
    LH_RETURN_IF_ERROR(CheckReachable(*account, fs::path(data_dir).parent_path()));
  }
  if (fs::exists(std::format("{}/PG_VERSION", data_dir))) return absl::OkStatus();
  if (options_.superuser_password.empty()) return absl::InvalidArgumentError("superuser_password is empty");

  // Made here, because the server's user need not be allowed to write beside it.
  if (mkdir(data_dir.c_str(), 0700) != 0 && errno != EEXIST) {
    return absl::FailedPreconditionError(std::format("cannot make {}: {}", data_dir, strerror(errno)));
  }
  std::string password_file = std::format("{}.XXXXXX", data_dir);
  const int fd = mkostemp(password_file.data(), O_CLOEXEC);
  if (fd < 0) return absl::FailedPreconditionError(std::format("cannot make {}: {}", password_file, strerror(errno)));
  const absl::Cleanup remove_password = [&password_file] { unlink(password_file.c_str()); };
  const absl::Cleanup close_fd = [fd] { close(fd); };
  const std::string_view password = options_.superuser_password.reveal();
  const bool written = write(fd, password.data(), password.size()) == static_cast<ssize_t>(password.size());
  const bool given = !account || (fchown(fd, account->uid, account->gid) == 0 &&
                                  chown(data_dir.c_str(), account->uid, account->gid) == 0);
  if (!written || !given) {
    return absl::FailedPreconditionError(std::format("cannot prepare {}: {}", data_dir, strerror(errno)));
  }

  LH_ASSIGN_OR_RETURN(const std::string program, FindPostgresProgram("initdb"));
  std::vector<std::string> argv = {program,    "--pgdata",    data_dir,  "--username",       "postgres",
                                   "--pwfile", password_file, "--auth",  "scram-sha-256",    "--encoding",
                                   "UTF8",     "--locale",    "C.UTF-8", "--no-instructions"};
  if (!options_.durable) argv.push_back("--no-sync");
  LH_ASSIGN_OR_RETURN(const auto initdb, ChildProcess::Start({.argv = std::move(argv),
                                                              .environment = {"LC_ALL=C.UTF-8"},
                                                              .log_path = LogPath(data_dir),
                                                              .working_dir = "/",
                                                              .user = user_}));
  if (initdb->Wait() != 0) return Failed("initdb failed", data_dir);
  return absl::OkStatus();
}

// server.crt and server.key in the data directory are where PostgreSQL looks for them.
absl::Status PostgresServer::MakeCertificate() {
  const std::string& data_dir = options_.data_dir;
  LH_ASSIGN_OR_RETURN(
      const auto openssl,
      ChildProcess::Start(
          {.argv = {"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc",
                    "-days", "3650", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                    "-keyout", std::format("{}/server.key", data_dir), "-out", std::format("{}/server.crt", data_dir)},
           .environment = {},
           .log_path = LogPath(data_dir),
           .working_dir = "/",
           .user = user_}));
  if (openssl->Wait() != 0) return Failed("openssl made no certificate", data_dir);
  return absl::OkStatus();
}

// PostgreSQL takes no key that others can read, and has to be able to read it itself.
absl::Status PostgresServer::CopyCertificate() {
  for (const auto& [from, name] :
       {std::pair(options_.certificate_file, "server.crt"), std::pair(options_.key_file, "server.key")}) {
    const std::string to = std::format("{}/{}", options_.data_dir, name);
    std::error_code error;
    fs::remove(to, error);
    if (!fs::copy_file(from, to, error)) {
      return absl::FailedPreconditionError(std::format("cannot copy {} to {}: {}", from, to, error.message()));
    }
    bool given = chmod(to.c_str(), 0600) == 0;
    if (!user_.empty()) {
      LH_ASSIGN_OR_RETURN(const Account account, FindAccount(user_));
      given = given && chown(to.c_str(), account.uid, account.gid) == 0;
    }
    if (!given) return absl::FailedPreconditionError(std::format("cannot prepare {}: {}", to, strerror(errno)));
  }
  return absl::OkStatus();
}

absl::Status PostgresServer::Launch(const std::atomic<bool>* cancelled) {
  if (options_.tls) LH_RETURN_IF_ERROR(options_.certificate_file.empty() ? MakeCertificate() : CopyCertificate());
  LH_ASSIGN_OR_RETURN(const std::string program, FindPostgresProgram("postgres"));
  std::vector<std::string> argv = {program, "-D", options_.data_dir};
  const auto set = [&argv](std::string setting) {
    argv.emplace_back("-c");
    argv.push_back(std::move(setting));
  };
  set(std::format("port={}", options_.port));
  set("listen_addresses=127.0.0.1");
  set("unix_socket_directories=");
  // A log-in that stands still holds up every DROP DATABASE until then; the default is 60 s.
  set("authentication_timeout=10s");
  if (options_.tls) set("ssl=on");
  if (options_.durable) {
    // After a crash: one call, and not one for each of several hundred files a database.
    set("recovery_init_sync_method=syncfs");
  } else {
    // synchronous_commit stays on: with fsync off it costs one write(), and without it a killed server loses commits
    // that it has acknowledged.
    set("fsync=off");
    set("full_page_writes=off");
  }
  for (const std::string& setting : options_.settings) set(setting);
  LH_ASSIGN_OR_RETURN(process_, ChildProcess::Start({.argv = std::move(argv),
                                                     .environment = {"LC_ALL=C.UTF-8"},
                                                     .log_path = LogPath(options_.data_dir),
                                                     .working_dir = "/",
                                                     .user = user_}));
  return WaitUntilReady(cancelled);
}

absl::Status PostgresServer::WaitUntilReady(const std::atomic<bool>* cancelled) {
  absl::Time give_up = absl::Now() + options_.start_patience;
  while (true) {
    if (!process_->Running()) {
      process_.reset();
      return Failed(std::format("PostgreSQL on port {} ended at start", options_.port), options_.data_dir);
    }
    if (cancelled != nullptr && *cancelled) {
      Stop();
      return absl::CancelledError("stopped");
    }
    // Another server on the port may answer too: the file tells which one it is.
    const std::string says = SaysOfItself(options_.data_dir, process_->pid());
    const PGPing answers = says.empty() ? PQPING_NO_RESPONSE : Ping(options_.port);
    if (says == "ready" && answers == PQPING_OK) return absl::OkStatus();
    if (answers == PQPING_REJECT) give_up = absl::Now() + options_.start_patience;
    if (absl::Now() > give_up) {
      Kill();
      return Failed(std::format("PostgreSQL on port {} is not ready in time", options_.port), options_.data_dir);
    }
    absl::SleepFor(absl::Milliseconds(5));
  }
}

PostgresServer::~PostgresServer() { Stop(); }

pid_t PostgresServer::pid() const { return process_ == nullptr ? 0 : process_->pid(); }

bool PostgresServer::Running() { return process_ != nullptr && process_->Running(); }

std::string PostgresServer::SuperuserDsn(std::string_view database) const {
  return std::format("postgresql://postgres:{}@127.0.0.1:{}/{}", PercentEncoded(options_.superuser_password.reveal()),
                     options_.port, PercentEncoded(database));
}

// Backends are in sessions of their own, so a signal to the group does not reach them: the postmaster is stopped, so
// that it makes no more, and then all are killed by pidfd, which no reuse of a pid can mislead.
void PostgresServer::Kill() {
  if (!Running()) return;
  const pid_t postmaster = process_->pid();
  kill(postmaster, SIGSTOP);
  siginfo_t stopped = {};
  waitid(P_PID, static_cast<id_t>(postmaster), &stopped, WSTOPPED | WEXITED | WNOWAIT);
  std::vector<int> backends;
  for (const pid_t child : ChildrenOf(postmaster)) {
    const int fd = static_cast<int>(syscall(SYS_pidfd_open, child, 0));
    if (fd >= 0) backends.push_back(fd);
  }
  kill(postmaster, SIGKILL);
  for (const int fd : backends) syscall(SYS_pidfd_send_signal, fd, SIGKILL, nullptr, 0);
  process_->Wait();
  for (const int fd : backends) {
    pollfd ended{.fd = fd, .events = POLLIN, .revents = 0};
    poll(&ended, 1, static_cast<int>(absl::ToInt64Milliseconds(kStopPatience)));
    close(fd);
  }
  process_.reset();
  // All of its processes are gone, but its pid may have been given to a stranger, for whom the next start would wait.
  unlink(std::format("{}/postmaster.pid", options_.data_dir).c_str());
}

void PostgresServer::Stop() {
  if (!Running()) return;
  process_->Signal(SIGINT);  // fast shutdown
  const absl::Time give_up = absl::Now() + kStopPatience;
  while (process_->Running() && absl::Now() < give_up) absl::SleepFor(absl::Milliseconds(2));
  Kill();
  process_.reset();
}

absl::Status PostgresServer::Restart(const std::atomic<bool>* cancelled) {
  Stop();
  return Launch(cancelled);
}

}  // namespace leasehold::localserver
