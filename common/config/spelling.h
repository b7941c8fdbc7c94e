// Words that were probably meant, for errors about unknown ones.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace leasehold {

// The one of `known` that is at most a third of `word`'s letters away (two in a short word): changed, added, dropped,
// or swapped with its neighbour. nullopt if none is so near.
std::optional<std::string> NearestWord(std::string_view word, std::span<const std::string> known);

// "did you mean X?" or "known here: a, b, c".
std::string SpellingHint(std::string_view word, std::span<const std::string> known);

}  // namespace leasehold
