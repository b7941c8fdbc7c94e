// Coming by a server and giving it back.
#include <algorithm>
#include <bit>
#include <format>
#include <utility>

#include "common/status/error.h"
#include "services/gateway/pgwire/encode.h"
#include "services/gateway/pgwire/quote.h"
#include "services/gateway/session/session.h"

namespace leasehold::gateway {
namespace {

// What is still there, of what keeps a server.
constexpr std::pair<uint8_t, std::string_view> kPins[] = {
    {pgwire::kPinListen, "pg_catalog.pg_listening_channels()"},
    {pgwire::kPinTemporary,
     "pg_catalog.pg_depend WHERE refclassid='pg_catalog.pg_namespace'::pg_catalog.regclass AND "
     "refobjid=pg_catalog.pg_my_temp_schema()"},
    {pgwire::kPinCursor, "pg_catalog.pg_cursors WHERE is_holdable"},
    {pgwire::kPinAdvisoryLock, "pg_catalog.pg_locks WHERE locktype='advisory' AND pid=pg_catalog.pg_backend_pid()"},
    {pgwire::kPinPrepare, "pg_catalog.pg_prepared_statements WHERE from_sql"},
};

}  // namespace

bool Session::Attach() {
  if (stage_ != Stage::kGreeting && query_began_ == absl::ZeroDuration()) {
    query_began_ = loop().now();
    if (transaction_began_ == absl::ZeroDuration()) transaction_began_ = query_began_;
  }
  if (server_ != nullptr) {
    // Between transactions of a client that keeps its server, its settings may have gone back.
    if (server_->applied == settings_ || !exchange_.settled() || exchange_.in_batch() ||
        exchange_.transaction_status() != 'I') {
      return true;
    }
    BeginPreparing();
    return false;
  }
  if (line_ == nullptr) {
    const std::optional<absl::StatusOr<Route>> route = Resolve(tenant_);
    if (!route) {
      stage_ = Stage::kResolving;
      return false;
    }
    resolved_.clear();
    if (!route->ok()) {
      refusal_ = pgwire::ToErrorFields(route->status());
      return false;
    }
    line_ = &pool_.LineFor(TargetOf(**route));
  }
  Server* const server = pool_.Acquire(*line_, *this);
  if (server == nullptr) {
    if (stage_ != Stage::kGreeting) stage_ = Stage::kWaiting;
    return false;
  }
  Attached(*server);
  return stage_ != Stage::kPreparing;
}

void Session::Attached(Server& server) {
  server_ = &server;
  server.batch.clear();
  exchange_.Reset();
  if (server.applied != settings_ || !sql_prepared_.empty()) {
    BeginPreparing();
  } else {
    TellParameters();
  }
}

void Session::OnServer(Server& server) {
  const auto self = shared_from_this();
  if (stage_ == Stage::kWaiting) stage_ = Stage::kServing;
  const bool greeting = stage_ == Stage::kGreeting;
  Attached(server);
  if (stage_ == Stage::kPreparing) return;
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
    calls += std::format("{}set_config({},{},false)", calls.empty() ? "SELECT " : ",", pgwire::Literal(name),
                         pgwire::Literal(value));
  }
  sql += calls;
  sql += ";";
  if (!server_->sql_prepared) {
    for (const auto& [name, text] : sql_prepared_) sql += text + ";";
  }
  welcome_pending_ = stage_ == Stage::kGreeting;
  stage_ = Stage::kPreparing;
  pgwire::Query(server_->outbox(), sql);
  exchange_.Sent('Q', Exchange::Audience::kNobody);
  refusal_.reset();
  server_->unnamed = 0;
  if (!server_->Flush()) LoseServer();
}

