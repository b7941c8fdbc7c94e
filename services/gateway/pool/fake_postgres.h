// For tests: as much of a PostgreSQL server as a pool needs, on a port of its own, in the test's process.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "services/gateway/pgwire/encode.h"
#include "services/gateway/pgwire/frame.h"

namespace leasehold::gateway {

// Any thread.
class FakePostgres {
 public:
  FakePostgres() : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(listen(fd_, 64), 0);
    socklen_t size = sizeof address;
    EXPECT_EQ(getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { Accept(); });
  }
  ~FakePostgres() {
    shutdown(fd_, SHUT_RDWR);
    acceptor_.join();
    HangUp();
    for (std::thread& thread : backends_) thread.join();
    close(fd_);
  }
  FakePostgres(const FakePostgres&) = delete;
  FakePostgres& operator=(const FakePostgres&) = delete;

  int port() const { return port_; }

  // From now on log-ins to `database` are refused with `sqlstate`; empty: hung up on; nullopt: no more.
  void Refuse(const std::string& database, std::optional<std::string> sqlstate) {
    absl::MutexLock lock(&mu_);
    refusals_[database] = std::move(sqlstate);
  }
  // From now on it has no room for more than so many connections.
  void SetRoom(size_t connections) {
    absl::MutexLock lock(&mu_);
    room_ = connections;
  }
  // Queries are not answered any more, nor whether it has TLS.
  void FallSilent() {
    absl::MutexLock lock(&mu_);
    silent_ = true;
  }
  // To who logs in next, at once behind ReadyForQuery.
  void SayBehindGreeting(const std::string& bytes) {
    absl::MutexLock lock(&mu_);
    behind_greeting_ = bytes;
  }
  // On everybody who is logged in.
  void HangUp() {
    absl::MutexLock lock(&mu_);
    for (const auto& [fd, database] : open_) shutdown(fd, SHUT_RDWR);
  }

  // To everybody who is logged in, unasked.
  void Say(const std::string& bytes) {
    absl::MutexLock lock(&mu_);
    for (const auto& [fd, database] : open_) Say(fd, bytes);
  }

  // The databases of connections that are logged in now, one each.
  std::multiset<std::string> open() {
    absl::MutexLock lock(&mu_);
    std::multiset<std::string> databases;
    for (const auto& [fd, database] : open_) databases.insert(database);
    return databases;
  }
  size_t most() {  // … ever at a time
    absl::MutexLock lock(&mu_);
    return most_;
  }
  int logins() {
    absl::MutexLock lock(&mu_);
    return logins_;
  }
  int tls_refusals() {  // it has no TLS
    absl::MutexLock lock(&mu_);
    return tls_refusals_;
  }
  int cancels() {
    absl::MutexLock lock(&mu_);
    return cancels_;
  }
  std::vector<std::string> queries() {
    absl::MutexLock lock(&mu_);
    return queries_;
  }

 private:
  static constexpr uint32_t kCancelRequest = 80877102;
  static constexpr uint32_t kSslRequest = 80877103;

  void Accept() {
    for (int fd = 0; (fd = accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC)) >= 0;) {
      backends_.emplace_back([this, fd] {
        Serve(fd);
        absl::MutexLock lock(&mu_);
        open_.erase(fd);
        close(fd);
      });
    }
  }

  // As much as `size` bytes.
  static bool Fill(int fd, std::string& bytes, size_t size) {
    std::array<char, 4096> buffer;
    while (bytes.size() < size) {
      const ssize_t count = recv(fd, buffer.data(), buffer.size(), 0);
      if (count <= 0) return false;
      bytes.append(buffer.data(), static_cast<size_t>(count));
    }
    return true;
  }
  static void Say(int fd, const std::string& bytes) { send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL); }

  void Serve(int fd) {
    std::string in;
    const auto next = [&] { return Fill(fd, in, 8) && Fill(fd, in, pgwire::ReadU32(in.data())); };
    if (!next()) return;
    if (pgwire::ReadU32(in.data() + 4) == kSslRequest) {
      bool silent = false;
      {
        absl::MutexLock lock(&mu_);
        ++tls_refusals_;
        silent = silent_;
      }
      if (!silent) Say(fd, "N");
      in.erase(0, 8);
      if (!next()) return;
    }
    const size_t size = pgwire::ReadU32(in.data());
    if (pgwire::ReadU32(in.data() + 4) == kCancelRequest) {
      absl::MutexLock lock(&mu_);
      ++cancels_;
      return;
    }
    if (!LogIn(fd, std::string_view(in).substr(8, size - 8))) return;
    in.erase(0, size);
    while (Fill(fd, in, pgwire::kHeaderSize)) {
      pgwire::Frame frame;
      if (pgwire::ReadHeader(in, pgwire::kLargestBody, frame) != pgwire::Answer::kDone || !Fill(fd, in, frame.size))
        return;
      if (frame.type == 'X') return;
      if (frame.type == 'Q' && !Answer(fd, in.substr(pgwire::kHeaderSize, frame.size - pgwire::kHeaderSize - 1)))
        return;
      in.erase(0, frame.size);
    }
  }

  bool LogIn(int fd, std::string_view parameters) {
    std::map<std::string, std::string> given;
    pgwire::BodyReader reader(parameters);
    for (std::string name(reader.CString()); !name.empty(); name = reader.CString()) given[name] = reader.CString();
    const std::string& database = given["database"];
    std::string out;
    {
      absl::MutexLock lock(&mu_);
      std::optional<std::string> refusal = refusals_[database];
      if (open_.size() >= room_) refusal = "53300";
      if (refusal) {
        if (!refusal->empty()) {
          pgwire::ErrorResponse(out, pgwire::Severity::kFatal, {.code = *refusal, .message = "as the test wants it"});
        }
      } else {
        open_[fd] = database;
        ++logins_;
        most_ = std::max(most_, open_.size());
        pgwire::AuthenticationOk(out);
        pgwire::ParameterStatus(out, "server_version", "17.0");
        pgwire::BackendKeyData(out, static_cast<uint32_t>(fd), 42);
        pgwire::ReadyForQuery(out, 'I');
        out += std::exchange(behind_greeting_, "");
      }
    }
    Say(fd, out);
    absl::MutexLock lock(&mu_);
    return open_.contains(fd);
  }

  bool Answer(int fd, const std::string& sql) {
    std::string out;
    {
      absl::MutexLock lock(&mu_);
      queries_.push_back(sql);
      if (silent_) return true;
    }
    pgwire::CommandComplete(out, "SELECT 0");
    pgwire::ReadyForQuery(out, 'I');
    Say(fd, out);
    return true;
  }

  const int fd_;
  int port_ = 0;
  std::thread acceptor_;
  std::vector<std::thread> backends_;  // the acceptor's, until it has been joined
  absl::Mutex mu_;
  std::map<std::string, std::optional<std::string>> refusals_ ABSL_GUARDED_BY(mu_);
  std::map<int, std::string> open_ ABSL_GUARDED_BY(mu_);  // by socket
  std::vector<std::string> queries_ ABSL_GUARDED_BY(mu_);
  size_t most_ ABSL_GUARDED_BY(mu_) = 0;
  int logins_ ABSL_GUARDED_BY(mu_) = 0;
  int cancels_ ABSL_GUARDED_BY(mu_) = 0;
  int tls_refusals_ ABSL_GUARDED_BY(mu_) = 0;
  size_t room_ ABSL_GUARDED_BY(mu_) = 1000;
  std::string behind_greeting_ ABSL_GUARDED_BY(mu_);
  bool silent_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace leasehold::gateway
