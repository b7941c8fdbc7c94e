#include "services/provisioner/migrations/concurrent.h"

#include <algorithm>
#include <format>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "common/status/error.h"
#include "common/status/view.h"
#include "common/telemetry/log.h"

namespace leasehold::provisioner {
namespace {

using postgres::QuoteIdentifier;

struct Word {
  std::string text{};  // folded to lower case unless it was quoted
  bool quoted = false;
  size_t begin = 0;  // where it is, unless it was quoted
  bool Is(std::string_view keyword) const { return !quoted && text == keyword; }
};

bool InWord(char c) { return absl::ascii_isalnum(c) || c == '_' || c == '$' || static_cast<unsigned char>(c) >= 0x80; }

// The words, dots and other single characters that a statement begins with.
std::vector<Word> FirstWords(std::string_view sql, size_t most) {
  std::vector<Word> words;
  for (size_t i = 0; i < sql.size() && words.size() < most;) {
    if (absl::ascii_isspace(sql[i])) {
      ++i;
    } else if (sql.substr(i).starts_with("--")) {
      i = std::min(sql.find('\n', i), sql.size());
    } else if (sql.substr(i).starts_with("/*")) {
      const size_t end = sql.find("*/", i);
      i = end == std::string_view::npos ? sql.size() : end + 2;
    } else if (sql[i] == '"') {
      Word& word = words.emplace_back();
      word.quoted = true;
      for (++i; i < sql.size() && (sql[i] != '"' || sql.substr(i).starts_with("\"\"")); ++i) {
        word.text += sql[i];
        if (sql[i] == '"') ++i;
      }
      if (i < sql.size()) ++i;
    } else if (InWord(sql[i])) {
      const size_t begin = i;
      while (i < sql.size() && InWord(sql[i])) ++i;
      words.push_back({.text = absl::AsciiStrToLower(AbslView(sql.substr(begin, i - begin))), .begin = begin});
    } else {
      words.push_back({.text = std::string(1, sql[i++])});
    }
  }
  return words;
}

constexpr size_t kEnough = 12;

class Reader {
 public:
  explicit Reader(std::string_view sql) : words_(FirstWords(sql, kEnough)) {}

  bool Take(std::string_view keyword) {
    if (at_ >= words_.size() || !words_[at_].Is(keyword)) return false;
    ++at_;
    return true;
  }
  bool Has(std::string_view keyword) const {
    return std::ranges::any_of(words_, [keyword](const Word& word) { return word.Is(keyword); });
  }
  bool IsName() const { return at_ < words_.size() && (words_[at_].quoted || InWord(words_[at_].text[0])); }
  void TakeName(AloneStatement& statement) {
    if (!IsName()) return;
    statement.index = words_[at_++].text;
    if (!Take(".") || !IsName()) return;
    statement.schema = std::exchange(statement.index, words_[at_++].text);
  }