void Session::Prepared(bool well) {
  const bool greeting = std::exchange(welcome_pending_, false) || stage_ == Stage::kGreeting;
  if (well) {
    server_->applied = settings_;
    if (!sql_prepared_.empty()) {
      pins_ |= pgwire::kPinPrepare;
      server_->sql_prepared = true;
    }
  }
  if (greeting) {
    if (!well) return End(refusal_.value_or(pgwire::ErrorFields()));
    heard_ = server_->parameters;
    line_->greetings[settings_] = heard_;
    if (!grant_->session) GiveBack(Leftover::kNothing);
    return Greet();
  }
  stage_ = Stage::kServing;
  if (well) {
    TellParameters();
  } else {
    GiveBack(Leftover::kUnknown);
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

void Session::TellPins() {
  const uint8_t news = pins_ & static_cast<uint8_t>(~told_pins_);
  if (news == 0) return;
  told_pins_ |= news;
  pgwire::NoticeResponse(outbox_, {.code = "00000",
                                   .message = std::format("this session keeps its server connection: {}", PinsText()),
                                   .detail = "",
                                   .hint = "See SHOW leasehold.pinned; DISCARD ALL ends it."});
}

void Session::AfterTransaction() {
  if (server_ == nullptr || !exchange_.settled() || exchange_.transaction_status() != 'I' || passing_ != 0 ||
      exchange_.in_batch() || from_server_ != 0 || stage_ != Stage::kServing) {
    return;
  }
  if (!changed_.empty() || !resets_.empty() || AsksForPins()) return BeginReadingBack();
  doubtful_pins_ = 0;
  if (held()) {
    if (draining_ && Idle()) Drain();
    return;
  }
  GiveBack(unknown_ ? Leftover::kUnknown : Leftover::kNothing);
  if (draining_ && Idle()) return Drain();
}

void Session::GiveBack(Leftover leftover) {
  unknown_ = false;
  Server& server = *std::exchange(server_, nullptr);
  pool_.Release(server, leftover);
}

void Session::BeginReadingBack() {
  std::ranges::sort(changed_);
  changed_.erase(std::ranges::unique(changed_).begin(), changed_.end());
  std::string sql = "SELECT 1";
  for (const std::string& name : changed_) sql += std::format(",current_setting({},true)", pgwire::Literal(name));
  asked_pins_ = AsksForPins() ? doubtful_pins_ & pins_ : 0;
  doubtful_pins_ = 0;
  for (const auto& [pin, still_there] : kPins) {
    if ((asked_pins_ & pin) != 0) sql += std::format(",EXISTS(SELECT FROM {})", still_there);
  }
  stage_ = Stage::kReadingBack;
  server_->unnamed = 0;
  pgwire::Query(server_->outbox(), sql);
  exchange_.Sent('Q', Exchange::Audience::kNobody);
  for (const std::string& name : resets_) {
    server_->applied = pool_.settings().Without(server_->applied, name);
    settings_ = WithReset(settings_, name);
  }
  resets_.clear();
  if (!server_->Flush()) LoseServer();
}

SettingsPtr Session::WithReset(const SettingsPtr& from, const std::string& name) {
  if (baseline_) {
    for (const auto& [known, value] : *baseline_) {
      if (known == name) return pool_.settings().With(from, known, value);
    }
  }
  return pool_.settings().Without(from, name);
}

void Session::ReadBack(std::string_view data_row) {
  pgwire::BodyReader reader(data_row);
  if (reader.U16() != changed_.size() + 1 + static_cast<size_t>(std::popcount(asked_pins_))) return;
  for (size_t i = 0; i <= changed_.size(); ++i) {
    const uint32_t size = reader.U32();
    const bool null = size == 0xffffffff;
    const std::string value(null ? "" : reader.Bytes(size));
    if (!reader.ok()) return;
    if (i == 0) continue;
    const std::string& name = changed_[i - 1];
    server_->applied =
        null ? pool_.settings().Without(server_->applied, name) : pool_.settings().With(server_->applied, name, value);
    settings_ = null ? pool_.settings().Without(settings_, name) : pool_.settings().With(settings_, name, value);
  }
  changed_.clear();
  for (const auto& [pin, still_there] : kPins) {
    if ((asked_pins_ & pin) == 0) continue;
    const std::string_view answer = reader.Bytes(reader.U32());
    if (!reader.ok() || answer != "f") continue;
    pins_ &= static_cast<uint8_t>(~pin);
    unknown_ = true;  // clean it up all the same
  }
  told_pins_ &= pins_;
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
              .message = std::format("the {} instance closed the connection in the middle", grant_->service.str()),
              .detail = "",
              .hint = ""});
  const bool greeting = stage_ == Stage::kGreeting || welcome_pending_;
  if (greeting || held() || from_server_ != 0 || passing_ != 0) {
    return End(held() || greeting ? std::move(why) : pgwire::ErrorFields());
  }
  const int syncs = exchange_.syncs_due();
  const bool in_batch = exchange_.in_batch() && !exchange_.skipping();
  const bool in_transaction = exchange_.transaction_status() != 'I';
  const bool own = stage_ != Stage::kServing && stage_ != Stage::kSettling;
  const bool skipping = exchange_.skipping();
  exchange_.Reset();
  ForgetQuery();
  parameters_.clear();
  changed_.clear();
  resets_.clear();
  unknown_ = goes_home_ = false;
  if (own) {  // on an errand of ours: the client's own message has not been sent yet
    if (stage_ == Stage::kPreparing) refusal_ = why;
  } else {
    for (int i = 0; i < syncs; ++i) {
      pgwire::ErrorResponse(outbox_, pgwire::Severity::kError, why);
      pgwire::ReadyForQuery(outbox_, 'I');
    }
    if (in_batch) {
      pgwire::ErrorResponse(outbox_, pgwire::Severity::kError, why);
      skip_to_sync_ = true;
    } else if (skipping) {
      skip_to_sync_ = true;
    } else if (syncs == 0 && in_transaction) {
      lost_transaction_ = true;
    }
  }
  stage_ = Stage::kServing;
  Resume();
}

}  // namespace leasehold::gateway
