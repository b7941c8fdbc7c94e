// PostgreSQL's lexical rules, as far as needed to tell one SQL statement from the next and to read a few short ones.
// One pass, no backtracking, no allocation. Takes standard_conforming_strings as on.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace leasehold::gateway::pgwire {

// kEscaped: U&'…' and U&"…", whose escapes are not undone.
enum class TokenKind : uint8_t { kEnd, kWord, kQuotedName, kString, kEscaped, kNumber, kParameter, kSymbol };

struct Token {
  TokenKind kind = TokenKind::kEnd;
  std::string_view text;  // as written, with its quotes
  size_t begin = 0;

  bool Is(char symbol) const { return kind == TokenKind::kSymbol && text[0] == symbol; }
  // `word` in lower case. Quoted names are no words.
  bool Is(std::string_view word) const;
  // As a name: words folded to lower case, quotes undone.
  std::string Name() const;
  // Of a string: quotes and escapes undone. Of anything else: its text.
  std::string Value() const;
};

class Lexer {
 public:
  explicit Lexer(std::string_view sql) : sql_(sql) {}
  // Comments and white space are skipped. What is not closed reaches to the end.
  Token Next();
  // Something was not closed: a syntax error to PostgreSQL.
  bool unclosed() const { return unclosed_; }

 private:
  void SkipBlank();
  size_t EndOfString(size_t quote, bool backslashes);
  size_t EndOfDollarString(size_t begin);  // npos: not one
  Token Take(TokenKind kind, size_t end);

  std::string_view sql_;
  size_t at_ = 0;
  bool unclosed_ = false;
};

}  // namespace leasehold::gateway::pgwire
