// UTF-8, one character at a time, for text that comes from strangers.
#pragma once

#include <cstddef>
#include <string_view>

namespace leasehold {

struct Utf8Character {
  char32_t code_point = 0;
  size_t bytes = 0;  // 1 to 4; 0 if `text` does not start with a well-formed character
};

// The first character of `text`. Overlong forms, surrogates and what lies above U+10FFFF are not well-formed.
Utf8Character DecodeUtf8(std::string_view text);

// True if `text` is nothing but well-formed characters.
bool IsUtf8(std::string_view text);

// True for what must not reach a terminal or a list for people: C0 and C1 controls, DEL, line and paragraph separators,
// and the invisible characters that turn the direction of text.
bool IsControl(char32_t code_point);

}  // namespace leasehold
