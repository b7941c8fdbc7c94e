#include "services/gateway/pgwire/command.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <format>
#include <span>
#include <utility>

#include "common/status/error.h"
#include "services/gateway/pgwire/encode.h"
#include "services/gateway/pgwire/lexer.h"
#include "services/gateway/pgwire/word_search.h"

namespace leasehold::gateway::pgwire {
namespace {

constexpr std::string_view kPrefix = "leasehold.";
constexpr std::string_view kTenant = "leasehold.tenant";
constexpr std::string_view kSession = "leasehold.session";
constexpr std::string_view kPinned = "leasehold.pinned";
// More tokens than any statement of ours has.
constexpr size_t kLongestStatement = 32;

constexpr WordSearch kLeasehold("leasehold");

ErrorFields NoSuchSetting(std::string_view name) {
  return Refuse("42704", std::format("unrecognized configuration parameter \"{}\"", Printable(name)),
                "There are leasehold.tenant, leasehold.session and leasehold.pinned.");
}

ErrorFields SessionIsReadOnly() {
  return Refuse("55P02", "leasehold.session and leasehold.pinned cannot be changed",
                "Set leasehold.tenant to move the session.");
}

ErrorFields BadSet() {
  return Refuse("42601", "SET leasehold.tenant takes one tenant id, in quotes, or DEFAULT",
                "SET leasehold.tenant = 'acme'; SET leasehold.tenant TO DEFAULT goes back to where the lease began.");
}

ErrorFields BadSetConfig() {
  return Refuse("0A000", "set_config('leasehold.tenant', …) must be a statement of its own",
                "SELECT set_config('leasehold.tenant', $1, false)");
}

// What one statement is.
struct Statement {
  enum class Kind { kForeign, kEither, kOurs, kRefused };
  Kind kind = Kind::kForeign;
  Command command;
  ErrorFields refusal;

  static Statement Foreign() { return {}; }
  // PostgreSQL's, unless it stands alone.
  static Statement Either(Command::Kind kind, std::string_view tag, std::string name = "") {
    Command command{.kind = kind,
                    .tag = std::string(tag),
                    .column = "",
                    .tenant = {},
                    .is_local = {},
                    .parameter_types = {},
                    .name = std::move(name)};
    return {.kind = Kind::kEither, .command = std::move(command), .refusal = {}};
  }
  static Statement Ours(Command command) { return {.kind = Kind::kOurs, .command = std::move(command), .refusal = {}}; }
  static Statement Refused(ErrorFields why) {
    return {.kind = Kind::kRefused, .command = {}, .refusal = std::move(why)};
  }
};

// The tokens of one statement, read from the front.
class Reader {
 public:
  explicit Reader(std::span<const Token> tokens) : rest_(tokens) {}

  bool done() const { return rest_.empty(); }
  const Token& Peek() const { return rest_.empty() ? end_ : rest_.front(); }
  Token Take() {
    const Token token = Peek();
    if (!rest_.empty()) rest_ = rest_.subspan(1);
    return token;
  }
  bool TakeIf(std::string_view word) { return Peek().Is(word) && (Take(), true); }
  bool TakeIf(char symbol) { return Peek().Is(symbol) && (Take(), true); }

  // `a` or `a.b`; empty if there is no name here.
  std::string TakeName() {
    if (!IsName(Peek())) return "";
    std::string name = Take().Name();
    if (rest_.size() >= 2 && rest_[0].Is('.') && IsName(rest_[1])) {
      Take();
      name += "." + Take().Name();
    }
    return name;
  }

  // A value with an optional cast: 'x', $1, NULL, true, 'x'::text. nullopt if it is anything else.
  std::optional<Argument> TakeArgument() {
    Argument argument;
    const Token token = Take();
    if (token.kind == TokenKind::kString || token.kind == TokenKind::kNumber) {
      argument.text = token.Value();
    } else if (token.Is("true") || token.Is("false")) {
      argument.text = token.Name();
    } else if (token.kind == TokenKind::kParameter) {
      const std::string_view digits = token.text.substr(1);
      const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), argument.parameter);
      if (error != std::errc() || argument.parameter < 1 || argument.parameter > 3) return std::nullopt;
    } else if (!token.Is("null")) {
      return std::nullopt;
    }
    if (TakeIf(':')) {
      if (!TakeIf(':') || TakeName().empty()) return std::nullopt;
    }
    return argument;
  }

