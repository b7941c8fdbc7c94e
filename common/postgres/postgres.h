// libpqxx behind absl::Status: its exceptions end here. Everything blocks; call from an Executor or a thread of your
// own.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <pqxx/pqxx>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/clock/clock.h"
#include "common/secret/secret.h"
#include "common/telemetry/trace.h"

struct pg_conn;  // libpq's

namespace leasehold::postgres {

struct ConnectOptions {
  // A libpq connection string or URI without password; the password apart, so that it is never printed. TCP keepalives
  // (30 s, then 3 × 10 s) find a dead server unless the string says otherwise.
  std::string dsn;
  Secret password;
  std::string application_name = "leasehold";
  absl::Duration connect_timeout = absl::Seconds(5);  // in all; looking the host's name up comes on top
};

// What a session calls itself that works for the thread's trace: `program`, a blank and the trace's id; `program` alone
// if there is none. PostgreSQL keeps 63 bytes: so does this, if `program` has at most 30.
std::string ApplicationName(std::string_view program);

std::string QuoteIdentifier(std::string_view name);  // "a""b"
std::string QuoteLiteral(std::string_view text);     // 'a''b' (E'' form if it holds backslashes)

// host, port, dbname, user as a libpq keyword/value string, each quoted.
std::string Dsn(std::string_view host, int port, std::string_view database, std::string_view user,
                std::string_view sslmode = "prefer");

// The SQLSTATE of an error made here ("42P04"), also of a refused log-in; empty if it has none (nobody answered).
// Points into `status`.
std::string_view SqlStateOf(const absl::Status& status);

// True if the server could not be reached, is starting or stopping, has no connection to spare, or if the connection
// broke: the same call may work on a new connection. A log-in that the server refused (28P01, 3D000 …) is not such a
// failure.
bool IsConnectionFailure(const absl::Status& status);

// A parameter: text or NULL. Text with a NUL byte is refused, as PostgreSQL cannot hold it.
using Param = std::optional<std::string>;

class Connection;

// What came of statements that were sent as one message.
struct Together {
  using Rows = std::vector<std::vector<std::optional<std::string>>>;
  std::vector<Rows> rows{};  // of those that ran, in their order
  absl::Status status{};     // of the first that failed; OK: all ran
  size_t failed = 0;         // which that is, from 0
};

// The statements with parameters that a connection has prepared: from their second use on PostgreSQL neither parses nor
// (once it finds that the parameters make no difference) plans them again.
class PreparedStatements {
 public:
  // Dynamic texts must not fill the server's memory; what comes later is not prepared.
  static constexpr size_t kMost = 100;

  // The name under which `connection` knows `sql` now; empty: under none. Throws as pqxx does.
  std::string NameOf(pqxx::connection& connection, std::string_view sql);
  // The connection is another one.
  void Forget() { names_.clear(); }

 private:
  absl::flat_hash_map<std::string, std::string> names_;  // by text; empty: used once
  int prepared_ = 0;
};

// One transaction; handed to the function given to Connection::InTransaction.
class Transaction {
 public:
  // `sql` may use $1, $2 …; without parameters it may be several statements. Status carries SQLSTATE and the server's
  // message without DETAIL, which would quote rows (for the log, not for strangers). After a failed statement the
  // transaction can only fail, unless `work` goes back to a savepoint.
  absl::StatusOr<pqxx::result> Exec(std::string_view sql, std::span<const Param> params = {});
  absl::StatusOr<pqxx::result> Exec(std::string_view sql, std::initializer_list<Param> params) {
    return Exec(sql, std::span<const Param>(params.begin(), params.size()));
  }

  // How many rows `copy`, one COPY … TO STDOUT, sends; they are dropped. While the server is at it, `go_on` is asked
  // several times a second; once that is not OK, the statement is cancelled, and it is what is returned. `go_on` uses
  // other connections than this one.
  absl::StatusOr<int64_t> CountCopied(const std::function<absl::Status()>& go_on, const std::string& copy);

 private:
  friend class Connection;
  Transaction(pqxx::transaction_base& tx, pg_conn* raw, PreparedStatements& prepared)
      : tx_(tx), raw_(raw), prepared_(prepared) {}
  // What went wrong first if the transaction is still in its failed state; OK if it can be committed.
  absl::Status Verdict();

  pqxx::transaction_base& tx_;
  pg_conn* const raw_;
  PreparedStatements& prepared_;
  absl::Status first_error_;
};

// One server connection. One thread at a time. Reconnects by itself at the next use after it broke, unless told to
// stay.
class Connection {
 public:
  explicit Connection(ConnectOptions options);
  ~Connection();

  // Connects now, to learn early whether it works.
  absl::Status Connect();

