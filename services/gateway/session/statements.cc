// Prepared statements. The client's names are its own; on servers a statement has a name of the gateway's, the same for
// all clients that prepare the same text, and is prepared where it is used and is not yet.
#include <algorithm>
#include <format>
#include <utility>

#include "common/status/view.h"
#include "services/gateway/pgwire/encode.h"
#include "services/gateway/pgwire/extended.h"
#include "services/gateway/session/session.h"

namespace leasehold::gateway {
namespace {

using Audience = Exchange::Audience;

// Of one client.
constexpr size_t kMostStatements = 1'000;
constexpr size_t kMostStatementBytes = 8 << 20;
// Of one server: what nobody uses any more is kept there for the next one.
constexpr size_t kMostBytesOfServer = 16 << 20;

pgwire::ErrorFields Refuse(std::string_view code, std::string message) {
  return {.code = std::string(code), .message = std::move(message), .detail = "", .hint = ""};
}

}  // namespace

void Session::SendCloseOf(std::string_view name) {
  pgwire::CloseStatement(server_->outbox(), name);
  exchange_.Sent('C', Audience::kNobody);
}

void Session::EnsurePrepared(const StatementPtr& statement) {
  if (server_->prepared.Use(*statement)) return;
  Prepare(statement, Audience::kNobody);
}

void Session::Prepare(const StatementPtr& statement, Audience audience) {
  if (server_->TakeStale(statement)) SendCloseOf(statement->name);
  const size_t most = pool_.options().max_prepared_statements;
  for (const StatementPtr& gone : server_->prepared.Add(statement, most, kMostBytesOfServer)) SendCloseOf(gone->name);
  pgwire::ParseFrame(server_->outbox(), statement->name, statement->body);
  exchange_.Sent('P', audience, statement);
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
  if (!NeedServer()) return stage_ == Stage::kServing ? Handled::kDone : Handled::kWaits;
  if (context_.log_queries) NoteStatement(text);
  if (name.empty()) {
    unnamed_body_.assign(text);
    unnamed_effects_ = pgwire::EffectsOf(text.substr(0, text.find('\0')));
    server_->unnamed = unnamed_ = pool_.NextMark();
    pgwire::ParseFrame(server_->outbox(), "", unnamed_body_);
    exchange_.Sent('P');
    return Handled::kDone;
  }
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
  StatementPtr statement = pool_.statements().Intern(text);
  statements_.emplace(std::string(name), statement);
  statement_bytes_ += text.size();
  if (server_->prepared.Use(*statement)) {
    std::string complete;
    pgwire::ParseComplete(complete);
    if (exchange_.settled()) {
      outbox_.append(complete);
    } else {
      exchange_.Answered(std::move(complete));
    }
    return Handled::kDone;
  }
  Prepare(statement, Audience::kClient);
  return Handled::kDone;
}

// A Bind or a Describe, or a Parse too long to be kept; `name_at`: where in the body the statement's name is.
Session::Handled Session::UseStatement(std::string_view bytes, const pgwire::Frame& frame, std::string_view name,
                                       size_t name_at) {
  if (!NeedServer()) return stage_ == Stage::kServing ? Handled::kDone : Handled::kWaits;
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
    unnamed_effects_.unknown = true;
    server_->unnamed = unnamed_ = pool_.NextMark();
  } else if (name.empty()) {
    EnsureUnnamed();
    if (frame.type == 'B') NoteEffects(unnamed_effects_);
  } else if (const auto known = statements_.find(AbslView(name)); known != statements_.end()) {
    statement = known->second;
    EnsurePrepared(statement);
    server_name = statement->name;
    if (frame.type == 'B') NoteEffects(statement->effects);
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

Session::Handled Session::CloseStatement(std::string_view name) {
  if (name.empty()) {
    unnamed_ = 0;
  } else if (const auto known = statements_.find(AbslView(name)); known != statements_.end()) {
    statement_bytes_ -= std::min(statement_bytes_, known->second->body.size());
    statements_.erase(known);
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

void Session::ForgetUnprepared(const std::vector<Exchange::Undone>& undone) {
  for (const auto& [statement, by_client] : undone) {
    server_->prepared.Remove(*statement);
    if (by_client) absl::erase_if(statements_, [&](const auto& entry) { return entry.second == statement; });
  }
}

}  // namespace leasehold::gateway