 private:
  static bool IsName(const Token& token) {
    return token.kind == TokenKind::kWord || token.kind == TokenKind::kQuotedName;
  }

  std::span<const Token> rest_;
  Token end_;
};

bool IsOurs(std::string_view setting) { return StartsFolded(setting, kPrefix); }
bool IsTenant(std::string_view setting) { return EqualFolded(setting, kTenant); }
bool IsPinned(std::string_view setting) { return EqualFolded(setting, kPinned); }
bool IsSession(std::string_view setting) { return EqualFolded(setting, kSession); }

Statement ReadSet(Reader reader) {
  const bool local = reader.TakeIf("local");
  if (!local) reader.TakeIf("session");
  const std::string setting = reader.TakeName();
  if (!IsOurs(setting)) return Statement::Foreign();
  if (IsSession(setting) || IsPinned(setting)) return Statement::Refused(SessionIsReadOnly());
  if (!IsTenant(setting)) return Statement::Refused(NoSuchSetting(setting));
  if (local) {
    return Statement::Refused(Refuse("0A000",
                                     "SET LOCAL leasehold.tenant is not supported: a switch lasts until the next one",
                                     "SET leasehold.tenant, outside a transaction."));
  }
  if (!reader.TakeIf('=') && !reader.TakeIf("to")) return Statement::Refused(BadSet());
  Command command{
      .kind = Command::Kind::kSwitch, .tag = "SET", .column = "", .tenant = {}, .is_local = {}, .parameter_types = {}};
  const Token value = reader.Take();
  // NULL is no value in PostgreSQL's grammar either.
  if (!reader.done() || value.Is("null")) return Statement::Refused(BadSet());
  if (value.Is("default")) {
    command.kind = Command::Kind::kReset;
  } else if (value.kind == TokenKind::kWord || value.kind == TokenKind::kQuotedName) {
    command.tenant.text = value.Name();
  } else if (value.kind == TokenKind::kString || value.kind == TokenKind::kNumber) {
    command.tenant.text = value.Value();
  } else {
    return Statement::Refused(BadSet());
  }
  return Statement::Ours(std::move(command));
}

Statement ReadReset(Reader reader) {
  if (reader.TakeIf("all")) {
    return reader.done() ? Statement::Either(Command::Kind::kResetAll, "RESET") : Statement::Foreign();
  }
  const std::string setting = reader.TakeName();
  if (!IsOurs(setting) || !reader.done()) return Statement::Foreign();
  if (IsSession(setting) || IsPinned(setting)) return Statement::Refused(SessionIsReadOnly());
  if (!IsTenant(setting)) return Statement::Refused(NoSuchSetting(setting));
  return Statement::Ours({.kind = Command::Kind::kReset,
                          .tag = "RESET",
                          .column = "",
                          .tenant = {},
                          .is_local = {},
                          .parameter_types = {}});
}

Statement ReadShow(Reader reader) {
  const std::string setting = reader.TakeName();
  if (!IsOurs(setting) || !reader.done()) return Statement::Foreign();
  if (!IsTenant(setting) && !IsSession(setting) && !IsPinned(setting)) {
    return Statement::Refused(NoSuchSetting(setting));
  }
  Command command{.kind = Command::Kind::kShowSession,
                  .tag = "SHOW",
                  .column = "",
                  .tenant = {},
                  .is_local = {},
                  .parameter_types = {}};
  if (IsTenant(setting)) {
    command.kind = Command::Kind::kShowTenant;
    command.column = kTenant;
  } else if (IsPinned(setting)) {
    command.kind = Command::Kind::kShowPinned;
    command.column = kPinned;
  }
  return Statement::Ours(std::move(command));
}

// After the closing parenthesis: [[AS] alias]. False if anything else follows.
bool ReadAlias(Reader& reader, std::string& column) {
  if (reader.done()) return true;
  reader.TakeIf("as");
  const Token alias = reader.Take();
  if (!reader.done() || (alias.kind != TokenKind::kWord && alias.kind != TokenKind::kQuotedName)) return false;
  column = alias.Name();
  return true;
}

