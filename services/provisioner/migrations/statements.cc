#include "services/provisioner/migrations/statements.h"

#include <algorithm>
#include <cctype>
#include <format>

#include "absl/strings/ascii.h"
#include "common/status/error.h"
#include "common/status/view.h"

namespace leasehold::provisioner {
namespace {

bool StartsIdentifier(char c) { return absl::ascii_isalpha(c) || c == '_' || static_cast<unsigned char>(c) >= 0x80; }
bool ContinuesIdentifier(char c) { return StartsIdentifier(c) || absl::ascii_isdigit(c) || c == '$'; }

class Splitter {
 public:
  explicit Splitter(std::string_view sql) : sql_(sql) {}

  absl::StatusOr<std::vector<SqlStatement>> Run() {
    while (pos_ < sql_.size()) LH_RETURN_IF_ERROR(Next());
    LH_RETURN_IF_ERROR(EndStatement());
    return std::move(statements_);
  }

 private:
  char Peek(size_t ahead = 0) const { return pos_ + ahead < sql_.size() ? sql_[pos_ + ahead] : '\0'; }

  void Advance() {
    if (sql_[pos_++] == '\n') ++line_;
  }

  static absl::Status Refuse(int line, std::string_view why) {
    return Error(v1::REASON_MIGRATION_FAILED, std::format("line {}: {}", line, why));
  }

  void Begin() {
    if (!inside_) {
      inside_ = true;
      start_ = pos_;
      start_line_ = line_;
    }
  }

  absl::Status Next() {
    const char c = Peek();
    if (absl::ascii_isspace(c)) {
      Advance();
      return absl::OkStatus();
    }
    if (c == '-' && Peek(1) == '-') {
      while (pos_ < sql_.size() && Peek() != '\n') Advance();
      return absl::OkStatus();
    }
    if (c == '/' && Peek(1) == '*') return SkipComment();
    if (c == '\0') return Refuse(line_, "a zero byte");
    if (c == '\\') return Refuse(line_, "psql meta-commands are not SQL");
    if (c == ';' && parens_ == 0 && blocks_ == 0) {
      LH_RETURN_IF_ERROR(EndStatement());
      Advance();
      return absl::OkStatus();
    }
    Begin();
    if (c == '\'') return SkipQuoted('\'', false);
    if (c == '"') return SkipQuoted('"', false);
    if (c == '$') return SkipDollarQuoted();
    if (StartsIdentifier(c)) return TakeWord();
    if (c == '(') ++parens_;
    if (c == ')' && parens_ > 0) --parens_;
    Advance();
    return absl::OkStatus();
  }

  absl::Status SkipComment() {
    const int opened = line_;
    int depth = 0;
    while (pos_ < sql_.size()) {
      if (Peek() == '/' && Peek(1) == '*') {
        ++depth;
        Advance();
      } else if (Peek() == '*' && Peek(1) == '/') {
        --depth;
        Advance();
      }
      Advance();
      if (depth == 0) return absl::OkStatus();
    }
    return Refuse(opened, "a comment is never closed");
  }

  absl::Status SkipQuoted(char quote, bool backslashes) {
    const int opened = line_;
    Advance();
    while (pos_ < sql_.size()) {
      const char c = Peek();
      Advance();
      if (c == '\\' && backslashes && pos_ < sql_.size()) {
        Advance();
      } else if (c == quote) {
        if (Peek() != quote) return absl::OkStatus();
        Advance();
      }
    }
    return Refuse(opened, "a quote is never closed");
  }

  absl::Status SkipDollarQuoted() {
    size_t end = pos_ + 1;
    if (end < sql_.size() && StartsIdentifier(sql_[end])) {
      while (end < sql_.size() && ContinuesIdentifier(sql_[end]) && sql_[end] != '$') ++end;
    }
    if (end >= sql_.size() || sql_[end] != '$') {
      Advance();
      return absl::OkStatus();
    }
    const std::string_view tag = sql_.substr(pos_, end - pos_ + 1);
    const size_t close = sql_.find(tag, end + 1);
    if (close == std::string_view::npos) return Refuse(line_, "a dollar quote is never closed");
    while (pos_ < close + tag.size()) Advance();
    return absl::OkStatus();
  }

