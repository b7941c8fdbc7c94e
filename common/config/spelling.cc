#include "common/config/spelling.h"

#include <algorithm>
#include <cstddef>
#include <format>
#include <vector>

#include "absl/strings/str_join.h"

namespace leasehold {
namespace {

// How many letters have to be changed, added, dropped or swapped with the next to make one of the other.
size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<std::vector<size_t>> to(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) {
    for (size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        to[i][j] = i + j;
        continue;
      }
      const size_t replaced = to[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      to[i][j] = std::min({replaced, to[i - 1][j] + 1, to[i][j - 1] + 1});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) to[i][j] = std::min(to[i][j], to[i - 2][j - 2] + 1);
    }
  }
  return to[a.size()][b.size()];
}

}  // namespace

std::optional<std::string> NearestWord(std::string_view word, std::span<const std::string> known) {
  constexpr size_t kLongestName = 100;  // nothing longer is a slip of the finger
  if (known.empty() || word.size() > kLongestName) return std::nullopt;
  const auto nearest =
      std::ranges::min_element(known, {}, [&](const std::string& name) { return EditDistance(word, name); });
  const size_t allowed = std::max<size_t>(2, word.size() / 3);
  const size_t distance = EditDistance(word, *nearest);
  // Of a word of two letters any other is two away.
  if (distance > allowed || distance >= nearest->size()) return std::nullopt;
  return *nearest;
}

std::string SpellingHint(std::string_view word, std::span<const std::string> known) {
  if (const auto nearest = NearestWord(word, known)) return std::format("did you mean {}?", *nearest);
  return std::format("known here: {}", absl::StrJoin(known, ", "));
}

}  // namespace leasehold