// `bound`: to the parameter that names the setting, if one does.
Statement ReadSetConfig(Reader reader, std::optional<std::string_view> bound) {
  std::optional<Argument> setting = reader.TakeArgument();
  if (setting && setting->parameter != 0 && bound) setting->text = std::string(*bound);
  if (!setting || !setting->text || !IsOurs(*setting->text)) return Statement::Foreign();
  if (IsSession(*setting->text) || IsPinned(*setting->text)) return Statement::Refused(SessionIsReadOnly());
  if (!IsTenant(*setting->text)) return Statement::Refused(NoSuchSetting(*setting->text));
  Command command{.kind = Command::Kind::kSwitch,
                  .tag = "SELECT 1",
                  .column = "set_config",
                  .tenant = {},
                  .is_local = {},
                  .parameter_types = {}};
  if (!reader.TakeIf(',')) return Statement::Refused(BadSetConfig());
  std::optional<Argument> tenant = reader.TakeArgument();
  if (!tenant || !reader.TakeIf(',')) return Statement::Refused(BadSetConfig());
  std::optional<Argument> is_local = reader.TakeArgument();
  if (!is_local || !reader.TakeIf(')') || !ReadAlias(reader, command.column)) return Statement::Refused(BadSetConfig());
  command.tenant = *std::move(tenant);
  command.is_local = *std::move(is_local);
  for (const auto& [argument, type] :
       {std::pair(setting->parameter, kTextOid), std::pair(command.tenant.parameter, kTextOid),
        std::pair(command.is_local.parameter, kBoolOid)}) {
    if (argument == 0) continue;
    if (command.parameter_types.size() < static_cast<size_t>(argument)) {
      command.parameter_types.resize(static_cast<size_t>(argument), kTextOid);
    }
    command.parameter_types[static_cast<size_t>(argument) - 1] = type;
  }
  return Statement::Ours(std::move(command));
}

Statement ReadSelect(Reader reader, std::optional<std::string_view> bound = std::nullopt) {
  std::string function = reader.TakeName();
  if (!reader.TakeIf('(')) return Statement::Foreign();
  if (function.starts_with("pg_catalog.")) function.erase(0, function.find('.') + 1);
  if (function == "set_config") return ReadSetConfig(reader, bound);
  if (function != "current_setting") return Statement::Foreign();
  const std::optional<Argument> setting = reader.TakeArgument();
  if (!setting || !setting->text) return Statement::Foreign();
  Command command{.kind = Command::Kind::kShowTenant,
                  .tag = "SELECT 1",
                  .column = "current_setting",
                  .tenant = {},
                  .is_local = {},
                  .parameter_types = {}};
  if (IsSession(*setting->text)) {
    command.kind = Command::Kind::kShowSession;
  } else if (IsPinned(*setting->text)) {
    command.kind = Command::Kind::kShowPinned;
  } else if (!IsTenant(*setting->text)) {
    return Statement::Foreign();
  }
  if (reader.TakeIf(',')) {
    const std::optional<Argument> missing_ok = reader.TakeArgument();
    if (!missing_ok || !missing_ok->text) return Statement::Foreign();
  }
  if (!reader.TakeIf(')') || !ReadAlias(reader, command.column)) return Statement::Foreign();
  return Statement::Ours(std::move(command));
}

Statement ReadDeallocate(Reader reader) {
  reader.TakeIf("prepare");
  if (reader.TakeIf("all")) {
    return reader.done() ? Statement::Either(Command::Kind::kDeallocate, "DEALLOCATE ALL") : Statement::Foreign();
  }
  std::string name = reader.TakeName();
  if (name.empty() || !reader.done()) return Statement::Foreign();
  return Statement::Either(Command::Kind::kDeallocate, "DEALLOCATE", std::move(name));
}

Statement Classify(std::span<const Token> tokens) {
  Reader reader(tokens);
  const Token verb = reader.Take();
  if (verb.Is("set")) return ReadSet(reader);
  if (verb.Is("reset")) return ReadReset(reader);
  if (verb.Is("show")) return ReadShow(reader);
  if (verb.Is("select")) return ReadSelect(reader);
  if (verb.Is("discard") && reader.TakeIf("all") && reader.done()) {
    return Statement::Either(Command::Kind::kDiscardAll, "DISCARD ALL");
  }
  if (verb.Is("deallocate")) return ReadDeallocate(reader);
  return Statement::Foreign();
}

// Splits at semicolons outside parentheses. Sees a set_config of ours wherever it stands, since PostgreSQL would take
// it for a setting like any other and the session would stay where it is without a word.
class StatementSplitter {
 public:
  explicit StatementSplitter(std::string_view sql) : lexer_(sql) {}

