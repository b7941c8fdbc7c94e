#include "common/postgres/exchange.h"

#include <poll.h>
#include <postgresql/libpq-fe.h>

#include <algorithm>
#include <format>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/postgres/errors.h"
#include "common/status/error.h"
#include "common/status/view.h"

namespace leasehold::postgres {
namespace {

using Result = std::unique_ptr<PGresult, decltype(&PQclear)>;

// As the server counts in UTF-8.
size_t CharactersIn(std::string_view text) {
  return static_cast<size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::string_view Field(const PGresult& result, int code) {
  const char* const value = PQresultErrorField(&result, code);
  return value == nullptr ? std::string_view() : std::string_view(value);
}

Together::Rows RowsOf(const PGresult& result) {
  Together::Rows rows(static_cast<size_t>(PQntuples(&result)));
  for (int i = 0; i < PQntuples(&result); ++i) {
    for (int j = 0; j < PQnfields(&result); ++j) {
      auto& value = rows[static_cast<size_t>(i)].emplace_back();
      if (PQgetisnull(&result, i, j) != 0) continue;
      value.emplace(PQgetvalue(&result, i, j), static_cast<size_t>(PQgetlength(&result, i, j)));
    }
  }
  return rows;
}

void DropCopy(PGconn* connection, ExecStatusType state) {
  if (state == PGRES_COPY_IN) {
    PQputCopyEnd(connection, "nothing is sent");
    return;
  }
  char* row = nullptr;
  while (PQgetCopyData(connection, &row, 0) > 0) PQfreemem(row);
}

struct Failure {
  std::string sqlstate{};  // empty: libpq's own, because the connection broke
  std::string text{};
  size_t statement = 0;
};

// One message out of several statements, and which of them a position in it belongs to.
class Message {
 public:
  explicit Message(std::span<const std::string> statements) {
    size_t characters = 0;
    for (const std::string& statement : statements) {
      begins_.push_back(characters);
      // The line's end also ends a comment that a statement may end with.
      const size_t begin = text_.size();
      text_ += statement;
      text_ += "\n;";
      characters += CharactersIn(std::string_view(text_).substr(begin));
    }
  }

  const std::string& text() const { return text_; }

  // What `result`, an error after `ran` statements, says.
  Failure FailureOf(const PGresult& result, size_t ran) const {
    Failure failure{
        .sqlstate = std::string(Field(result, PG_DIAG_SQLSTATE)),
        .text = std::format("{}:  {}", Field(result, PG_DIAG_SEVERITY), Field(result, PG_DIAG_MESSAGE_PRIMARY)),
        .statement = std::min(ran, begins_.size() - 1)};
    size_t position = 0;
    if (absl::SimpleAtoi(AbslView(Field(result, PG_DIAG_STATEMENT_POSITION)), &position) && position > 0) {
      failure.statement = static_cast<size_t>(std::ranges::upper_bound(begins_, position - 1) - begins_.begin()) - 1;
      failure.text += std::format(" at character {}", position - begins_[failure.statement]);
    }
    return failure;
  }

 private:
  std::string text_;
  std::vector<size_t> begins_;  // in characters, from 0
};

// How often whoever may call the work off is asked: as while pg_dump and its like run.
constexpr absl::Duration kAskEvery = absl::Milliseconds(200);

// What the statement then ends with comes as its answer. Nothing is reported: a server that cannot be reached for this
// is noticed where the answer is waited for.
void Cancel(PGconn* connection) {
  const std::unique_ptr<PGcancelConn, decltype(&PQcancelFinish)> cancel(PQcancelCreate(connection), PQcancelFinish);
  if (cancel != nullptr) (void)PQcancelBlocking(cancel.get());
}

// Waits for what the server says, and asks meanwhile. With the first refusal the statement is cancelled.
class Patience {
 public:
  Patience(PGconn* connection, const std::function<absl::Status()>& go_on) : connection_(connection), go_on_(go_on) {}

  // Until there is something to read, or `go_on` was asked.
  void Wait() {
    pollfd waiting{.fd = PQsocket(connection_), .events = POLLIN, .revents = 0};
    const absl::Duration left = std::max(absl::ZeroDuration(), asked_ + kAskEvery - absl::Now());
    if (poll(&waiting, 1, static_cast<int>(absl::ToInt64Milliseconds(absl::Ceil(left, absl::Milliseconds(1))))) != 0) {
      (void)PQconsumeInput(connection_);
    }
    Ask();
  }
  // If it is time again.
  void Ask() {
    const absl::Time now = absl::Now();
    if (!called_off_.ok() || now < asked_ + kAskEvery) return;
    asked_ = now;
    called_off_ = go_on_();
    if (!called_off_.ok()) Cancel(connection_);
  }
  const absl::Status& called_off() const { return called_off_; }

 private:
  PGconn* const connection_;
  const std::function<absl::Status()>& go_on_;
  absl::Time asked_ = absl::Now();
  absl::Status called_off_;
};

// Of an exchange that is over.
absl::Status StatusOf(const std::optional<Failure>& failure, bool sent, PGconn* connection) {
  const bool open = PQstatus(connection) == CONNECTION_OK;
  if (failure.has_value() && !failure->sqlstate.empty()) return FromServer(failure->sqlstate, failure->text, open);
  return failure.has_value() || !open || !sent ? ConnectionLost() : absl::OkStatus();
}

// Rows that came until COPY ended, well or not.
int64_t DrainCopy(PGconn* connection, Patience& patience) {
  constexpr int64_t kRowsBetweenLooks = 1024;
  int64_t rows = 0;
  for (;;) {
    char* row = nullptr;
    const int length = PQgetCopyData(connection, &row, /*async=*/1);
    if (length < 0 || PQstatus(connection) != CONNECTION_OK) return rows;
    if (length == 0) {
      patience.Wait();
      continue;
    }
    PQfreemem(row);
    if (++rows % kRowsBetweenLooks == 0) patience.Ask();
  }
}

}  // namespace

absl::StatusOr<int64_t> CountCopied(pg_conn* connection, const std::string& copy,
                                    const std::function<absl::Status()>& go_on) {
  const Message message(std::span(&copy, 1));
  std::optional<Failure> failure;
  int64_t rows = 0;
  Patience patience(connection, go_on);
  const bool sent = PQsendQuery(connection, message.text().c_str()) != 0;
  while (sent) {
    while (PQisBusy(connection) != 0 && PQstatus(connection) == CONNECTION_OK) patience.Wait();
    const Result result(PQgetResult(connection), PQclear);
    if (result == nullptr) break;
    const ExecStatusType state = PQresultStatus(result.get());
    if (state == PGRES_COPY_OUT) {
      rows = DrainCopy(connection, patience);
    } else if (state != PGRES_COMMAND_OK && !failure.has_value()) {
      failure = message.FailureOf(*result, 0);
    }
  }
  LH_RETURN_IF_ERROR(patience.called_off());
  LH_RETURN_IF_ERROR(StatusOf(failure, sent, connection));
  return rows;
}

Together Exchange(pg_conn* connection, std::span<const std::string> statements) {
  Together together;
  for (const std::string& statement : statements) {
    if (!statement.contains('\0')) continue;
    together.failed = static_cast<size_t>(&statement - statements.data());
    together.status = absl::InvalidArgumentError("a statement holds a NUL byte");
    return together;
  }
  const Message message(statements);
  std::optional<Failure> failure;
  const bool sent = PQsendQuery(connection, message.text().c_str()) != 0;
  while (sent) {
    const Result result(PQgetResult(connection), PQclear);
    if (result == nullptr) break;
    switch (const ExecStatusType state = PQresultStatus(result.get())) {
      case PGRES_TUPLES_OK:
      case PGRES_COMMAND_OK:
        together.rows.push_back(RowsOf(*result));
        break;
      case PGRES_COPY_IN:
      case PGRES_COPY_OUT:
        DropCopy(connection, state);
        break;
      default:
        if (!failure.has_value()) failure = message.FailureOf(*result, together.rows.size());
    }
  }
  if (failure.has_value() && !failure->sqlstate.empty()) together.failed = failure->statement;
  together.status = StatusOf(failure, sent, connection);
  return together;
}

}  // namespace leasehold::postgres
