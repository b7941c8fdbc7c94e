// Prepared statements. The client's names are its own; on servers a statement has a name of the gateway's, the same for
// all clients that prepare the same text, and is prepared where it is used and is not yet.
#include <algorithm>
#include <format>
#include <ranges>
#include <utility>

#include "common/status/view.h"
#include "services/gateway/pgwire/encode.h"
#include "services/gateway/pgwire/extended.h"
#include "services/gateway/session/session.h"

namespace leasehold::gateway {
namespace {

using pgwire::Refuse;
using Audience = Exchange::Audience;

// Of one client.
constexpr size_t kMostStatements = 1'000;
constexpr size_t kMostStatementBytes = 8 << 20;
// Of one server: what nobody uses any more is kept there for the next one.
constexpr size_t kMostBytesOfServer = 16 << 20;

// Of set_config's parameters.
std::vector<std::string_view> SettingsIn(const pgwire::BindBody& bind, const pgwire::Effects& effects) {
  std::vector<std::string_view> names;
  for (size_t i = 0; i < bind.values.size() && i < 31; ++i) {
    if ((effects.bound_sets >> (i + 1) & 1) != 0 && bind.values[i]) names.push_back(*bind.values[i]);
  }
  return names;
}

// What decides, when PostgreSQL parses a text, which objects its names are and which values its literals.
constexpr std::string_view kReading[] = {
    "array_nulls",   "backslash_quote",       "client_encoding", "datestyle",
    "intervalstyle", "lc_monetary",           "search_path",     "standard_conforming_strings",
    "timezone",      "transform_null_equals", "xmloption"};

}  // namespace

// Clients share a statement if they have set these alike.
std::string Session::Reading() const {
  std::string reading;
  for (const std::string_view name : kReading) {
    if (std::ranges::contains(changed_, name) || std::ranges::contains(resets_, name)) {
      return std::format("{}", pool_.NextMark());  // nobody's: what it is will only be read back
    }
    if (!settings_) continue;
    if (const auto set = settings_->find(name); set != settings_->end()) {
      reading.append(name).append(1, '=').append(set->second).append(1, '\0');
    }
  }
  return reading;
}

// PostgreSQL's statement, with set_config($n, …) in it, as long as nobody knew what $n is bound to.
std::string_view Session::OurSettingIn(const pgwire::BindBody& bind, const pgwire::Effects& effects) {
  for (const std::string_view name : SettingsIn(bind, effects)) {
    if (pgwire::IsGatewaySetting(name)) return name;
  }
  return {};
}

void Session::SendCloseOf(std::string_view name) {
  pgwire::CloseStatement(server_->outbox(), name);
  exchange_.Sent('C', Audience::kNobody);
}

// A client that was told of the columns that the statement gives now must not meet a server that has the old plan.
uint64_t Session::NotBefore(const ClientStatement& known) const {
  return known.told > known.statement->stale ? known.statement->stale : 0;
}

void Session::EnsurePrepared(const ClientStatement& known) {
  if (server_->HasPrepared(known.statement, NotBefore(known))) return;
  PrepareOn(known.statement, Audience::kNobody, {});
}

void Session::PrepareOn(const StatementPtr& statement, Audience audience, std::string_view name) {
  if (server_->TakeStale(statement)) SendCloseOf(statement->name);
  const size_t most = pool_.options().max_prepared_statements;
  for (const StatementPtr& gone : server_->prepared.Add(statement, pool_.NextMark(), most, kMostBytesOfServer)) {
    SendCloseOf(gone->name);
  }
  pgwire::ParseFrame(server_->outbox(), statement->name, statement->body);
  exchange_.Sent('P', audience, statement, name);
}

void Session::EnsureUnnamed() {
  if (unnamed_ != 0 && server_->unnamed == unnamed_) return;
  if (unnamed_ == 0 || unnamed_body_.empty()) {
    // There is none: nor must the server find somebody else's.
    if (server_->unnamed != 0) SendCloseOf("");
    server_->unnamed = 0;
    return;
  }
  pgwire::ParseFrame(server_->outbox(), "", unnamed_body_);
  exchange_.Sent('P', Audience::kNobody);
  server_->unnamed = unnamed_;
}

bool Session::NeedServer() {
  if (!refusal_ && Attach()) return true;
  if (refusal_) FailStep(*std::exchange(refusal_, std::nullopt));
  return false;
}

Session::Handled Session::ParseStatement(std::string_view body) {
  const size_t name_size = body.find('\0');
  const std::string_view name = body.substr(0, name_size);
  const std::string_view text = body.substr(name_size + 1);
  if (!NeedServer()) return skip_to_sync_ ? Handled::kDone : Handled::kWaits;
  if (log_queries_) NoteStatement(text);
  if (name.empty()) {
    unnamed_body_.assign(text);
    unnamed_effects_ = pgwire::EffectsOf(text.substr(0, text.find('\0')));
    server_->unnamed = unnamed_ = pool_.NextMark();
    pgwire::ParseFrame(server_->outbox(), "", unnamed_body_);
    exchange_.Sent('P');
    return Handled::kDone;
  }
  if (forgets_ && Settle() == Handled::kWaits) return Handled::kWaits;
  if (statements_.contains(AbslView(name)) || virtuals_.FindStatement(name) != nullptr) {
    if (Settle() == Handled::kWaits) return Handled::kWaits;
    FailStep(Refuse("42P05", std::format("prepared statement \"{}\" already exists", name)));
    return Handled::kDone;
  }
  if (statements_.size() >= kMostStatements || statement_bytes_ + text.size() > kMostStatementBytes) {
    if (Settle() == Handled::kWaits) return Handled::kWaits;
    FailStep(Refuse("54000", std::format("a client may have {} prepared statements of {} bytes in all", kMostStatements,
                                         kMostStatementBytes)));
    return Handled::kDone;
  }
  const ClientStatement& known =
      statements_
          .emplace(std::string(name),
                   ClientStatement{.statement = pool_.statements().Intern(text, Reading()), .told = pool_.NextMark()})
          .first->second;
  statement_bytes_ += text.size();
  if (!server_->HasPrepared(known.statement, NotBefore(known))) {
    PrepareOn(known.statement, Audience::kClient, name);
  } else if (exchange_.settled()) {
    pgwire::ParseComplete(outbox_);
  } else {
    exchange_.AnsweredParse(known.statement, name);
  }
  return Handled::kDone;
}

// A Bind or a Describe, or a Parse too long to be kept; `name_at`: where in the body the statement's name is.
Session::Handled Session::UseStatement(std::string_view bytes, const pgwire::Frame& frame, std::string_view name,
                                       size_t name_at) {
  const auto known = name.empty() ? statements_.end() : statements_.find(AbslView(name));
  const pgwire::Effects& effects = EffectsOf(name);
  if (frame.type == 'B' && effects.bound_sets != 0) {
    const std::string_view body = bytes.substr(pgwire::kHeaderSize);
    const auto bind = pgwire::ReadBind(body);
    if (bind && !OurSettingIn(*bind, effects).empty()) return HandleStep('B', body, true);
  }
  if (frame.type == 'B' && !refusal_) refusal_ = LeavesTooMuch(effects);
  if (!NeedServer()) return skip_to_sync_ ? Handled::kDone : Handled::kWaits;
  std::string_view server_name = name;
  StatementPtr statement;
  if (frame.type == 'P') {
    if (!name.empty()) {
      if (Settle() == Handled::kWaits) return Handled::kWaits;
      FailStep(Refuse("54000", "a prepared statement with a name may be at most 2 MiB long"));
      return Handled::kDone;
    }
    // As long as this server is kept it is there; nobody could prepare it elsewhere.
    unnamed_body_.clear();
    unnamed_effects_ = {};
    unnamed_effects_.AddAnything();
    server_->unnamed = unnamed_ = pool_.NextMark();
  } else if (name.empty()) {
    EnsureUnnamed();
    if (frame.type == 'B') NoteBind(bytes.substr(pgwire::kHeaderSize), effects);
  } else if (known != statements_.end()) {
    statement = known->second.statement;
    EnsurePrepared(known->second);
    server_name = statement->name;
    if (frame.type == 'B') {
      NoteBind(bytes.substr(pgwire::kHeaderSize), effects);
    } else {
      known->second.told = pool_.NextMark();
    }
  } else if (name.starts_with("leasehold_")) {
    // The gateway's own names are nobody's to use.
    if (Settle() == Handled::kWaits) return Handled::kWaits;
    FailStep(Refuse("26000", std::format("prepared statement \"{}\" does not exist", name)));
    return Handled::kDone;
  }
  std::string& out = server_->outbox();
  const std::string_view body = bytes.substr(pgwire::kHeaderSize);
  pgwire::Header(out, frame.type, frame.size - pgwire::kHeaderSize - name.size() + server_name.size());
  out.append(body.substr(0, name_at));
  out.append(server_name);
  out.append(body.substr(name_at + name.size()));
  exchange_.Sent(frame.type, Audience::kClient, std::move(statement));
  // The rest of a long one goes as it comes.
  passing_ = frame.size - bytes.size();
  return passing_ > 0 ? Handled::kRelayed : Handled::kDone;
}

// What set_config($n, …) sets is known only now.
void Session::NoteBind(std::string_view body, const pgwire::Effects& effects) {
  const std::string_view portal = pgwire::ReadBindNames(body)->portal;
  if (effects.resets_all) {
    resetting_portal_ = portal;
  } else if (resetting_portal_ == portal) {
    resetting_portal_.reset();
  }
  if (!effects.resets_all) NoteEffects(effects);
  if (effects.bound_sets == 0) return;
  const auto bind = pgwire::ReadBind(body);
  if (!bind) {  // only its beginning is here
    unknown_ = true;
    return;
  }
  pgwire::Effects bound;
  for (const std::string_view name : SettingsIn(*bind, effects)) {
    // PostgreSQL takes neither.
    if (!name.empty() && !name.contains('\0')) pgwire::NoteSet(bound, std::string(name));
  }
  NoteEffects(bound);
}

std::string_view Session::SqlOf(std::string_view statement) const {
  if (statement.empty()) return std::string_view(unnamed_body_).substr(0, unnamed_body_.find('\0'));
  const auto known = statements_.find(AbslView(statement));
  return known == statements_.end() ? std::string_view() : known->second.statement->sql();
}

const pgwire::Effects& Session::EffectsOf(std::string_view statement) const {
  static const pgwire::Effects kNone;
  if (statement.empty()) return unnamed_effects_;
  const auto known = statements_.find(AbslView(statement));
  return known == statements_.end() ? kNone : known->second.statement->effects;
}

Session::Handled Session::CloseStatement(std::string_view name) {
  if (name.empty()) {
    unnamed_ = 0;
  } else if (const auto known = statements_.find(AbslView(name)); known != statements_.end()) {
    const StatementPtr statement = known->second.statement;
    ForgetStatement(name);
    batch_is_ours_ = true;
    if (!exchange_.settled()) {
      exchange_.AnsweredClose(statement, name);
      return Handled::kDone;
    }
  } else if (sql_prepared_.contains(std::string(name)) && server_ != nullptr) {
    sql_prepared_.erase(std::string(name));
    SendCloseOf(name);
  }
  std::string complete;
  pgwire::CloseComplete(complete);
  if (exchange_.settled()) {
    outbox_.append(complete);
  } else {
    exchange_.Answered(std::move(complete));
  }
  batch_is_ours_ = true;
  return Handled::kDone;
}

void Session::ForgetStatement(std::string_view name) {
  const auto known = statements_.find(AbslView(name));
  if (known == statements_.end()) return;
  statement_bytes_ -= std::min(statement_bytes_, known->second.statement->body.size());
  statements_.erase(known);
}

void Session::ForgetStatements() {
  statements_.clear();
  statement_bytes_ = 0;
  virtuals_.CloseAllStatements();
  // A server has not made them yet, or is asked what it has.
  if (server_ == nullptr) sql_prepared_.clear();
}

void Session::ForgetUnprepared(const std::vector<Exchange::Undone>& undone) {
  // What was closed last was there last.
  for (const auto& [statement, name, by_client, on_server, closed] : undone | std::views::reverse) {
    if (closed) {
      statement_bytes_ += statement->body.size();
      statements_.insert_or_assign(name, ClientStatement{.statement = statement, .told = pool_.NextMark()});
      continue;
    }
    if (!statement) {
      // The server has none, or the one before, which may be anybody's.
      server_->unnamed = pool_.NextMark();
      if (by_client) unnamed_ = 0;
      continue;
    }
    if (!on_server) server_->prepared.Remove(*statement);
    if (by_client) ForgetStatement(name);
  }
}

}  // namespace leasehold::gateway