  // False at the end. `tokens()` holds the first kLongestStatement of them, `long_one()` says that there were more.
  bool Next() {
    count_ = 0;
    long_ = moves_session_ = false;
    int depth = 0;
    int seen = 0;  // of: set_config ( 'leasehold.
    while (true) {
      const Token token = lexer_.Next();
      if (token.kind == TokenKind::kEnd) return count_ > 0;
      if (token.Is(';') && depth <= 0) {
        if (count_ > 0) return true;
        continue;
      }
      if (token.Is('(')) ++depth;
      if (token.Is(')')) --depth;
      if (seen == 2 && token.kind == TokenKind::kString && IsOurs(token.Value())) moves_session_ = true;
      seen = seen == 1 && token.Is('(') ? 2 : token.Is("set_config") ? 1 : 0;
      if (count_ < tokens_.size()) {
        tokens_[count_++] = token;
      } else {
        long_ = true;
      }
    }
  }

  std::span<const Token> tokens() const { return std::span(tokens_).first(count_); }
  bool long_one() const { return long_; }
  bool moves_session() const { return moves_session_; }
  bool unclosed() const { return lexer_.unclosed(); }

 private:
  Lexer lexer_;
  std::array<Token, kLongestStatement> tokens_;
  size_t count_ = 0;
  bool long_ = false;
  bool moves_session_ = false;
};

}  // namespace

bool MentionsGateway(std::string_view sql) { return kLeasehold.FoundIn(sql); }

bool MayConcernGateway(std::string_view sql) {
  if (MentionsGateway(sql)) return true;
  const Token verb = Lexer(sql).Next();
  return verb.Is("discard") || verb.Is("reset") || verb.Is("deallocate");
}

Recognition Recognize(std::string_view sql, bool whole) {
  Recognition result;
  StatementSplitter splitter(sql);
  size_t statements = 0;
  while (splitter.Next()) {
    ++statements;
    Statement statement = splitter.long_one() ? Statement::Foreign() : Classify(splitter.tokens());
    if (statement.kind == Statement::Kind::kForeign && splitter.moves_session()) {
      statement = Statement::Refused(BadSetConfig());
    }
    const bool first_foreign = result.rest == std::string_view::npos;
    switch (statement.kind) {
      case Statement::Kind::kRefused:
        result.refusal = std::move(statement.refusal);
        return result;
      case Statement::Kind::kEither:
        result.resets_all |= statement.command.kind != Command::Kind::kDeallocate;
        result.alone = std::move(statement.command);
        [[fallthrough]];
      case Statement::Kind::kForeign:
        if (first_foreign) result.rest = splitter.tokens().front().begin;
        break;
      case Statement::Kind::kOurs:
        if (first_foreign) {
          result.commands.push_back(std::move(statement.command));
        } else if (statement.command.kind != Command::Kind::kShowTenant) {  // which PostgreSQL can answer too
          result.refusal =
              Refuse("25001", "leasehold.tenant cannot change inside a transaction",
                     "Statements after the first of one query string are in its transaction: send it alone.");
          return result;
        }
        break;
    }
  }
  if (whole && splitter.unclosed()) {  // PostgreSQL says so, and runs none of it
    result = {};
    result.rest = 0;
  }
  if (statements > 1) result.alone.reset();
  return result;
}

bool IsGatewaySetting(std::string_view name) { return IsOurs(name); }

Recognition RecognizeBound(std::string_view sql, std::string_view name) {
  Recognition result;
  StatementSplitter splitter(sql);
  Statement statement;
  if (splitter.Next() && !splitter.long_one()) {
    Reader reader(splitter.tokens());
    if (reader.TakeIf("select")) statement = ReadSelect(reader, name);
  }
  if (statement.kind == Statement::Kind::kOurs) {
    result.commands.push_back(std::move(statement.command));
  } else {
    result.refusal = statement.kind == Statement::Kind::kRefused ? std::move(statement.refusal) : BadSetConfig();
  }
  return result;
}

std::optional<bool> ParseBool(std::string_view text) {
  constexpr std::string_view kBlank = " \t\n\r\f\v";
  const size_t begin = text.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) return std::nullopt;
  std::string word(text.substr(begin, text.find_last_not_of(kBlank) + 1 - begin));
  std::ranges::transform(word, word.begin(), Fold);
  const auto starts = [&word](std::string_view full) { return full.starts_with(word); };
  if (starts("true") || starts("yes") || word == "on" || word == "1") return true;
  if (starts("false") || starts("no") || word == "of" || word == "off" || word == "0") return false;
  return std::nullopt;
}

}  // namespace leasehold::gateway::pgwire
