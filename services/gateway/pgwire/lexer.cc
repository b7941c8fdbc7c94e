#include "services/gateway/pgwire/lexer.h"

#include <algorithm>

#include "absl/strings/ascii.h"

namespace leasehold::gateway::pgwire {
namespace {

constexpr size_t kNone = std::string_view::npos;

bool StartsWord(char c) { return absl::ascii_isalpha(static_cast<unsigned char>(c)) || c == '_' || (c & 0x80) != 0; }
char Lower(char c) { return absl::ascii_tolower(static_cast<unsigned char>(c)); }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool ContinuesWord(char c) { return StartsWord(c) || IsDigit(c) || c == '$'; }

int HexDigit(char c) {
  if (IsDigit(c)) return c - '0';
  const char lower = Lower(c);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

std::string Undouble(std::string_view body, char quote) {
  std::string value;
  for (size_t i = 0; i < body.size(); ++i) {
    value.push_back(body[i]);
    if (body[i] == quote) ++i;
  }
  return value;
}

void AppendUtf8(std::string& out, uint32_t code) {
  if (code < 0x80) {
    out.push_back(static_cast<char>(code));
  } else if (code < 0x800) {
    out.push_back(static_cast<char>(0xc0 | code >> 6));
    out.push_back(static_cast<char>(0x80 | (code & 0x3f)));
  } else {
    out.push_back(static_cast<char>(0xe0 | (code >> 12 & 0x0f)));
    out.push_back(static_cast<char>(0x80 | (code >> 6 & 0x3f)));
    out.push_back(static_cast<char>(0x80 | (code & 0x3f)));
  }
}

// Reads up to `most` digits of `base` from body[i] on; leaves i at the first character after them.
uint32_t Digits(std::string_view body, size_t& i, uint32_t base, int most) {
  uint32_t value = 0;
  for (; most > 0 && i < body.size(); --most, ++i) {
    const int digit = HexDigit(body[i]);
    if (digit < 0 || static_cast<uint32_t>(digit) >= base) break;
    value = value * base + static_cast<uint32_t>(digit);
  }
  return value;
}

std::string Unescape(std::string_view body) {
  std::string value;
  size_t i = 0;
  while (i < body.size()) {
    const char c = body[i++];
    if (c == '\'') {
      value.push_back(c);
      ++i;
      continue;
    }
    if (c != '\\' || i == body.size()) {
      value.push_back(c);
      continue;
    }
    const char escape = body[i++];
    switch (escape) {
      case 'b':
        value.push_back('\b');
        break;
      case 'f':
        value.push_back('\f');
        break;
      case 'n':
        value.push_back('\n');
        break;
      case 'r':
        value.push_back('\r');
        break;
      case 't':
        value.push_back('\t');
        break;
      case 'x':
        value.push_back(static_cast<char>(Digits(body, i, 16, 2)));
        break;
      case 'u':
        AppendUtf8(value, Digits(body, i, 16, 4));
        break;
      default:
        if (escape >= '0' && escape <= '7') {
          --i;
          value.push_back(static_cast<char>(Digits(body, i, 8, 3)));
        } else {
          value.push_back(escape);
        }
    }
  }
  return value;
}

}  // namespace

bool Token::Is(std::string_view word) const {
  return kind == TokenKind::kWord && std::ranges::equal(text, word, {}, Lower);
}

std::string Token::Name() const {
  if (kind == TokenKind::kWord) {
    std::string name(text);
    std::ranges::transform(name, name.begin(), Lower);
    return name;
  }
  if (kind == TokenKind::kQuotedName && text.size() >= 2) return Undouble(text.substr(1, text.size() - 2), '"');
  return std::string(text);
}

std::string Token::Value() const {
  if (kind != TokenKind::kString) return std::string(text);
  if (text[0] == '$') {
    const size_t delimiter = text.find('$', 1) + 1;
    return text.size() < 2 * delimiter ? "" : std::string(text.substr(delimiter, text.size() - 2 * delimiter));
  }
  const size_t quote = text.find('\'');
  if (text.size() < quote + 2) return "";
  const std::string_view body = text.substr(quote + 1, text.size() - quote - 2);
  return Lower(text[0]) == 'e' ? Unescape(body) : Undouble(body, '\'');
}

void Lexer::SkipBlank() {
  while (at_ < sql_.size()) {
    const std::string_view rest = sql_.substr(at_);
    if (absl::ascii_isspace(static_cast<unsigned char>(rest[0]))) {
      ++at_;
    } else if (rest.starts_with("--")) {
      at_ = std::min(sql_.find_first_of("\r\n", at_), sql_.size());
    } else if (rest.starts_with("/*")) {
      int depth = 0;
      do {
        if (sql_.substr(at_).starts_with("/*")) {
          ++depth;
          at_ += 2;
        } else if (sql_.substr(at_).starts_with("*/")) {
          --depth;
          at_ += 2;
        } else {
          ++at_;
        }
      } while (depth > 0 && at_ < sql_.size());
      unclosed_ |= depth > 0;
    } else {
      return;
    }
  }
}

Token Lexer::Take(TokenKind kind, size_t end) {
  end = std::min(end, sql_.size());
  Token token{.kind = kind, .text = sql_.substr(at_, end - at_), .begin = at_};
  at_ = end;
  return token;
}

// `quote`: where the opening quote is. Returns the place after the closing one.
size_t Lexer::EndOfString(size_t quote, bool backslashes) {
  const char mark = sql_[quote];
  for (size_t i = quote + 1; i < sql_.size(); ++i) {
    if (backslashes && sql_[i] == '\\') {
      ++i;
    } else if (sql_[i] == mark) {
      if (i + 1 < sql_.size() && sql_[i + 1] == mark) {
        ++i;
      } else {
        return i + 1;
      }
    }
  }
  unclosed_ = true;
  return sql_.size();
}

size_t Lexer::EndOfDollarString(size_t begin) {
  size_t i = begin + 1;
  if (i < sql_.size() && IsDigit(sql_[i])) return kNone;
  while (i < sql_.size() && sql_[i] != '$' && ContinuesWord(sql_[i])) ++i;
  if (i >= sql_.size() || sql_[i] != '$') return kNone;
  const std::string_view delimiter = sql_.substr(begin, i + 1 - begin);
  const size_t end = sql_.find(delimiter, i + 1);
  unclosed_ |= end == kNone;
  return end == kNone ? sql_.size() : end + delimiter.size();
}

Token Lexer::Next() {
  SkipBlank();
  if (at_ >= sql_.size()) return Token{.kind = TokenKind::kEnd, .text = {}, .begin = sql_.size()};
  const char c = sql_[at_];
  const char next = at_ + 1 < sql_.size() ? sql_[at_ + 1] : '\0';
  if (c == '\'') return Take(TokenKind::kString, EndOfString(at_, false));
  if (c == '"') return Take(TokenKind::kQuotedName, EndOfString(at_, false));
  if (next == '\'') {
    const char prefix = Lower(c);
    if (prefix == 'e') return Take(TokenKind::kString, EndOfString(at_ + 1, true));
    if (prefix == 'n' || prefix == 'b' || prefix == 'x') return Take(TokenKind::kString, EndOfString(at_ + 1, false));
  }
  if (next == '&' && Lower(c) == 'u' && at_ + 2 < sql_.size() && (sql_[at_ + 2] == '\'' || sql_[at_ + 2] == '"')) {
    return Take(TokenKind::kEscaped, EndOfString(at_ + 2, false));
  }
  if (c == '$') {
    if (IsDigit(next)) {
      size_t end = at_ + 1;
      while (end < sql_.size() && IsDigit(sql_[end])) ++end;
      return Take(TokenKind::kParameter, end);
    }
    if (const size_t end = EndOfDollarString(at_); end != kNone) return Take(TokenKind::kString, end);
    return Take(TokenKind::kSymbol, at_ + 1);
  }
  size_t end = at_ + 1;
  if (StartsWord(c)) {
    while (end < sql_.size() && ContinuesWord(sql_[end])) ++end;
    return Take(TokenKind::kWord, end);
  }
  if (IsDigit(c)) {
    while (end < sql_.size() && (ContinuesWord(sql_[end]) || sql_[end] == '.')) ++end;
    return Take(TokenKind::kNumber, end);
  }
  return Take(TokenKind::kSymbol, end);
}

}  // namespace leasehold::gateway::pgwire
