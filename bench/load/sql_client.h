// One PostgreSQL connection of a load generator: SCRAM or no password, simple queries, no TLS, never blocks. It speaks
// the protocol itself and not through libpq, because libpq stretches the password anew at every log-in (see
// scram_login.h) and its results cost more than the proxies under test take for a query.
#pragma once

#include <netinet/in.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "bench/load/scram_login.h"

namespace leasehold::bench {

// Where to connect, and as whom.
struct Target {
  sockaddr_in address{};
  std::string user;
  std::string password;
  std::string database;
};

// Of a connection string in any form that libpq takes; the host is an IPv4 address. INVALID_ARGUMENT without the
// string: it may hold a password.
absl::StatusOr<Target> ParseTarget(const std::string& dsn);

// One thread.
class SqlClient {
 public:
  enum class State { kClosed, kConnecting, kReady, kRunning };
  enum class Event {
    kNothing,  // still under way
    kReady,    // logged in
    kAnswer,   // the query has ended: value(), or failure() if it failed
    kBroken,   // the connection is closed: failure()
  };

  // `epoll`: where fd() is registered, edge-triggered, with `tag`.
  SqlClient(int epoll, uint64_t tag, ScramKeys& keys) : epoll_(epoll), tag_(tag), keys_(keys) {}
  ~SqlClient() { Abandon(); }
  SqlClient(const SqlClient&) = delete;
  SqlClient& operator=(const SqlClient&) = delete;

  // Needs kClosed. What goes wrong at once is told by the next OnEvent() too. `target` outlives the log-in.
  void Connect(const Target& target);
  // Needs kReady.
  void Query(std::string_view sql);
  // Needs kReady: says goodbye and closes.
  void Close();
  // Closes without a word.
  void Abandon();

  // After epoll reported the tag, and once after Connect() if `failed_at_once()`.
  Event OnEvent();

  State state() const { return state_; }
  bool failed_at_once() const { return state_ == State::kConnecting && fd_ < 0; }
  // First column of the first row of the last answer; empty if there was none or it is NULL.
  const std::string& value() const { return value_; }
  // Empty: the last query succeeded. Else a SQLSTATE, or "refused" (connect), "hung up" (closed without a word),
  // "protocol" (not understood).
  const std::string& failure() const { return failure_; }

 private:
  Event Broken(std::string_view failure);
  std::optional<Event> OnMessage(char type, std::string_view body);
  std::optional<Event> OnAuthentication(std::string_view body);
  std::optional<Event> OnReadyForQuery();
  bool SendStartup();
  bool Send();     // false: the connection is gone
  bool Receive();  // false: the connection is gone; what came before is in in_

  const int epoll_;
  const uint64_t tag_;
  ScramKeys& keys_;
  State state_ = State::kClosed;
  int fd_ = -1;
  const Target* target_ = nullptr;
  bool started_ = false;
  std::optional<ScramLogin> login_;
  std::string out_;
  std::string in_;
  std::string value_;
  bool has_row_ = false;
  std::string failure_;
};

}  // namespace leasehold::bench
