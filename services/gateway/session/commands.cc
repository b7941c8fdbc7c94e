// The statements that the gateway answers itself, in the simple and the extended protocol.
#include <format>
#include <utility>

#include "absl/time/time.h"
#include "common/identity/identity.h"
#include "common/status/error.h"
#include "services/gateway/pgwire/encode.h"
#include "services/gateway/pgwire/extended.h"
#include "services/gateway/session/session.h"

namespace leasehold::gateway {
namespace {

using pgwire::Command;
using pgwire::ErrorFields;
using Kind = Command::Kind;

// Sent to the server when a statement was refused inside its transaction, so that the transaction fails as it would
// have, had PostgreSQL refused it. What PostgreSQL says to it is not passed on.
constexpr std::string_view kFailTransaction = "leasehold: refused by the gateway";

ErrorFields Refuse(std::string_view code, std::string message, std::string_view hint = "") {
  return {.code = std::string(code), .message = std::move(message), .detail = "", .hint = std::string(hint)};
}

ErrorFields TransactionAborted() {
  return Refuse("25P02", "current transaction is aborted, commands ignored until end of transaction block");
}

ErrorFields TooLong() {
  return Refuse("54000", std::format("a statement with leasehold settings may be at most {} bytes long",
                                     ReadBuffer::kCapacity - pgwire::kHeaderSize));
}

std::vector<pgwire::Column> ColumnsOf(const Command& command, bool binary) {
  std::vector<pgwire::Column> columns;
  if (command.kind == Kind::kShowSession) {
    for (const char* name : {"lease", "tenant", "service", "database", "access", "expiry"}) {
      columns.push_back({.name = name, .binary = binary});
    }
  } else {
    columns.push_back({.name = command.column, .binary = binary});
  }
  return columns;
}

}  // namespace

asio::awaitable<void> Session::HandleQuery(std::string_view body, bool complete) {
  if (!co_await Settle() || tracker_.skipping()) co_return;
  const pgwire::Recognition found = std::exchange(recognition_, {});
  if (tracker_.transaction_status() == 'E' && !found.commands.empty()) {
    co_await FailQuery(TransactionAborted());
    co_return;
  }
  if (!complete) {
    co_await FailQuery(TooLong());
    co_return;
  }
  if (found.refusal) {
    co_await FailQuery(*found.refusal);
    co_return;
  }
  for (const Command& command : found.commands) {
    BoundCommand bound;
    if (!command.parameter_types.empty()) {
      co_await FailQuery(Refuse("42P02", "there is no parameter $1"));
      co_return;
    }
    if (auto failure = BindCommand(command, {}, bound)) {
      co_await FailQuery(Refuse(failure->code, std::move(failure->message)));
      co_return;
    }
    auto row = co_await Run(bound);
    if (ended_) co_return;
    if (!row) {
      co_await FailQuery(std::move(row.error()));
      co_return;
    }
    if (command.HasRows()) {
      pgwire::RowDescription(answers_, ColumnsOf(command, false));
      pgwire::DataRow(answers_, *row);
    }
    pgwire::CommandComplete(answers_, command.tag);
  }
  if (found.rest == std::string_view::npos) {
    pgwire::ReadyForQuery(answers_, tracker_.transaction_status());
    co_return;
  }
  const bool goes_home = found.resets_all && away();
  if (Outcome outcome = co_await EnsureServer(); !outcome) {
    if (!ended_) co_await FailQuery(std::move(outcome.error()));
    co_return;
  }
  std::string query;
  pgwire::Query(query, body.substr(found.rest));
  co_await SendToServer('Q', std::move(query));
  if (goes_home && co_await Settle() && !tracker_.last_failed() && tracker_.transaction_status() == 'I') {
    co_await GoHome();
  }
}

asio::awaitable<void> Session::HandleStep(char type, std::string_view body, bool complete) {
  // A batch that has failed on the server ignores this too.
  if (!co_await Settle() || tracker_.skipping()) co_return;
  batch_is_ours_ = true;
  Outcome outcome;
  if (!complete) {
    outcome = std::unexpected(TooLong());
  } else if (tracker_.transaction_status() == 'E' && type != 'C') {
    outcome = std::unexpected(TransactionAborted());
  } else {
    outcome = co_await RunStep(type, body);
  }
  if (!outcome && !ended_) co_await FailStep(std::move(outcome.error()));
}

asio::awaitable<Session::Outcome> Session::RunStep(char type, std::string_view body) {
  switch (type) {
    case 'P':
      co_return PrepareCommand(body);
    case 'B':
      co_return BindPortal(body);
    case 'D':
      co_return Describe(body);
    case 'E':
      co_return co_await ExecutePortal(body);
    default: {
      const auto target = pgwire::ReadTarget(body);
      if (!target) co_return std::unexpected(Refuse("08P01", "invalid Close message"));
      if (target->kind == 'S') {
        virtuals_.CloseStatement(target->name);
      } else {
        virtuals_.ClosePortal(target->name);
      }
      pgwire::CloseComplete(answers_);
      co_return Outcome();
    }
  }
}

Session::Outcome Session::PrepareCommand(std::string_view body) {
  pgwire::Recognition found = std::exchange(recognition_, {});
  const auto parse = pgwire::ReadParse(body);
  if (!parse) return std::unexpected(Refuse("08P01", "invalid Parse message"));
  if (found.refusal) return std::unexpected(*std::move(found.refusal));
  if (found.reset_all)
    found.commands.push_back(*std::move(found.reset_all));
  else if (found.commands.size() != 1 || found.rest != std::string_view::npos) {
    return std::unexpected(Refuse("42601", "cannot insert multiple commands into a prepared statement"));
  }
  if (!parse->statement.empty() && virtuals_.FindStatement(parse->statement) != nullptr) {
    return std::unexpected(
        Refuse("42P05", std::format("prepared statement \"{}\" already exists", Printable(parse->statement))));
  }
  if (virtuals_.full()) return std::unexpected(Refuse("54000", "too many prepared statements of leasehold settings"));
  VirtualStatements::Statement statement{.command = std::move(found.commands.front()), .types = {}};
  statement.types = statement.command.parameter_types;
  for (size_t i = 0; i < statement.types.size() && i < parse->types.size(); ++i) {
    if (parse->types[i] != 0) statement.types[i] = parse->types[i];
  }
  virtuals_.Prepare(parse->statement, std::move(statement));
  pgwire::ParseComplete(answers_);
  return Outcome();
}

Session::Outcome Session::BindPortal(std::string_view body) {
  const auto bind = pgwire::ReadBind(body);
  if (!bind) return std::unexpected(Refuse("08P01", "invalid Bind message"));
  const VirtualStatements::Statement* statement = virtuals_.FindStatement(bind->statement);
  if (statement == nullptr) return std::unexpected(Refuse("26000", "prepared statement does not exist"));
  if (virtuals_.full()) return std::unexpected(Refuse("54000", "too many portals of leasehold settings"));
  BoundCommand bound;
  if (auto failure = BindCommand(statement->command, *bind, bound)) {
    return std::unexpected(Refuse(failure->code, std::move(failure->message)));
  }
  virtuals_.Open(bind->portal, std::move(bound));
  pgwire::BindComplete(answers_);
  return Outcome();
}

Session::Outcome Session::Describe(std::string_view body) {
  const auto target = pgwire::ReadTarget(body);
  if (!target) return std::unexpected(Refuse("08P01", "invalid Describe message"));
  const Command* command = nullptr;
  bool binary = false;
  if (target->kind == 'S') {
    const VirtualStatements::Statement* statement = virtuals_.FindStatement(target->name);
    if (statement == nullptr) return std::unexpected(Refuse("26000", "prepared statement does not exist"));
    pgwire::ParameterDescription(answers_, statement->types);
    command = &statement->command;
  } else {
    const BoundCommand* bound = virtuals_.FindPortal(target->name);
    if (bound == nullptr) return std::unexpected(Refuse("34000", "portal does not exist"));
    command = &bound->command;
    binary = bound->binary_result;
  }
  if (command->HasRows()) {
    pgwire::RowDescription(answers_, ColumnsOf(*command, binary));
  } else {
    pgwire::NoData(answers_);
  }
  return Outcome();
}

asio::awaitable<Session::Outcome> Session::ExecutePortal(std::string_view body) {
  const auto name = pgwire::ReadExecute(body);
  BoundCommand* bound = name ? virtuals_.FindPortal(*name) : nullptr;
  if (bound == nullptr) co_return std::unexpected(Refuse("34000", "portal does not exist"));
  if (std::exchange(bound->done, true)) {
    pgwire::CommandComplete(answers_, bound->command.HasRows() ? "SELECT 0" : bound->command.tag);
    co_return Outcome();
  }
  auto row = co_await Run(*bound);
  if (!row) co_return std::unexpected(std::move(row.error()));
  if (bound->command.HasRows()) pgwire::DataRow(answers_, *row);
  pgwire::CommandComplete(answers_, bound->command.tag);
  co_return Outcome();
}

asio::awaitable<std::expected<std::vector<std::string>, ErrorFields>> Session::Run(const BoundCommand& bound) {
  Outcome outcome;
  switch (bound.command.kind) {
    case Kind::kSwitch: {
      if (bound.is_local) {
        co_return std::unexpected(Refuse("0A000", "a switch cannot be local to a transaction",
                                         "SELECT set_config('leasehold.tenant', $1, false)"));
      }
      std::optional<TenantId> target = grant_->home_tenant;
      if (bound.tenant && !bound.tenant->empty()) {
        absl::StatusOr<TenantId> tenant = TenantId::Parse(*bound.tenant);
        if (!tenant.ok()) co_return std::unexpected(pgwire::ToErrorFields(tenant.status()));
        target = *std::move(tenant);
      }
      outcome = co_await SwitchTo(std::move(target));
      break;
    }
    case Kind::kReset:
      outcome = co_await SwitchTo(grant_->home_tenant);
      break;
    case Kind::kResetAll:
      // A server connection made afresh is what either statement would leave.
      if (tracker_.transaction_status() != 'I' || tracker_.batch_has_run()) {
        co_return std::unexpected(
            Refuse("25001", "RESET ALL and DISCARD ALL end a switch, and cannot inside a transaction"));
      }
      co_await GoHome();
      break;
    case Kind::kShowTenant:
      break;
    case Kind::kShowSession:
      co_return SessionRow();
  }
  if (!outcome) co_return std::unexpected(std::move(outcome.error()));
  co_return std::vector<std::string>{tenant_ ? tenant_->str() : ""};
}

asio::awaitable<Session::Outcome> Session::SwitchTo(std::optional<TenantId> tenant) {
  if (tenant == tenant_) co_return Outcome();
  absl::Status status;
  if (tracker_.transaction_status() != 'I' || tracker_.batch_has_run()) {
    status = Error(v1::REASON_IN_TRANSACTION, "leasehold.tenant cannot change inside a transaction");
  } else {
    status = (co_await Resolve(tenant)).status();
  }
  if (ended_) co_return std::unexpected(ErrorFields());
  if (!status.ok()) {
    ErrorFields error = pgwire::ToErrorFields(status);
    context_.metrics.CountSwitch(error.code);
    co_return std::unexpected(std::move(error));
  }
  if (!co_await ClientFree()) co_return std::unexpected(ErrorFields());
  // The next statement connects: a session that only passes through a tenant costs its instance nothing.
  DropServer(LeftBehind::kIdle);
  tenant_ = std::move(tenant);
  attachment_->MovedTo(tenant_);
  context_.metrics.CountSwitch("");
  co_return Outcome();
}

asio::awaitable<void> Session::GoHome() {
  if (!co_await ClientFree()) co_return;
  DropServer(LeftBehind::kIdle);
  carried_.clear();
  tenant_ = grant_->home_tenant;
  attachment_->MovedTo(tenant_);
}

std::vector<std::string> Session::SessionRow() const {
  const absl::Time expiry = context_.authority.ExpiryOf(grant_);
  return {grant_->id.str(),
          tenant_ ? tenant_->str() : "",
          grant_->service.str(),
          tenant_ ? TenantDatabaseName(*tenant_, grant_->service) : central_database_,
          grant_->read_only ? "read-only" : "read-write",
          absl::FormatTime(absl::RFC3339_sec, expiry, absl::UTCTimeZone())};
}

asio::awaitable<void> Session::FailQuery(ErrorFields error) {
  pgwire::ErrorResponse(answers_, pgwire::Severity::kError, error);
  if (server_ && tracker_.transaction_status() == 'T') {
    swallow_error_ = true;
    std::string query;
    pgwire::Query(query, kFailTransaction);
    co_await SendToServer('Q', std::move(query));
  } else {
    pgwire::ReadyForQuery(answers_, tracker_.transaction_status());
  }
}

asio::awaitable<void> Session::FailStep(ErrorFields error) {
  pgwire::ErrorResponse(answers_, pgwire::Severity::kError, error);
  skip_to_sync_ = batch_is_ours_ = true;
  if (server_ && (tracker_.transaction_status() == 'T' || tracker_.in_batch())) {
    swallow_error_ = true;
    std::string parse;
    pgwire::Parse(parse, "", kFailTransaction);
    co_await SendToServer('P', std::move(parse));
  }
}

}  // namespace leasehold::gateway