 private:
  const std::vector<Word> words_;
  size_t at_ = 0;
};

constexpr std::string_view kFind =
    "SELECT i.indisvalid, n.nspname FROM pg_catalog.pg_index i "
    "JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid "
    "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
    "WHERE c.relname = $1 AND ($2 = '' OR n.nspname = $2) "
    "AND n.nspname NOT IN ('pg_catalog', 'pg_toast') ORDER BY i.indisvalid LIMIT 1";
constexpr std::string_view kHalfReindexed =
    "SELECT n.nspname, c.relname FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid "
    "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
    "WHERE NOT i.indisvalid AND c.relname ~ '_cc(new|old)[0-9]*$' AND n.nspname <> 'pg_toast'";

absl::Status Drop(postgres::Connection& owner, const std::string& schema, const std::string& index) {
  Log(Level::kInfo, "dropping an index that was left half made", {{"index", index}});
  return owner
      .ExecAlone(
          std::format("DROP INDEX CONCURRENTLY IF EXISTS {}.{}", QuoteIdentifier(schema), QuoteIdentifier(index)))
      .status();
}

}  // namespace

AloneStatement ReadAloneStatement(std::string_view sql) {
  using Kind = AloneStatement::Kind;
  Reader reader(sql);
  AloneStatement statement;
  const bool forgiving = reader.Has("if") && reader.Has("exists");
  if (reader.Take("create")) {
    (void)reader.Take("unique");
    if (reader.Take("index") && reader.Take("concurrently")) {
      statement.kind = Kind::kCreateIndex;
      if (reader.Take("if")) (void)(reader.Take("not") && reader.Take("exists"));
      if (!reader.Take("on")) reader.TakeName(statement);
      return statement;
    }
  } else if (reader.Take("drop")) {
    if (reader.Take("index") && reader.Take("concurrently")) {
      statement.kind = Kind::kDropIndex;
      if (reader.Take("if")) (void)reader.Take("exists");
      reader.TakeName(statement);
      return statement;
    }
  } else if (reader.Take("reindex")) {
    statement.kind = reader.Has("concurrently") ? Kind::kReindex : Kind::kRepeatable;
    return statement;
  } else if (reader.Take("vacuum") || reader.Take("analyze")) {
    statement.kind = Kind::kRepeatable;
    return statement;
  }
  if (forgiving) statement.kind = Kind::kRepeatable;
  return statement;
}

std::string_view RefusedInTransactions(std::string_view sql) {
  constexpr std::string_view kConcurrently = "CONCURRENTLY";
  Reader reader(sql);
  if (reader.Take("vacuum")) return "VACUUM";
  if (!reader.Has("concurrently")) return "";
  const AloneStatement::Kind kind = ReadAloneStatement(sql).kind;
  if (kind == AloneStatement::Kind::kReindex) return kConcurrently;
  if (kind == AloneStatement::Kind::kCreateIndex || kind == AloneStatement::Kind::kDropIndex) return kConcurrently;
  return reader.Take("alter") && reader.Has("detach") ? kConcurrently : "";
}

std::optional<std::string> FormForTransactions(std::string_view sql) {
  if (RefusedInTransactions(sql).empty()) return std::string(sql);
  constexpr std::string_view kKeyword = "concurrently";
  const AloneStatement::Kind kind = ReadAloneStatement(sql).kind;
  const std::vector<Word> words = FirstWords(sql, kEnough);
  const auto word = std::ranges::find_if(words, [&](const Word& w) { return w.Is(kKeyword); });
  if (kind == AloneStatement::Kind::kReindex || word == words.end()) return std::nullopt;
  return std::string(sql.substr(0, word->begin)) + std::string(sql.substr(word->begin + kKeyword.size()));
}

absl::StatusOr<IndexState> StateOf(postgres::Connection& owner, const AloneStatement& statement) {
  LH_ASSIGN_OR_RETURN(const pqxx::result found, owner.ExecAlone(kFind, {statement.index, statement.schema}));
  if (found.empty()) return IndexState::kAbsent;
  return found[0][0].as<bool>() ? IndexState::kValid : IndexState::kInvalid;
}

absl::Status CleanUpAfter(postgres::Connection& owner, const AloneStatement& statement) {
  if (statement.kind == AloneStatement::Kind::kReindex) {
    LH_ASSIGN_OR_RETURN(const pqxx::result left, owner.ExecAlone(kHalfReindexed));
    for (const auto& row : left) {
      LH_RETURN_IF_ERROR(Drop(owner, row[0].as<std::string>(), row[1].as<std::string>()));
    }
    return absl::OkStatus();
  }
  if (statement.kind != AloneStatement::Kind::kCreateIndex || statement.index.empty()) return absl::OkStatus();
  LH_ASSIGN_OR_RETURN(const pqxx::result found, owner.ExecAlone(kFind, {statement.index, statement.schema}));
  if (found.empty() || found[0][0].as<bool>()) return absl::OkStatus();
  return Drop(owner, found[0][1].as<std::string>(), statement.index);
}

}  // namespace leasehold::provisioner
