#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <filesystem>
#include <format>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/time/clock.h"
#include "common/localserver/localserver.h"
#include "common/status/error.h"

namespace leasehold::localserver {
namespace {

constexpr absl::Duration kStartPatience = absl::Seconds(60);
constexpr absl::Duration kStopPatience = absl::Seconds(10);

// Tells our server from another one that may hold the port.
std::string ServerName(const std::string& data_dir) {
  std::string name = "leasehold";
  for (const char c : data_dir) name.push_back(absl::ascii_isalnum(static_cast<unsigned char>(c)) ? c : '-');
  return name;
}

// The line "INFO {…}" that nats-server greets with; empty if nobody answers.
std::string ReadInfo(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const absl::Cleanup close_fd = [fd] { close(fd); };
  const timeval patience{.tv_sec = 1, .tv_usec = 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return "";
  std::string line;
  std::array<char, 4096> buffer = {};
  while (!line.contains('\n') && line.size() < 64 * 1024) {
    const ssize_t got = recv(fd, buffer.data(), buffer.size(), 0);
    if (got <= 0) return "";
    line.append(buffer.data(), static_cast<size_t>(got));
  }
  return line;
}

}  // namespace

absl::StatusOr<std::unique_ptr<NatsServer>> NatsServer::Start(Options options) {
  options.data_dir = std::filesystem::absolute(options.data_dir).lexically_normal();
  if (options.port == 0) options.port = FreePort();
  std::error_code error;
  std::filesystem::create_directories(options.data_dir, error);
  if (error) return absl::FailedPreconditionError(std::format("cannot make {}: {}", options.data_dir, error.message()));
  std::unique_ptr<NatsServer> server(new NatsServer(std::move(options)));
  LH_RETURN_IF_ERROR(server->Launch());
  return server;
}

absl::Status NatsServer::Launch() {
  const std::string log_path = std::format("{}.log", options_.data_dir);
  const std::string name = ServerName(options_.data_dir);
  std::vector<std::string> argv = {"nats-server", "-js",       "-sd", options_.data_dir,
                                   "-a",          "127.0.0.1", "-p",  std::format("{}", options_.port),
                                   "-n",          name};
  if (!options_.certificate_file.empty()) {
    argv.insert(argv.end(), {"--tls", "--tlscert", options_.certificate_file, "--tlskey", options_.key_file});
  }
  if (!options_.client_ca_file.empty()) {
    argv.insert(argv.end(), {"--tlsverify", "--tlscacert", options_.client_ca_file});
  }
  argv.insert(argv.end(), options_.arguments.begin(), options_.arguments.end());
  LH_ASSIGN_OR_RETURN(
      process_,
      ChildProcess::Start(
          {.argv = std::move(argv), .environment = {}, .log_path = log_path, .working_dir = "/", .user = ""}));
  const absl::Time give_up = absl::Now() + kStartPatience;
  const std::string mark = std::format("\"server_name\":\"{}\"", name);
  while (!ReadInfo(options_.port).contains(mark)) {
    const bool ended = !process_->Running();
    if (ended || absl::Now() > give_up) {
      process_.reset();
      return absl::FailedPreconditionError(
          std::format("nats-server on port {}{}; its log, {}, ends with:{}", options_.port,
                      ended ? " ended at start" : " is not ready in time", log_path, LastLines(log_path)));
    }
    absl::SleepFor(absl::Milliseconds(10));
  }
  return absl::OkStatus();
}

NatsServer::~NatsServer() { Stop(); }

pid_t NatsServer::pid() const { return process_ == nullptr ? 0 : process_->pid(); }

bool NatsServer::Running() { return process_ != nullptr && process_->Running(); }

std::string NatsServer::Url() const {
  return std::format("{}://127.0.0.1:{}", options_.certificate_file.empty() ? "nats" : "tls", options_.port);
}

void NatsServer::Kill() { process_.reset(); }

void NatsServer::Stop() {
  if (process_ != nullptr) process_->Stop(SIGTERM, kStopPatience);
  process_.reset();
}

absl::Status NatsServer::Restart() {
  Stop();
  return Launch();
}

}  // namespace leasehold::localserver
