#include "services/gateway/pgwire/effects.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "services/gateway/pgwire/command.h"
#include "services/gateway/pgwire/known_functions.h"
#include "services/gateway/pgwire/lexer.h"
#include "services/gateway/pgwire/word_search.h"

namespace leasehold::gateway::pgwire {
namespace {

bool IsName(const Token& token) { return token.kind == TokenKind::kWord || token.kind == TokenKind::kQuotedName; }

// Names of settings mean the same in upper and in lower case, quoted or not.
void FoldName(std::string& name) { std::ranges::transform(name, name.begin(), Fold); }

// PostgreSQL cuts longer names, each part of them, when it reads them in a statement.
constexpr size_t kLongestPart = 63;
constexpr size_t kLongestName = 2 * kLongestPart + 1;

constexpr WordSearch kTemporarySchema("pg_temp");

// Temporary tables can be made by way of it, and the server knows whether any were.
void AskOfTemporary(Effects& effects) {
  effects.pins |= kPinTemporary;
  effects.unpins |= kPinTemporary;
}

// One statement after the other.
class Scanner {
 public:
  explicit Scanner(std::string_view sql) : end_(sql.data() + sql.size()), lexer_(sql) {}

  Effects Run() {
    for (bool first = true; Advance();) {
      if (token_.Is(';')) continue;
      Statement();
      if (std::exchange(first, false)) effects_.first_block = effects_.last_block;
    }
    return std::move(effects_);
  }

 private:
  bool Advance() {
    earlier_ = std::exchange(before_, std::exchange(previous_, token_));
    token_ = lexer_.Next();
    effects_.unknown |= token_.kind == TokenKind::kEscaped;
    return token_.kind != TokenKind::kEnd;
  }
  // At the end of a statement, or of the text.
  bool Ended() const { return token_.kind == TokenKind::kEnd || token_.Is(';'); }
  bool Next() { return !Ended() && Advance() && !Ended(); }

  // From its first token to its semicolon.
  void Statement() {
    if (token_.Is("set")) {
      Set();
    } else if (token_.Is("reset")) {
      Reset();
    } else if (token_.Is("discard")) {
      effects_.concerns_gateway = true;
      effects_.resets_all |= Next() && token_.Is("all");
    } else if (token_.Is("deallocate")) {
      effects_.concerns_gateway = true;
      effects_.unpins |= kPinPrepare;
    } else if (token_.Is("listen")) {
      effects_.pins |= kPinListen;
    } else if (token_.Is("prepare")) {
      const char* const begin = token_.text.data();
      if (Next() && !token_.Is("transaction")) {
        std::string name = token_.Name();
        Rest();
        const char* const end = token_.Is(';') ? token_.text.data() : end_;
        effects_.pins |= kPinPrepare;
        effects_.prepares.emplace_back(std::move(name), std::string(begin, end));
      }
    } else if (token_.Is("begin") || token_.Is("start")) {
      effects_.last_block = Block::kBegins;
    } else if (token_.Is("commit") || token_.Is("end")) {
      EndOfBlock(Block::kCommits);
    } else if (token_.Is("rollback") || token_.Is("abort")) {
      EndOfBlock(Block::kRollsBack);
    } else if (token_.Is("do") || token_.Is("call") || token_.Is("load")) {
      effects_.unknown = true;
    } else {
      Body();
      return;
    }
    Rest();
  }

  // COMMIT, ROLLBACK and their like; not of what was prepared, nor to a savepoint, nor if a block follows at once.
  void EndOfBlock(Block block) {
    bool no = false;
    while (Next()) {
      if (token_.Is("prepared") || token_.Is("to")) return;
      if (token_.Is("chain") && !no) block = Block::kBegins;
      no = token_.Is("no");
    }
    effects_.last_block = block;
  }

  // What is left of a statement that was understood from its beginning.
  void Rest() {
    while (Next()) {
    }
  }

  void Body() {
    const bool declares = token_.Is("declare");
    const bool makes = token_.Is("create");
    bool index = false;
    bool temporary = false;
    bool with = false;
    bool dropped_on_commit = false;
    do {
      if (token_.Is('(')) {
        if (IsName(previous_)) Call(index);
      } else if (token_.Is("temp") || token_.Is("temporary")) {
        temporary |=
            makes || previous_.Is("create") || previous_.Is("into") || previous_.Is("local") || previous_.Is("global");
      } else if (declares && token_.Is("hold")) {
        if (with && previous_.Is("with")) effects_.pins |= kPinCursor;
      } else if (token_.Is("with")) {
        with = true;
      } else if (token_.Is("index")) {
        index |= makes && (previous_.Is("create") || previous_.Is("unique"));
      } else if (token_.Is("create")) {
        effects_.creates = true;
      } else if (token_.Is("into")) {
        effects_.creates |= !previous_.Is("insert") && !previous_.Is("merge");
      } else if (token_.Is("drop")) {
        dropped_on_commit |= previous_.Is("commit");
      }
    } while (Next());
    if (temporary && !dropped_on_commit) effects_.pins |= kPinTemporary;
  }