  absl::Status TakeWord() {
    const size_t begin = pos_;
    while (pos_ < sql_.size() && ContinuesIdentifier(Peek())) Advance();
    const std::string word = absl::AsciiStrToLower(AbslView(sql_.substr(begin, pos_ - begin)));
    if (word == "e" && Peek() == '\'') return SkipQuoted('\'', true);
    if (words_.size() < 8) words_.push_back(word);
    if (word == "stdin") reads_stdin_ = true;
    // As psql does it: only a function's or procedure's body may hold semicolons outside quotes and parentheses.
    if (parens_ == 0 && DefinesRoutine()) {
      if (word == "begin" || (word == "case" && blocks_ > 0)) ++blocks_;
      if (word == "end" && blocks_ > 0) --blocks_;
    }
    return absl::OkStatus();
  }

  std::string_view Word(size_t i) const { return i < words_.size() ? std::string_view(words_[i]) : std::string_view(); }

  bool DefinesRoutine() const {
    if (Word(0) != "create") return false;
    const size_t noun = Word(1) == "or" && Word(2) == "replace" ? 3 : 1;
    return Word(noun) == "function" || Word(noun) == "procedure";
  }

  absl::Status EndStatement() {
    if (!inside_) return absl::OkStatus();
    LH_RETURN_IF_ERROR(CheckAllowed());
    statements_.push_back(
        {.text = std::string(absl::StripTrailingAsciiWhitespace(AbslView(sql_.substr(start_, pos_ - start_)))),
         .line = start_line_});
    inside_ = false;
    parens_ = blocks_ = 0;
    words_.clear();
    reads_stdin_ = false;
    return absl::OkStatus();
  }

  absl::Status CheckAllowed() const {
    const std::string_view first = Word(0);
    const bool to_savepoint = std::ranges::find(words_, "to") != words_.end();
    if (first == "begin" || first == "start" || first == "commit" || first == "end" || first == "abort" ||
        (first == "rollback" && !to_savepoint) || (first == "prepare" && Word(1) == "transaction")) {
      return Refuse(start_line_,
                    std::format("{} is not allowed: each migration file runs in one transaction of its own",
                                absl::AsciiStrToUpper(AbslView(first))));
    }
    if (first == "set" && Word(1) == "transaction") {
      return Refuse(start_line_, "SET TRANSACTION is not allowed: the file's record is written in the same one");
    }
    const size_t what = Word(1) == "local" || Word(1) == "session" ? 2 : 1;
    if (((first == "set" || first == "reset") && (Word(1) == "role" || Word(what) == "role")) ||
        ((first == "set" || first == "reset") && Word(1) == "session" && Word(2) == "authorization")) {
      return Refuse(start_line_, "changing the role is not allowed: a migration runs as the owner of its database");
    }
    if (first == "copy" && reads_stdin_) return Refuse(start_line_, "COPY FROM STDIN is not allowed: use INSERT");
    return absl::OkStatus();
  }

  const std::string_view sql_;
  size_t pos_ = 0;
  int line_ = 1;
  std::vector<SqlStatement> statements_;

  // Of the statement being read.
  bool inside_ = false;
  size_t start_ = 0;
  int start_line_ = 0;
  int parens_ = 0;
  int blocks_ = 0;
  bool reads_stdin_ = false;
  std::vector<std::string> words_;  // its first ones, in lower case
};

}  // namespace

absl::StatusOr<std::vector<SqlStatement>> SplitStatements(std::string_view sql) { return Splitter(sql).Run(); }

}  // namespace leasehold::provisioner
