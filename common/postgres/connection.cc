#include <poll.h>

#include <format>
#include <utility>

#include "common/postgres/connect.h"
#include "common/postgres/errors.h"
#include "common/postgres/exchange.h"
#include "common/postgres/postgres.h"
#include "common/status/error.h"

namespace leasehold::postgres {
namespace {

bool HasInput(int fd) {
  pollfd waiting{.fd = fd, .events = POLLIN, .revents = 0};
  return poll(&waiting, 1, 0) > 0;
}

// An idle connection has nothing to say, unless it was ended from the other side.
bool FoundBroken(pqxx::connection& connection) {
  try {
    while (connection.is_open() && HasInput(connection.sock())) connection.get_notifs();
    return !connection.is_open();
  } catch (const std::exception&) {
    return true;
  }
}

// libpq takes C strings: it would cut at a NUL byte without a word.
absl::Status CheckNoNul(std::string_view sql, std::span<const Param> params) {
  bool nul = sql.contains('\0');
  for (const Param& param : params) nul = nul || (param && param->contains('\0'));
  return nul ? absl::InvalidArgumentError("a statement or parameter holds a NUL byte") : absl::OkStatus();
}

pqxx::result ExecIn(pqxx::transaction_base& tx, PreparedStatements& prepared, std::string_view sql,
                    std::span<const Param> params) {
  if (params.empty()) return tx.exec(sql);
  pqxx::params bound;
  bound.reserve(params.size());
  for (const Param& param : params) bound.append(param);
  const std::string name = prepared.NameOf(tx.conn(), sql);
  return name.empty() ? tx.exec(sql, bound) : tx.exec(pqxx::prepped(name), bound);
}

}  // namespace

std::string PreparedStatements::NameOf(pqxx::connection& connection, std::string_view sql) {
  const auto found = names_.find(AbslView(sql));
  if (found == names_.end()) {
    if (names_.size() < kMost) names_.emplace(sql, "");
    return "";
  }
  if (found->second.empty()) {
    std::string name = std::format("leasehold_{}", ++prepared_);
    connection.prepare(name, found->first);
    found->second = std::move(name);
  }
  return found->second;
}

absl::StatusOr<pqxx::result> Transaction::Exec(std::string_view sql, std::span<const Param> params) {
  LH_RETURN_IF_ERROR(CheckNoNul(sql, params));
  try {
    return ExecIn(tx_, prepared_, sql, params);
  } catch (const std::exception& error) {
    absl::Status status = FromException(error, tx_.conn().is_open());
    if (first_error_.ok()) first_error_ = status;
    return status;
  }
}

absl::StatusOr<int64_t> Transaction::CountCopied(const std::function<absl::Status()>& go_on, const std::string& copy) {
  LH_RETURN_IF_ERROR(CheckNoNul(copy, {}));
  absl::StatusOr<int64_t> rows = postgres::CountCopied(raw_, copy, go_on);
  if (!rows.ok() && first_error_.ok()) first_error_ = rows.status();
  return rows;
}

// COMMIT of a failed transaction rolls back and reports success, and pqxx passes that on.
absl::Status Transaction::Verdict() {
  if (first_error_.ok()) return absl::OkStatus();
  return Exec("SELECT 1").ok() ? absl::OkStatus() : first_error_;
}

Connection::Connection(ConnectOptions options) : options_(std::move(options)) {}

Connection::~Connection() = default;

std::string ApplicationName(std::string_view program) {
  const std::string trace_id = TraceId(CurrentTrace());
  return trace_id.empty() ? std::string(program) : std::format("{} {}", program, trace_id);
}

absl::Status Connection::ShowTrace() {
  const Trace& trace = CurrentTrace();
  if (connection_ == nullptr) shown_ = {};  // the next one begins without
  if (trace.high == shown_.high && trace.low == shown_.low) return absl::OkStatus();
  const std::string name = QuoteLiteral(ApplicationName(options_.application_name));
  LH_RETURN_IF_ERROR(ExecAlone("SET application_name = " + name).status());
  shown_ = trace;
  return absl::OkStatus();
}

absl::Status Connection::Connect() {
  shown_ = {};
  connection_.reset();
  prepared_.Forget();
  LH_ASSIGN_OR_RETURN(Opened opened, OpenConnection(options_));
  connection_ = std::move(opened.connection);
  raw_ = opened.raw;
  return absl::OkStatus();
}

absl::Status Connection::EnsureUsable() {
  if (connection_ != nullptr && !FoundBroken(*connection_)) return absl::OkStatus();
  return Replace();
}

absl::Status Connection::Replace() {
  if (!stay_) return Connect();
  connection_.reset();
  return ConnectionLost();
}

absl::Status Connection::Failed(const std::exception& error) {
  const bool open = connection_ != nullptr && connection_->is_open();
  absl::Status status = FromException(error, open);
  if (!open || IsConnectionFailure(status)) connection_.reset();
  return status;
}

absl::Status Connection::InTransaction(const std::function<absl::Status(Transaction&)>& work) {
  LH_RETURN_IF_ERROR(EnsureUsable());
  std::unique_ptr<pqxx::work> tx;
  try {
    tx = std::make_unique<pqxx::work>(*connection_);
  } catch (const std::exception& error) {
    // It broke in the moment since the check; nothing but BEGIN was sent.
    const absl::Status status = Failed(error);
    if (!IsConnectionFailure(status)) return status;
    LH_RETURN_IF_ERROR(Replace());
  }
  try {
    if (tx == nullptr) tx = std::make_unique<pqxx::work>(*connection_);
    Transaction transaction(*tx, raw_, prepared_);
    absl::Status status = work(transaction);
    if (status.ok()) status = transaction.Verdict();
    if (status.ok()) {
      tx->commit();
      return absl::OkStatus();
    }
    tx.reset();  // rolls back, and has no say in what is returned
    if (!connection_->is_open()) connection_.reset();
    return status;
  } catch (const std::exception& error) {
    tx.reset();
    return Failed(error);
  }
}

absl::StatusOr<pqxx::result> Connection::ExecAlone(std::string_view sql, std::span<const Param> params) {
  LH_RETURN_IF_ERROR(CheckNoNul(sql, params));
  LH_RETURN_IF_ERROR(EnsureUsable());
  try {
    pqxx::nontransaction tx(*connection_);
    return ExecIn(tx, prepared_, sql, params);
  } catch (const std::exception& error) {
    return Failed(error);
  }
}

Together Connection::ExecTogether(std::span<const std::string> statements) {
  Together together;
  if (together.status = EnsureUsable(); !together.status.ok()) return together;
  together = Exchange(raw_, statements);
  if (IsConnectionFailure(together.status)) connection_.reset();
  return together;
}

}  // namespace leasehold::postgres