  // `previous_` is the name before a parenthesis.
  void Call(bool index) {
    // INSERT INTO t (a), WITH x (a), AS x (a), CREATE TABLE t (a), CREATE INDEX … ON t (a): a list of columns.
    for (const std::string_view list : {"into", "with", "as", "table", "exists", "references", "recursive"}) {
      if (before_.Is(list)) return;
    }
    if (index && before_.Is("on")) return;
    std::array<char, 32> folded;
    std::string_view name = previous_.text;
    if (previous_.kind == TokenKind::kWord && name.size() <= folded.size()) {
      std::ranges::transform(name, folded.begin(), Fold);
      name = std::string_view(folded.data(), name.size());
    } else if (previous_.kind == TokenKind::kQuotedName && name.size() > 2) {
      name = name.substr(1, name.size() - 2);
    }
    if (name == "set_config") {
      SetConfig();
    } else if (name.starts_with("pg_advisory_") || name.starts_with("pg_try_advisory_")) {
      if (name.contains("unlock")) {
        effects_.unpins |= kPinAdvisoryLock;
      } else if (!name.contains("xact")) {
        effects_.pins |= kPinAdvisoryLock;
      }
    } else if (previous_.kind == TokenKind::kQuotedName || !(IsKnownFunction(name) || IsKeyword(name)) ||
               (before_.Is('.') && !earlier_.Is("pg_catalog"))) {
      effects_.unknown = true;
    }
  }

  // A word that stands before a parenthesis without being called, there where it does. A function may have its name.
  bool IsKeyword(std::string_view name) const {
    struct Place {
      std::string_view word;
      std::string_view behind;
    };
    static constexpr Place kPlaces[] = {{"over", ")"},          {"filter", ")"},          {"by", "order"},
                                        {"by", "group"},        {"by", "partition"},      {"conflict", "on"},
                                        {"materialized", "as"}, {"materialized", "not"},  {"key", "primary"},
                                        {"key", "foreign"},     {"varying", "character"}, {"varying", "bit"},
                                        {"varying", "char"}};
    return std::ranges::any_of(kPlaces, [&](const Place& place) {
      return place.word == name && (place.behind == ")" ? before_.Is(')') : before_.Is(place.behind));
    });
  }

  // Behind "set_config (", read ahead: the name must be a literal or a parameter, and what is surely local has no
  // effect.
  void SetConfig() {
    Lexer ahead = lexer_;
    const Token name = ahead.Next();
    uint32_t bound = 0;
    if (name.kind == TokenKind::kParameter) {
      std::from_chars(name.text.data() + 1, name.text.data() + name.text.size(), bound);
    }
    if (name.kind != TokenKind::kString && (bound < 1 || bound > 31)) {
      effects_.unknown = true;
      return;
    }
    int depth = 1;
    int commas = 0;
    int second_tokens = 0;
    bool is_cast = false;
    bool is_expression = false;  // of any name
    Token third;
    int third_tokens = 0;
    for (Token token = ahead.Next(); token.kind != TokenKind::kEnd; token = ahead.Next()) {
      if (token.Is('(')) ++depth;
      if (token.Is(')') && --depth == 0) break;
      if (depth == 1 && token.Is(',')) {
        ++commas;
      } else if (commas == 0) {
        is_cast |= token.Is(':');
        is_expression |= !is_cast || (!token.Is(':') && token.kind != TokenKind::kWord);
      } else if (commas == 1) {
        second_tokens += token.kind == TokenKind::kString ? 1 : 2;
      } else if (commas == 2 && third_tokens++ == 0) {
        third = token;
      }
    }
    if (is_expression) {
      effects_.unknown = true;
      return;
    }
    if (third_tokens == 1 && third.Is("true")) {
      // Until its end the transaction may make what is temporary, whatever its statements say.
      if (second_tokens != 1) AskOfTemporary(effects_);
      return;
    }
    if (bound != 0) {
      effects_.bound_sets |= uint32_t{1} << bound;
    } else {
      Sets(name.Value());
    }
  }

  void Sets(std::string name) { NoteSet(effects_, std::move(name)); }

  void Resets(std::string name) {
    if (name.size() > kLongestName) {
      effects_.unknown = true;
      return;
    }
    FoldName(name);
    effects_.resets.push_back(std::move(name));
  }