  // For who holds something that lives with the server's session, as an advisory lock does: while `stay`, a connection
  // that broke is not replaced, and each use fails (a connection failure).
  void Stay(bool stay) { stay_ = stay; }

  // The session calls itself ApplicationName(options.application_name) from now on, until the next call or until it is
  // replaced: one round trip, unless it does so already.
  absl::Status ShowTrace();

  // Runs `work` in a transaction (READ COMMITTED) and commits if it returned OK, else rolls back. A connection found
  // broken before any statement ran is replaced once; later breaks are reported and not retried: the commit may have
  // happened. pqxx exceptions thrown by `work` (reading a NULL as a number, say) become INTERNAL.
  absl::Status InTransaction(const std::function<absl::Status(Transaction&)>& work);

  // One statement outside a transaction block, for CREATE DATABASE and its like. Never retried once sent.
  absl::StatusOr<pqxx::result> ExecAlone(std::string_view sql, std::span<const Param> params = {});
  absl::StatusOr<pqxx::result> ExecAlone(std::string_view sql, std::initializer_list<Param> params) {
    return ExecAlone(sql, std::span<const Param>(params.begin(), params.size()));
  }

  // All of `statements`, one or more, as one message and in one round trip; each ends where its text does, and none is
  // empty. The first that fails is the last that runs, and a syntax error in any of them lets none run. They are one
  // transaction, unless BEGIN and COMMIT among them say otherwise: one that they leave open is there for the next call
  // (Stay(), so that it is the same session). What COPY sends is dropped. Never retried once sent.
  Together ExecTogether(std::span<const std::string> statements);

 private:
  absl::Status EnsureUsable();
  // A new connection in place of a broken one.
  absl::Status Replace();
  // Forgets a connection that broke; returns the error as it has to be reported.
  absl::Status Failed(const std::exception& error);

  const ConnectOptions options_;
  std::unique_ptr<pqxx::connection> connection_;
  pg_conn* raw_ = nullptr;  // the same, which owns it
  PreparedStatements prepared_;
  bool stay_ = false;
  Trace shown_;  // in the name of the session
};

// A bounded set of connections, opened as they are needed. Any thread. Handles must not outlive it.
class ConnectionPool {
 public:
  // Nothing is kept of a server's max_connections that is of no use; but a log-in costs some 5 ms, and what comes in
  // bursts, or each 30 s as passes do, shall find connections open.
  static constexpr absl::Duration kIdleTimeout = absl::Minutes(1);

  // With a `clock` (which outlives it) connections that nobody has used for kIdleTimeout are closed, but for one:
  // whenever another is given back, and by CloseIdle(). Without a clock they stay open.
  ConnectionPool(ConnectOptions options, int size, const Clock* clock = nullptr);
  ~ConnectionPool();

  // A connection for the caller alone until the handle goes; waits for a free one.
  class Handle {
   public:
    Handle(Handle&&) = default;
    ~Handle();
    Connection& operator*() { return *connection_; }
    Connection* operator->() { return connection_.get(); }

   private:
    friend class ConnectionPool;
    Handle(ConnectionPool* pool, std::unique_ptr<Connection> c) : pool_(pool), connection_(std::move(c)) {}
    ConnectionPool* pool_;
    std::unique_ptr<Connection> connection_;
  };
  Handle Take();

  // Take() and Connection::InTransaction().
  absl::Status InTransaction(const std::function<absl::Status(Transaction&)>& work);

  // For a pool of which nobody may have given anything back for long.
  void CloseIdle() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Idle {
    std::unique_ptr<Connection> connection;
    absl::Time since;  // infinite future: it is not open
  };
  void GiveBack(std::unique_ptr<Connection> connection) ABSL_LOCKS_EXCLUDED(mu_);

  const ConnectOptions options_;
  const Clock* const clock_;
  absl::Mutex mu_;
  std::vector<Idle> idle_ ABSL_GUARDED_BY(mu_);  // the last one given back is the last
};

// LISTEN on its own connection and thread. `on_notify(channel, payload)` runs on that thread; `on_reconnect()` runs
// after each (re)connection, when notifications may have been missed: read everything again. `on_lost` when the
// connection breaks or the first one cannot be made; then it tries again for ever, every 100 ms to 5 s. Handlers may be
// empty.
class Listener {
 public:
  struct Handlers {
    std::function<void(std::string_view channel, std::string_view payload)> on_notify;
    std::function<void()> on_reconnect;
    std::function<void(const absl::Status&)> on_lost;
  };
  Listener(ConnectOptions options, std::vector<std::string> channels, Handlers handlers);
  ~Listener();  // joins

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace leasehold::postgres
