// The statements that the gateway answers itself, in the simple and the extended protocol.
#include <array>
#include <format>
#include <memory>
#include <span>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/time.h"
#include "common/identity/identity.h"
#include "common/status/error.h"
#include "common/status/view.h"
#include "services/gateway/pgwire/encode.h"
#include "services/gateway/pgwire/extended.h"
#include "services/gateway/session/limits.h"
#include "services/gateway/session/peer_address.h"
#include "services/gateway/session/session.h"

namespace leasehold::gateway {
namespace {

using pgwire::Command;
using pgwire::ErrorFields;
using pgwire::Refuse;
using Kind = Command::Kind;

// Sent to the server when a statement was refused inside its transaction, so that the transaction fails as it would
// have, had PostgreSQL refused it. What PostgreSQL says to it is not passed on.
constexpr std::string_view kFailTransaction = "leasehold: refused by the gateway";

ErrorFields TransactionAborted() {
  return Refuse("25P02", "current transaction is aborted, commands ignored until end of transaction block");
}

ErrorFields TooLong() {
  return Refuse("54000",
                std::format("a statement with leasehold settings may be at most {} bytes long", kLargestStatement));
}

std::string Joined(std::string_view separator, std::initializer_list<std::pair<bool, std::string_view>> words) {
  std::string text;
  for (const auto& [applies, word] : words) {
    if (applies) text.append(text.empty() ? "" : separator).append(word);
  }
  return text;
}

constexpr std::array<const char*, 6> kSessionColumns = {"lease", "tenant", "service", "database", "access", "expiry"};

void DescribeRow(std::string& out, const Command& command, bool binary) {
  if (command.kind != Kind::kShowSession || !command.column.empty()) {
    const pgwire::Column column{.name = command.column, .binary = binary};
    return pgwire::RowDescription(out, std::span(&column, 1));
  }
  std::vector<pgwire::Column> columns;
  for (const char* name : kSessionColumns) columns.push_back({.name = name, .binary = binary});
  pgwire::RowDescription(out, columns);
}

// The row of SHOW leasehold.session as one value. Nothing in it needs escapes but a central database's name.
std::string JsonOf(const std::vector<std::string>& session) {
  std::string json = "{";
  for (size_t i = 0; i < kSessionColumns.size(); ++i) {
    absl::StrAppend(&json, i == 0 ? "" : ", ", "\"", kSessionColumns[i], "\": \"",
                    absl::StrReplaceAll(session[i], {{"\\", "\\\\"}, {"\"", "\\\""}}), "\"");
  }
  return json + "}";
}

}  // namespace

Session::Handled Session::HandleQuery(std::string_view body, bool complete) {
  if (Settle() == Handled::kWaits || EndOwnBatch() == Handled::kWaits) return Handled::kWaits;
  const pgwire::Recognition& found = recognition_;
  const auto fail = [this](const ErrorFields& error) {
    resolved_.clear();
    FailQuery(error);
    return Handled::kDone;
  };
  if (exchange_.transaction_status() == 'E' && (found.alone || !found.commands.empty())) {
    return fail(TransactionAborted());
  }
  if (!complete) return fail(TooLong());
  if (found.refusal) return fail(*found.refusal);
  if (found.alone && found.commands.empty()) {
    const Command& command = *found.alone;
    std::optional<TenantId> nowhere = tenant_;
    Run(command, {}, nowhere);
    pgwire::CommandComplete(outbox_, command.tag);
    pgwire::ReadyForQuery(outbox_, exchange_.transaction_status());
    return Handled::kDone;
  }
  // Nothing is said and nobody moves before all of it is known to be right.
  std::string answers;
  std::optional<TenantId> at = tenant_;
  for (const Command& command : found.commands) {
    if (!command.parameter_types.empty()) return fail(Refuse("42P02", "there is no parameter $1"));
    Binding binding;
    if (auto failure = BindCommand(command, {}, binding)) {
      return fail(Refuse(failure->code, std::move(failure->message)));
    }
    Ran ran = Run(command, binding, at);
    if (ran.waits) return Handled::kWaits;
    if (ran.error) return fail(*ran.error);
    if (command.HasRows()) {
      DescribeRow(answers, command, false);
      pgwire::DataRow(answers, ran.row);
    }
    pgwire::CommandComplete(answers, command.tag);
  }
  resolved_.clear();
  MoveTo(at);
  outbox_.append(answers);
  if (found.rest == std::string_view::npos) {
    pgwire::ReadyForQuery(outbox_, exchange_.transaction_status());
    return Handled::kDone;
  }
  pgwire::Query(replacement_, body.substr(found.rest, body.size() - found.rest - 1));
  return Handled::kReplaced;
}

Session::Handled Session::HandleStep(char type, std::string_view body, bool complete) {
  if (Settle() == Handled::kWaits) return Handled::kWaits;
  // A batch that has failed on the server ignores this too.
  if (exchange_.skipping()) return Handled::kDone;
  batch_is_ours_ = true;
  std::optional<ErrorFields> error;
  if (!complete) {
    error = TooLong();
  } else if (exchange_.transaction_status() == 'E' && type != 'C') {
    error = TransactionAborted();
  } else if (type == 'E') {
    return ExecutePortal(body);
  } else if (type == 'P') {
    error = PrepareCommand(body);
  } else if (type == 'B') {
    error = BindPortal(body);
  } else if (type == 'D') {
    error = Describe(body);
  } else {
    const auto target = pgwire::ReadTarget(body);
    if (target->kind == 'S') {
      virtuals_.CloseStatement(target->name);
    } else {
      virtuals_.ClosePortal(target->name);
    }
    pgwire::CloseComplete(outbox_);
  }
  if (error) FailStep(*error);
  return Handled::kDone;
}

std::optional<ErrorFields> Session::PrepareCommand(std::string_view body) {
  pgwire::Recognition found = std::exchange(recognition_, {});
  const auto parse = pgwire::ReadParse(body);
  if (!parse) return Refuse("08P01", "invalid Parse message");
  if (found.refusal) return std::move(found.refusal);
  if (found.alone) {
    found.commands.push_back(*std::move(found.alone));
  } else if (found.commands.size() != 1 || found.rest != std::string_view::npos) {
    return Refuse("42601", "cannot insert multiple commands into a prepared statement");
  }
  if (!parse->statement.empty() &&
      (virtuals_.FindStatement(parse->statement) != nullptr || statements_.contains(AbslView(parse->statement)))) {
    return Refuse("42P05", std::format("prepared statement \"{}\" already exists", Printable(parse->statement)));
  }
  if (virtuals_.full()) return Refuse("54000", "too many prepared statements of leasehold settings");
  VirtualStatements::Statement statement{.command = std::make_shared<const Command>(std::move(found.commands.front())),
                                         .types = {}};
  statement.types = statement.command->parameter_types;
  for (size_t i = 0; i < statement.types.size() && i < parse->types.size(); ++i) {
    if (parse->types[i] != 0) statement.types[i] = parse->types[i];
  }
  virtuals_.Prepare(parse->statement, std::move(statement));
  pgwire::ParseComplete(outbox_);
  return std::nullopt;
}

std::optional<ErrorFields> Session::BindPortal(std::string_view body) {
  const auto bind = pgwire::ReadBind(body);
  if (!bind) return Refuse("08P01", "invalid Bind message");
  if (virtuals_.full()) return Refuse("54000", "too many portals of leasehold settings");
  Portal portal;
  if (const VirtualStatements::Statement* const known = virtuals_.FindStatement(bind->statement)) {
    portal.command = known->command;
  } else {
    pgwire::Recognition found =
        pgwire::RecognizeBound(SqlOf(bind->statement), OurSettingIn(*bind, EffectsOf(bind->statement)));
    if (found.refusal) return std::move(found.refusal);
    portal.command = std::make_shared<const Command>(std::move(found.commands.front()));
  }
  if (auto failure = BindCommand(*portal.command, *bind, portal.binding)) {
    return Refuse(failure->code, std::move(failure->message));
  }
  virtuals_.Open(bind->portal, std::move(portal));
  pgwire::BindComplete(outbox_);
  return std::nullopt;
}

std::optional<ErrorFields> Session::Describe(std::string_view body) {
  const auto target = pgwire::ReadTarget(body);
  const Command* command = nullptr;
  bool binary = false;
  if (target->kind == 'S') {
    const VirtualStatements::Statement* statement = virtuals_.FindStatement(target->name);
    if (statement == nullptr) return Refuse("26000", "prepared statement does not exist");
    pgwire::ParameterDescription(outbox_, statement->types);
    command = statement->command.get();
  } else {
    const Portal* portal = virtuals_.FindPortal(target->name);
    if (portal == nullptr) return Refuse("34000", "portal does not exist");
    command = portal->command.get();
    binary = portal->binding.binary_result;
  }
  if (command->HasRows()) {
    DescribeRow(outbox_, *command, binary);
  } else {
    pgwire::NoData(outbox_);
  }
  return std::nullopt;
}

Session::Handled Session::ExecutePortal(std::string_view body) {
  const auto name = pgwire::ReadExecute(body);
  Portal* const found = name ? virtuals_.FindPortal(*name) : nullptr;
  if (found == nullptr) {
    FailStep(Refuse("34000", "portal does not exist"));
    return Handled::kDone;
  }
  if (found->done) {
    pgwire::CommandComplete(outbox_, found->command->HasRows() ? "SELECT 0" : found->command->tag);
    return Handled::kDone;
  }
  if (found->command->Moves() && EndOwnBatch() == Handled::kWaits) return Handled::kWaits;
  const Portal portal = *found;  // DISCARD ALL closes all portals, its own among them
  std::optional<TenantId> at = tenant_;
  Ran ran = Run(*portal.command, portal.binding, at);
  if (ran.waits) return Handled::kWaits;
  resolved_.clear();
  if (ran.error) {
    FailStep(*ran.error);
    return Handled::kDone;
  }
  if (Portal* const still = virtuals_.FindPortal(*name)) still->done = true;
  if (portal.command->HasRows()) pgwire::DataRow(outbox_, ran.row);
  pgwire::CommandComplete(outbox_, portal.command->tag);
  MoveTo(at);
  return Handled::kDone;
}

// A server that has prepared something for this batch, and no more, is given back when the session moves: as between
// two batches.
Session::Handled Session::EndOwnBatch() {
  if (server_ == nullptr || !exchange_.in_batch() || exchange_.batch_has_run() ||
      exchange_.transaction_status() != 'I') {
    return Handled::kDone;
  }
  pgwire::Sync(server_->outbox());
  exchange_.Sent('S', Exchange::Audience::kNobody);
  stage_ = Stage::kSettling;
  return Handled::kWaits;
}

Session::Ran Session::Run(const Command& command, const Binding& binding, std::optional<TenantId>& at) {
  const auto error = [](ErrorFields why) { return Ran{.row = {}, .error = std::move(why), .waits = false}; };
  const auto row = [](std::vector<std::string> values) {
    return Ran{.row = std::move(values), .error = std::nullopt, .waits = false};
  };
  switch (command.kind) {
    case Kind::kSwitch: {
      if (binding.is_local) {
        return error(Refuse("0A000", "a switch cannot be local to a transaction",
                            "SELECT set_config('leasehold.tenant', $1, false)"));
      }
      if (!binding.tenant || binding.tenant->empty()) return Move(grant_->home_tenant, at);
      absl::StatusOr<TenantId> tenant = TenantId::Parse(*binding.tenant);
      if (!tenant.ok()) return error(pgwire::ToErrorFields(tenant.status()));
      return Move(*std::move(tenant), at);
    }
    case Kind::kReset:
      return Move(grant_->home_tenant, at);
    case Kind::kResetAll:
    case Kind::kDiscardAll:
      if (exchange_.transaction_status() != 'I' || exchange_.batch_has_run()) {
        return error(Refuse("25001", std::format("{} cannot run inside a transaction block", command.tag)));
      }
      ResetAll(command.kind == Kind::kDiscardAll);
      at = tenant_;
      return row({});
    case Kind::kDeallocate:
      if (command.name.empty()) {
        ForgetStatements();
      } else {
        ForgetStatement(command.name);
        virtuals_.CloseStatement(command.name);
        if (server_ == nullptr) sql_prepared_.erase(command.name);
      }
      return row({});
    case Kind::kEndLost:
      if (lost_ == Lost::kNo) return error(Refuse("26000", "prepared statement does not exist"));
      if (command.tag == "COMMIT") return error(EndLostTransaction());
      EndLostTransaction();
      return row({});
    case Kind::kShowPinned:
      return row({PinsText()});
    case Kind::kShowSession:
      return command.column.empty() ? row(SessionRow()) : row({JsonOf(SessionRow())});
    case Kind::kShowTenant:
      break;
  }
  return row({at ? at->str() : ""});
}

Session::Ran Session::Move(std::optional<TenantId> target, std::optional<TenantId>& at) {
  Ran ran{.row = {target ? target->str() : ""}, .error = std::nullopt, .waits = false};
  if (target == at) return ran;
  absl::Status refused = context_.audit == nullptr ? absl::OkStatus() : context_.audit->Admit();
  if (exchange_.transaction_status() != 'I' || exchange_.batch_has_run()) {
    refused = Error(v1::REASON_IN_TRANSACTION, "leasehold.tenant cannot change inside a transaction");
  } else if (refused.ok()) {
    std::optional<absl::StatusOr<Route>> route = Resolve(target);
    if (!route) {
      stage_ = Stage::kResolving;
      ran.waits = true;
      return ran;
    }
    if (route->ok()) {
      at = std::move(target);
      next_line_ = &pool_.LineFor(TargetOf(**std::move(route)));
    } else {
      refused = route->status();
    }
  }
  if (!refused.ok()) {
    ran.error = pgwire::ToErrorFields(refused);
    context_.metrics.CountSwitch(ran.error->code);
    RecordSwitch(target, ReasonOf(refused));
  }
  return ran;
}

// No server is asked: the next statement comes by one. A session that only passes through a tenant costs its instance
// nothing.
void Session::MoveTo(const std::optional<TenantId>& tenant) {
  if (tenant == tenant_) return;
  RecordSwitch(tenant, v1::REASON_UNSPECIFIED);
  if (server_ != nullptr) GiveBack(held() || unknown_ ? Leftover::kUnknown : Leftover::kNothing);
  exchange_.Reset();
  // What SQL's PREPARE made is made again; the rest belonged to the database that is left.
  pins_ = told_pins_ = sure_pins_ = doubtful_pins_ = 0;
  unnamed_ = unnamed_body_.empty() ? 0 : unnamed_;
  tenant_ = tenant;
  line_ = next_line_;
  CountIn(line_->share);
  attachment_->MovedTo(tenant_);
  context_.metrics.CountSwitch("");
}

// RESET ALL and DISCARD ALL: back to where and how the session began.
void Session::ResetAll(bool discard) {
  settings_ = baseline_;
  SetIdleTimeout(idle_baseline_);
  GoHome(discard);
}

void Session::GoHome(bool discard) {
  if (discard) {
    ForgetStatements();
    unnamed_ = 0;
    virtuals_.CloseAllPortals();
    sql_prepared_.clear();
  }
  if (server_ != nullptr && (discard || tenant_ != grant_->home_tenant)) {
    GiveBack(held() || unknown_ ? Leftover::kUnknown : Leftover::kNothing);
    exchange_.Reset();
    pins_ = told_pins_ = sure_pins_ = doubtful_pins_ = 0;
    changed_.clear();
    resets_.clear();
    changes_told_ = false;
  }
  if (tenant_ == grant_->home_tenant) return;
  RecordSwitch(grant_->home_tenant, v1::REASON_UNSPECIFIED);
  tenant_ = grant_->home_tenant;
  line_ = nullptr;
  CountIn(&pool_.ShareFor(tenant_ ? tenant_->str() : ""));
  attachment_->MovedTo(tenant_);
}

void Session::RecordSwitch(const std::optional<TenantId>& to, v1::Reason outcome) {
  if (context_.audit == nullptr || !context_.audit->on()) return;
  if (address_.empty()) address_ = PeerAddress(client_.fd());
  const std::string_view from = tenant_ ? std::string_view(tenant_->str()) : grant_->connection;
  context_.audit->Record({.action = v1::AUDIT_ACTION_SESSION_SWITCH,
                          .outcome = outcome,
                          .principal = grant_->principal,
                          .holder = grant_->holder,
                          .address = address_,
                          .tenant = to ? std::string_view(to->str()) : "",
                          .service = grant_->service.str(),
                          .lease = grant_->id.str(),
                          .subject = to ? "" : grant_->connection,
                          .detail = absl::StrCat("from ", AbslView(from))});
}

std::string Session::PinsText() const {
  if (grant_->session) return "session lease";
  return Joined(", ", {{(pins_ & pgwire::kPinListen) != 0, "LISTEN"},
                       {(pins_ & pgwire::kPinTemporary) != 0, "temporary tables"},
                       {(pins_ & pgwire::kPinCursor) != 0, "cursors WITH HOLD"},
                       {(pins_ & pgwire::kPinAdvisoryLock) != 0, "advisory locks"},
                       {(pins_ & pgwire::kPinPrepare) != 0, "PREPARE"}});
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

void Session::FailQuery(const ErrorFields& error) {
  pgwire::ErrorResponse(outbox_, pgwire::Severity::kError, error);
  if (server_ != nullptr && exchange_.transaction_status() == 'T') {
    pgwire::Query(server_->outbox(), kFailTransaction);
    exchange_.Sent('Q', Exchange::Audience::kNotErrors);
  } else {
    if (server_ == nullptr) exchange_.Reset();
    CountOwnAnswer();
    pgwire::ReadyForQuery(outbox_, TransactionStatus());
  }
}

void Session::FailStep(const ErrorFields& error) {
  pgwire::ErrorResponse(outbox_, pgwire::Severity::kError, error);
  skip_to_sync_ = batch_is_ours_ = true;
  if (server_ != nullptr && (exchange_.transaction_status() == 'T' || exchange_.in_batch())) {
    pgwire::Parse(server_->outbox(), "", kFailTransaction);
    exchange_.Sent('P', Exchange::Audience::kNotErrors);
    server_->unnamed = 0;
  } else if (server_ == nullptr) {
    exchange_.Reset();
  }
}

}  // namespace leasehold::gateway