  void Set() {
    if (!Next() || token_.Is("local") || token_.Is("transaction") || token_.Is("constraints")) return;
    if (token_.Is("session")) {
      if (!Next()) return;
      if (token_.Is("characteristics")) {
        Sets("default_transaction_isolation");
        Sets("default_transaction_read_only");
        Sets("default_transaction_deferrable");
        return;
      }
      if (token_.Is("authorization")) return Sets("session_authorization");
    }
    if (token_.Is("time")) {
      const bool resets = Next() && Next() && (token_.Is("default") || token_.Is("local"));
      return resets ? Resets("TimeZone") : Sets("TimeZone");
    }
    if (token_.Is("names")) return Sets("client_encoding");
    if (token_.Is("schema")) return Sets("search_path");
    if (token_.Is("xml")) return Sets("xmloption");
    if (token_.Is("role")) return Sets("role");
    if (std::string name = ParameterName(); !name.empty()) {
      if (!Ended() && (token_.Is('=') || token_.Is("to")) && Next() && token_.Is("default")) {
        Resets(std::move(name));
      } else {
        Sets(std::move(name));
      }
    }
  }

  void Reset() {
    if (!Next()) return;
    if (token_.Is("all")) {
      effects_.concerns_gateway = effects_.resets_all = true;
    } else if (token_.Is("time")) {
      Resets("TimeZone");
    } else if (token_.Is("session")) {
      effects_.unknown = true;
    } else if (std::string name = ParameterName(); !name.empty()) {
      Resets(std::move(name));
    }
  }

  // `a` or `a.b`; the token behind it is next.
  std::string ParameterName() {
    if (!IsName(token_)) return "";
    std::string name = token_.Name();
    effects_.unknown |= name.size() > kLongestPart;
    while (Next() && token_.Is('.') && Next() && IsName(token_)) {
      const std::string part = token_.Name();
      effects_.unknown |= part.size() > kLongestPart;
      name.append(1, '.').append(part);
    }
    return name;
  }

  const char* const end_;
  Lexer lexer_;
  Token token_;
  Token previous_;
  Token before_;
  Token earlier_;
  Effects effects_;
};

// Most statements show at a glance that they have no effects: one of the common verbs, no call, no name with escapes,
// nothing behind it, and no word that may be part of "temporary" or, in a SELECT, INTO.
bool IsPlain(std::string_view sql) {
  while (!sql.empty() && (sql.front() == ' ' || sql.front() == '\n')) sql.remove_prefix(1);
  while (!sql.empty() && (sql.back() == ' ' || sql.back() == '\n')) sql.remove_suffix(1);
  if (sql.ends_with(';')) sql.remove_suffix(1);
  static constexpr std::string_view kVerbs[] = {"select ", "insert ", "update ", "delete "};
  const bool common = std::ranges::any_of(kVerbs, [sql](std::string_view verb) { return StartsFolded(sql, verb); });
  if (!common || sql.find_first_of("(;&") != std::string_view::npos) return false;
  for (size_t at = sql.find_first_of("tT"); at != std::string_view::npos; at = sql.find_first_of("tT", at + 1)) {
    if (StartsFolded(sql.substr(at), "temp")) return false;
    if (at >= 2 && StartsFolded(sql.substr(at - 2), "into") && StartsFolded(sql, "select")) return false;
  }
  return true;
}

// As most clients say it.
Block PlainBlock(std::string_view sql) {
  if (sql.ends_with(';')) sql.remove_suffix(1);
  const auto is = [sql](std::string_view word) { return sql.size() == word.size() && StartsFolded(sql, word); };
  if (is("begin")) return Block::kBegins;
  if (is("commit") || is("end")) return Block::kCommits;
  return is("rollback") ? Block::kRollsBack : Block::kNone;
}

}  // namespace

void NoteSet(Effects& effects, std::string name) {
  if (name.size() > kLongestName) {
    effects.unknown = true;
    return;
  }
  FoldName(name);
  // These end with their transaction, however they were set.
  if (name == "transaction_isolation" || name == "transaction_read_only" || name == "transaction_deferrable") return;
  // These are not told again, or are nobody else's to have.
  if (name == "seed" || name == "session_authorization") {
    effects.unknown = true;
  } else {
    effects.sets.push_back(std::move(name));
  }
}

Effects EffectsOf(std::string_view sql) {
  Effects plain;
  if (IsPlain(sql)) {
    plain.concerns_gateway = MentionsGateway(sql);
    return plain;
  }
  if (const Block block = PlainBlock(sql); block != Block::kNone) {
    plain.first_block = plain.last_block = block;
    return plain;
  }
  Effects effects = Scanner(sql).Run();
  effects.concerns_gateway |= MentionsGateway(sql);
  if (kTemporarySchema.FoundIn(sql)) AskOfTemporary(effects);
  return effects;
}

}  // namespace leasehold::gateway::pgwire
