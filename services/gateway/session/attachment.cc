// Coming by a server and giving it back.
#include <algorithm>
#include <format>
#include <utility>

#include "common/status/error.h"
#include "services/gateway/pgwire/encode.h"
#include "services/gateway/pgwire/quote.h"
#include "services/gateway/session/session.h"

namespace leasehold::gateway {
namespace {

// Before a statement fails because its server could not be made ready: other servers are tried.
constexpr int kPreparingTries = 3;
// Of one line; clients may come with settings that nobody else has.
constexpr size_t kMostGreetings = 1'000;

}  // namespace

bool Session::Attach() {
  if (stage_ != Stage::kGreeting && query_began_ == absl::ZeroDuration()) {
    query_began_ = loop().now();
    if (transaction_began_ == absl::ZeroDuration()) transaction_began_ = query_began_;
  }
  if (server_ != nullptr) {
    pool_.Working(*server_);
    // Between transactions of a client that keeps its server, its settings may have gone back.
    if (server_->applied == settings_ || !exchange_.settled() || exchange_.in_batch() ||
        exchange_.transaction_status() != 'I') {
      return true;
    }
    BeginPreparing();
    return false;
  }
  if (line_ == nullptr) {
    std::optional<absl::StatusOr<Route>> route = Resolve(tenant_);
    if (!route) {
      stage_ = Stage::kResolving;
      return false;
    }
    resolved_.clear();
    if (!route->ok()) {
      refusal_ = pgwire::ToErrorFields(route->status());
      return false;
    }
    line_ = &pool_.LineFor(TargetOf(**std::move(route)));
  }
  Server* const server = pool_.Acquire(*line_, *this);
  if (server == nullptr) {
    if (stage_ != Stage::kGreeting) stage_ = Stage::kWaiting;
    return false;
  }
  Attached(*server);
  return server_ == server && stage_ != Stage::kPreparing;
}

void Session::Attached(Server& server) {
  server_ = &server;
  server.batch.clear();
  exchange_.Reset();
  if (server.applied != settings_ || !sql_prepared_.empty()) return BeginPreparing();
  preparing_failures_ = 0;
  cancelled_ = false;
  TellParameters();
}

void Session::OnServer(Server& server) {
  const auto self = shared_from_this();
  if (stage_ == Stage::kWaiting) stage_ = Stage::kServing;
  const bool greeting = stage_ == Stage::kGreeting;
  Attached(server);
  if (server_ != &server || stage_ == Stage::kPreparing) return;
  if (greeting) return Prepared(true);
  Resume();
}

void Session::OnNoServer(const pgwire::ErrorFields& why) {
  const auto self = shared_from_this();
  if (stage_ == Stage::kGreeting) return End(why);
  stage_ = Stage::kServing;
  refusal_ = why;
  Resume();
}

// The settings that differ, in one query, and what SQL's PREPARE made.
void Session::BeginPreparing() {
  static const SettingMap kNone;
  const SettingMap& are = server_->applied ? *server_->applied : kNone;
  const SettingMap& should = settings_ ? *settings_ : kNone;
  std::string sql;
  for (const auto& [name, value] : are) {
    if (!should.contains(name)) sql += std::format("RESET {};", pgwire::QuotedParameter(name));
  }
  std::string calls;
  for (const auto& [name, value] : should) {
    const auto is = are.find(name);
    if (is != are.end() && is->second == value) continue;
    calls += std::format("{}pg_catalog.set_config({},{},false)", calls.empty() ? "SELECT " : ",", pgwire::Literal(name),
                         pgwire::NeutralLiteral(value));
  }
  sql += calls;
  sql += ";";
  welcome_pending_ = stage_ == Stage::kGreeting;
  stage_ = Stage::kPreparing;
  pgwire::Query(server_->outbox(), sql);
  exchange_.Sent('Q', Exchange::Audience::kNobody);
  if (!server_->sql_prepared) {
    // Each by itself: PostgreSQL keeps the whole query string with every one.
    for (const auto& [name, text] : sql_prepared_) {
      pgwire::Query(server_->outbox(), text);
      exchange_.Sent('Q', Exchange::Audience::kNobody);
    }
    server_->sql_prepared = !sql_prepared_.empty();  // some of them, also if another fails
  }
  refusal_.reset();
  server_->unnamed = 0;
  if (!server_->Flush()) LoseServer();
}

void Session::Prepared(bool well) {
  const bool greeting = std::exchange(welcome_pending_, false) || stage_ == Stage::kGreeting;
  if (well) {
    server_->applied = settings_;
    if (!sql_prepared_.empty()) pins_ |= pgwire::kPinPrepare;
  }
  if (greeting) {
    if (!well) {
      const pgwire::ErrorFields why = *std::exchange(refusal_, std::nullopt);
      if (why.code != "57014") return End(why);
      GiveBack(Leftover::kUnknown);  // the time-out of whoever had the server before was still in force
      return GreetAgain(why);
    }
    heard_ = server_->parameters;
    if (line_->greetings.size() >= kMostGreetings) line_->greetings.clear();
    line_->greetings[settings_] = heard_;
    if (!grant_->session) GiveBack(Leftover::kNothing);
    return Greet();
  }
  stage_ = Stage::kServing;
  const bool cancelled = std::exchange(cancelled_, false);
  if (well) {
    preparing_failures_ = 0;
    TellParameters();
    if (cancelled) refusal_ = Cancelled();
  } else if (!held() || !sql_prepared_.empty()) {
    GiveBack(Leftover::kUnknown);
    // It need not have been this client's doing: the time-out of whoever had the server before was still in force.
    if (refusal_->code == "57014" && !cancelled && ++preparing_failures_ < kPreparingTries) refusal_.reset();
  }
  Resume();
}

void Session::TellParameters() {
  if (server_->parameters == heard_) return;
  if (server_->parameters) {
    for (const auto& [name, value] : *server_->parameters) {
      if (heard_) {
        const auto known = heard_->find(name);
        if (known != heard_->end() && known->second == value) continue;
      }
      pgwire::ParameterStatus(outbox_, name, value);
    }
  }
  heard_ = server_->parameters;
}

void Session::GiveBack(Leftover leftover) {
  unknown_ = doubtful_ = false;
  Server& server = *std::exchange(server_, nullptr);
  // A batch without its Sync is not at its end: what it has done would be the next client's to commit.
  if (exchange_.in_batch()) return pool_.Retire(server, false);
  pool_.Release(server, leftover);
}

// Nothing but a server is missing for the log-in to be done: another one will do.
void Session::GreetAgain(const pgwire::ErrorFields& why) {
  if (++preparing_failures_ == kPreparingTries) return End(why);
  welcome_pending_ = false;
  from_server_ = 0;
  exchange_.Reset();
  stage_ = Stage::kGreeting;
  if (Attach()) Prepared(true);
}

// … to the client, what it still waits for. Whatever the server had not answered is lost with it.
void Session::TellOfLoss(const pgwire::ErrorFields& why) {
  // Whoever was told of a failure is told once: a second error could go unheard. And what belongs to a transaction
  // that is lost must not run outside of it.
  bool lost = exchange_.transaction_status() != 'I';
  const auto goes_on = [&lost](pgwire::Block next) {
    if (next != pgwire::Block::kNone) lost = next == pgwire::Block::kBegins;
  };
  const std::vector<pgwire::Block> syncs = exchange_.syncs_due();
  const bool failing = exchange_.failing();
  const bool skipping = exchange_.skipping();
  bool told = failing;
  bool heard = false;
  for (const pgwire::Block next : syncs) {
    goes_on(next);
    if (!std::exchange(told, false)) {
      pgwire::ErrorResponse(outbox_, pgwire::Severity::kError, why);
      heard = true;
    }
    pgwire::ReadyForQuery(outbox_, lost ? 'E' : 'I');
  }
  if (skipping || exchange_.in_batch() || (failing && syncs.empty())) {
    goes_on(exchange_.block_sent());
    if (skipping || told) {
      skip_to_sync_ = true;
    } else if (!exchange_.settled()) {
      pgwire::ErrorResponse(outbox_, pgwire::Severity::kError, why);
      skip_to_sync_ = heard = true;
    } else {
      lost_batch_ = why;
    }
  }
  if (!lost) return;
  lost_ = heard ? Lost::kTold : Lost::kUntold;
  if (!heard) lost_why_ = std::make_unique<pgwire::ErrorFields>(why);
}

// It went by itself: that ends the transaction, not the session, unless the session had more in it than that.
void Session::LoseServer() {
  const auto self = shared_from_this();
  Server& server = *std::exchange(server_, nullptr);
  server.transport().ShutdownWrite();
  pool_.Retire(server, false);
  pgwire::ErrorFields why =
      std::exchange(last_words_, std::nullopt)
          .value_or(pgwire::ErrorFields{
              .code = "08006",
              .message = std::format("the {} instance closed the connection in the middle", grant_->service.str())});
  if (stage_ == Stage::kGreeting || welcome_pending_) return GreetAgain(why);
  const bool own = stage_ != Stage::kServing && stage_ != Stage::kSettling;
  if (own) from_server_ = 0;
  // What the client was told of settings would not be true any more.
  const bool forgets = stage_ == Stage::kReadingBack || changes_told_;
  if (held() || forgets || from_server_ != 0) return End(std::move(why));
  if (!own) TellOfLoss(why);
  exchange_.Reset();
  if (!own) CountOwnAnswer();  // its own message has not been sent yet
  parameters_.clear();
  discarding_ += std::exchange(passing_, 0);
  changed_.clear();
  resets_.clear();
  sql_prepared_anew_.clear();
  names_in_doubt_ = false;
  unknown_ = doubtful_ = discarded_ = forgets_ = false;
  homeward_ = Homeward::kNo;
  if (own) {  // the client's own message has not been sent yet: another server will do
    if (std::exchange(cancelled_, false)) {
      refusal_ = Cancelled();
    } else if (++preparing_failures_ == kPreparingTries) {
      preparing_failures_ = 0;
      refusal_ = why;
    }
  }
  stage_ = Stage::kServing;
  // Not at once: this may have happened while the client's message was being dealt with, and it is shown again only
  // after that.
  loop().Defer([self = shared_from_this()] {
    if (self->stage_ == Stage::kServing) self->Resume();
  });
}

}  // namespace leasehold::gateway
