// Text compared and searched blind to the case of ASCII letters, as SQL's words are.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace leasehold::gateway::pgwire {

constexpr char Fold(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

inline bool EqualFolded(std::string_view text, std::string_view lower) {
  return std::ranges::equal(text, lower, {}, Fold);
}

inline bool StartsFolded(std::string_view text, std::string_view lower) {
  return text.size() >= lower.size() && EqualFolded(text.substr(0, lower.size()), lower);
}

// Boyer-Moore-Horspool, blind to case; `word` in lower case.
template <size_t N>
struct WordSearch {
  constexpr explicit WordSearch(const char (&text)[N]) : word(text, N - 1) {
    skip.fill(static_cast<uint8_t>(word.size()));
    for (size_t i = 0; i + 1 < word.size(); ++i) {
      const auto shift = static_cast<uint8_t>(word.size() - 1 - i);
      skip[static_cast<unsigned char>(word[i])] = shift;
      skip[static_cast<unsigned char>(word[i] & ~0x20)] = shift;
    }
  }

  bool FoundIn(std::string_view text) const {
    size_t end = word.size();
    while (end <= text.size()) {
      if (Fold(text[end - 1]) == word.back() && EqualFolded(text.substr(end - word.size(), word.size()), word)) {
        return true;
      }
      end += skip[static_cast<unsigned char>(text[end - 1])];
    }
    return false;
  }

  std::string_view word;
  std::array<uint8_t, 256> skip{};
};

}  // namespace leasehold::gateway::pgwire
