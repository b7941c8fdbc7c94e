// What a transaction has left in its server. Settings follow the client: they are read back from the server that has
// them now. What cannot follow keeps the server with the client.
#include <algorithm>
#include <bit>
#include <format>
#include <set>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "common/status/view.h"
#include "services/gateway/pgwire/encode.h"
#include "services/gateway/pgwire/quote.h"
#include "services/gateway/pgwire/time_setting.h"
#include "services/gateway/session/session.h"

namespace leasehold::gateway {
namespace {

// So much may follow a client.
constexpr size_t kMostSettings = 256;
constexpr size_t kMostSettingBytes = 64 * 1024;
// Names that a transaction may set, the same one several times among them. Each is asked for at its end.
constexpr size_t kMostChanges = 10'000;
// By SQL's PREPARE: each is made again on every server that the client comes to, and asked for by name.
constexpr size_t kMostPrepared = 500;
constexpr size_t kMostPreparedBytes = 8 << 20;
// A query of the gateway's own fails under a client's statement_timeout, or by its late cancel.
constexpr int kReadingBackTries = 5;

// What is still there, of what keeps a server.
struct PinQuestion {
  uint8_t pin;
  const char* sql;
};
constexpr PinQuestion kPinQuestions[] = {
    {pgwire::kPinListen, ",EXISTS (SELECT FROM pg_catalog.pg_listening_channels())"},
    {pgwire::kPinTemporary,
     ",EXISTS (SELECT FROM pg_catalog.pg_depend WHERE refclassid OPERATOR(pg_catalog.=) "
     "'pg_catalog.pg_namespace'::pg_catalog.regclass AND refobjid OPERATOR(pg_catalog.=) "
     "pg_catalog.pg_my_temp_schema())"},
    {pgwire::kPinCursor, ",EXISTS (SELECT FROM pg_catalog.pg_cursors WHERE is_holdable)"},
    {pgwire::kPinAdvisoryLock,
     ",EXISTS (SELECT FROM pg_catalog.pg_locks WHERE locktype OPERATOR(pg_catalog.=) 'advisory' AND "
     "pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid())"},
    {pgwire::kPinPrepare, ",EXISTS (SELECT FROM pg_catalog.pg_prepared_statements WHERE from_sql)"},
};

// The value that was set in this session, or NULL if none was. `exactly`: a value that may not have been set has to be
// told from one that was, which takes PostgreSQL longer.
std::string SettingQuestion(const std::string& name, bool exactly) {
  const std::string literal = pgwire::Literal(name);
  const std::string current = std::format("pg_catalog.current_setting({},true)", literal);
  if (!exactly) return current;
  if (name == "role") return std::format("NULLIF({},'none')", current);
  if (name.contains('.')) return std::format("NULLIF({},'')", current);  // pg_settings does not show these
  return std::format(
      "(SELECT setting FROM pg_catalog.pg_settings WHERE pg_catalog.lower(name) OPERATOR(pg_catalog.=) {} AND "
      "source OPERATOR(pg_catalog.=) 'session')",
      literal);
}

std::string_view PathOf(const SettingsPtr& settings) {
  if (!settings) return "";
  const auto path = settings->find("search_path");
  return path == settings->end() ? std::string_view() : std::string_view(path->second);
}

// What a client with this path makes is temporary, whatever the statement says.
bool MakesTemporary(const SettingsPtr& settings) {
  const std::string_view first = PathOf(settings);
  return first.substr(std::min(first.find_first_not_of(" \t\n\""), first.size())).starts_with("pg_temp");
}

// The same where the schemas before it do not exist.
bool MayMakeTemporary(const SettingsPtr& settings) {
  return absl::StrContainsIgnoreCase(AbslView(PathOf(settings)), "pg_temp");
}

size_t BytesOf(const SettingsPtr& settings) {
  size_t bytes = 0;
  if (!settings) return 0;
  for (const auto& [name, value] : *settings) bytes += name.size() + value.size();
  return bytes;
}

}  // namespace

// Its client reads strings otherwise than the statements of others are read: what they do is anybody's guess.
bool Session::ReadsStringsOtherwise() const {
  constexpr std::string_view kName = "standard_conforming_strings";
  return (settings_ && settings_->contains(kName)) || std::ranges::contains(changed_, kName);
}

void Session::NoteEffects(const pgwire::Effects& effects) {
  if (effects.last_block != pgwire::Block::kNone) exchange_.NoteBlock(effects.last_block);
  if (ReadsStringsOtherwise()) unknown_ = true;
  if (effects.creates && MayMakeTemporary(settings_)) {  // the server knows whether it did
    pins_ |= pgwire::kPinTemporary;
    doubtful_pins_ |= pgwire::kPinTemporary;
  }
  if (effects.none()) return;
  unknown_ |= effects.unknown;
  if (effects.resets_all) NoteResetAll();
  forgets_ |= (effects.unpins & pgwire::kPinPrepare) != 0;
  if (server_ != nullptr && (effects.pins & pgwire::kPinPrepare) != 0) server_->sql_prepared = true;
  pins_ |= effects.pins;
  doubtful_pins_ |= effects.unpins;
  changed_.insert(changed_.end(), effects.sets.begin(), effects.sets.end());
  resets_.insert(resets_.end(), effects.resets.begin(), effects.resets.end());
  for (const auto& [name, text] : effects.prepares) {
    if (!sql_prepared_.emplace(name, text).second) sql_prepared_anew_.insert_or_assign(name, text);
  }
  names_in_doubt_ |= (effects.unpins & pgwire::kPinPrepare) != 0 || !effects.prepares.empty();
}

// Which of them it has really reset, and what was set behind it, is read back.
void Session::NoteResetAll() {
  if (homeward_ == Homeward::kNo) homeward_ = Homeward::kSent;
  resets_.insert(resets_.end(), changed_.begin(), changed_.end());
  for (const SettingsPtr& settings : {baseline_, settings_, server_ == nullptr ? nullptr : server_->applied}) {
    if (!settings) continue;
    for (const auto& [name, value] : *settings) resets_.push_back(name);
  }
  if (idle_timeout_ != idle_baseline_) resets_.emplace_back(kIdleSessionTimeout);
}

void Session::AfterTransaction() {
  if (server_ == nullptr || !exchange_.settled() || exchange_.transaction_status() != 'I' || passing_ != 0 ||
      exchange_.in_batch() || from_server_ != 0 || stage_ != Stage::kServing) {
    return;
  }
  const bool pins_in_doubt = AsksForPins() || AsksForNames() || (doubtful_ && pins_ != sure_pins_);
  if (!changed_.empty() || !resets_.empty() || pins_in_doubt) return BeginReadingBack();
  const bool discarded = std::exchange(discarded_, false);
  if (std::exchange(homeward_, Homeward::kNo) == Homeward::kSure) GoHome(discarded);
  if (server_ == nullptr) return;
  TakeOverPrepared();
  doubtful_ = changes_told_ = names_in_doubt_ = false;
  doubtful_pins_ = 0;
  sure_pins_ = pins_;
  if (!held()) GiveBack(unknown_ ? Leftover::kUnknown : Leftover::kNothing);
  if (draining_ && Idle()) Drain();
}

void Session::BeginReadingBack() {
  changed_.insert(changed_.end(), resets_.begin(), resets_.end());
  std::ranges::sort(changed_);
  changed_.erase(std::ranges::unique(changed_).begin(), changed_.end());
  std::string sql = "SELECT 1";
  const bool exactly = doubtful_ || !resets_.empty();
  for (const std::string& name : changed_) {
    sql += std::format(",pg_catalog.encode(pg_catalog.convert_to({},'UTF8'),'hex')", SettingQuestion(name, exactly));
  }
  asked_pins_ = doubtful_ ? pins_ : doubtful_pins_ & pins_;
  for (const auto& [pin, question] : kPinQuestions) {
    if ((asked_pins_ & pin) != 0) sql += question;
  }
  if (AsksForNames()) {
    sql += ",(SELECT pg_catalog.string_agg(place::pg_catalog.text, ',') FROM pg_catalog.unnest(ARRAY[";
    for (const char* comma = ""; const auto& [name, text] : sql_prepared_) {
      sql.append(std::exchange(comma, ",")).append(pgwire::Literal(name));
    }
    sql +=
        "]::pg_catalog.text[]) WITH ORDINALITY AS ours (name, place) WHERE ours.name OPERATOR(pg_catalog.=) ANY "
        "(SELECT p.name FROM pg_catalog.pg_prepared_statements p WHERE p.from_sql))";
  }
  stage_ = Stage::kReadingBack;
  read_back_ = false;
  server_->unnamed = 0;
  pgwire::Query(server_->outbox(), sql);
  exchange_.Sent('Q', Exchange::Audience::kNobody);
  if (!server_->Flush()) LoseServer();
}

void Session::ReadBack(std::string_view data_row) {
  pgwire::BodyReader reader(data_row);
  const auto next = [&reader]() -> std::optional<std::string> {
    const uint32_t size = reader.U32();
    if (size == 0xffffffff) return std::nullopt;
    return std::string(reader.Bytes(size));
  };
  SettingsPtr applied = server_->applied;
  SettingsPtr settings = settings_;
  reader.U16();
  next();
  std::optional<absl::Duration> idle_timeout;
  for (const std::string& name : changed_) {
    const bool idle = name == kIdleSessionTimeout;
    if (const std::optional<std::string> hex = next()) {
      std::string value;
      if (!absl::HexStringToBytes(*hex, &value)) break;  // cut off, as the reader says
      if (idle) {  // the session takes it over, and the server must not have it in the pool
        applied = pool_.settings().With(applied, name, value);
        idle_timeout = pgwire::ParseTimeSetting(value);
        unknown_ = true;
        continue;
      }
      applied = pool_.settings().With(applied, name, value);
      settings = pool_.settings().With(settings, name, value);
    } else if (idle) {
      applied = pool_.settings().Without(applied, name);
      if (std::ranges::contains(resets_, name) && !doubtful_) idle_timeout = idle_baseline_;
    } else {
      applied = pool_.settings().Without(applied, name);
      settings =
          std::ranges::contains(resets_, name) ? WithReset(settings, name) : pool_.settings().Without(settings, name);
    }
  }
  uint8_t gone = 0;
  for (const auto& [pin, question] : kPinQuestions) {
    if ((asked_pins_ & pin) != 0 && next() == "f") gone |= pin;
  }
  std::vector<std::string> not_prepared;
  if (AsksForNames()) {
    const std::string places = next().value_or("");
    const std::set<std::string_view> there = absl::StrSplit(places, ',');
    size_t place = 0;
    for (const auto& [name, text] : sql_prepared_) {
      if (!there.contains(std::format("{}", ++place))) not_prepared.push_back(name);
    }
  }
  if (!reader.ok()) {  // it was too long to be held whole
    reading_back_failures_ = kReadingBackTries;
    return;
  }
  server_->applied = applied;
  settings_ = settings;
  if (idle_timeout) SetIdleTimeout(*idle_timeout);
  for (const std::string& name : not_prepared) sql_prepared_.erase(name);
  if ((gone & pgwire::kPinPrepare) != 0) sql_prepared_.clear();
  if (gone != 0) unknown_ = true;  // clean it up all the same
  pins_ &= static_cast<uint8_t>(~gone);
  if (MakesTemporary(settings_)) pins_ |= pgwire::kPinTemporary;
  told_pins_ &= pins_;
  read_back_ = true;
}

void Session::FinishReadingBack() {
  stage_ = Stage::kServing;
  if (read_back_) {
    reading_back_failures_ = 0;
    changed_.clear();
    resets_.clear();
    TakeOverPrepared();
    names_in_doubt_ = false;
    sure_pins_ = pins_;
    doubtful_pins_ = 0;
    doubtful_ = false;
    TellPins();
    if ((!settings_ || settings_->size() <= kMostSettings) && BytesOf(settings_) <= kMostSettingBytes) return;
  } else if (++reading_back_failures_ < kReadingBackTries) {
    return;  // AfterTransaction asks again
  } else if (reading_back_failures_ == kReadingBackTries) {
    if (changed_.empty() && !doubtful_) {  // the session might have given its server up, and keeps it
      reading_back_failures_ = 0;
      doubtful_pins_ = 0;
      return;
    }
    unknown_ = true;
    return End({.code = "57014",
                .message = "the session's settings could not be read back",
                .hint = "Is its statement_timeout too short?"});
  }
  unknown_ = true;
  End({.code = "54000",
       .message = std::format("a session may have {} settings of {} bytes in all", kMostSettings, kMostSettingBytes)});
}

// What a transaction leaves is only known at its end; until then what it may leave is kept count of.
std::optional<pgwire::ErrorFields> Session::LeavesTooMuch(const pgwire::Effects& effects) const {
  if (!effects.sets.empty() || !effects.resets.empty() || effects.bound_sets != 0) {
    size_t count = changed_.size() + resets_.size() + effects.sets.size() + effects.resets.size();
    if (count + static_cast<size_t>(std::popcount(effects.bound_sets)) > kMostChanges) {
      return pgwire::ErrorFields{.code = "54000",
                                 .message = std::format("a transaction may set {} settings", kMostChanges),
                                 .hint = "SET LOCAL counts for none."};
    }
  }
  if (effects.prepares.empty()) return std::nullopt;
  size_t bytes = 0;
  for (const auto* known : {&sql_prepared_, &sql_prepared_anew_}) {
    for (const auto& [name, text] : *known) bytes += text.size();
  }
  for (const auto& [name, text] : effects.prepares) bytes += text.size();
  if (sql_prepared_.size() + effects.prepares.size() <= kMostPrepared && bytes <= kMostPreparedBytes)
    return std::nullopt;
  return pgwire::ErrorFields{.code = "54000",
                             .message = std::format("a session may PREPARE {} statements of {} bytes in all",
                                                    kMostPrepared, kMostPreparedBytes),
                             .hint = "DEALLOCATE some, or prepare them by the protocol."};
}

// What was prepared under a name that had been in use, and so had been deallocated before, if nothing failed.
void Session::TakeOverPrepared() {
  for (auto& [name, text] : sql_prepared_anew_) {
    if (doubtful_) break;
    if (const auto known = sql_prepared_.find(name); known != sql_prepared_.end()) known->second = std::move(text);
  }
  sql_prepared_anew_.clear();
}

SettingsPtr Session::WithReset(const SettingsPtr& from, const std::string& name) {
  if (baseline_) {
    for (const auto& [known, value] : *baseline_) {
      if (known == name) return pool_.settings().With(from, known, value);
    }
  }
  return pool_.settings().Without(from, name);
}

void Session::TellPins() {
  const uint8_t news = pins_ & static_cast<uint8_t>(~(told_pins_ | doubtful_pins_));
  if (news == 0) return;
  told_pins_ |= news;
  pgwire::NoticeResponse(outbox_, {.code = "00000",
                                   .message = std::format("this session keeps its server connection: {}", PinsText()),
                                   .hint = grant_->session ? "The lease is one of a session."
                                                           : "See SHOW leasehold.pinned; DISCARD ALL ends it."});
}

}  // namespace leasehold::gateway
