#include "common/policy/api_tokens.h"

#include <algorithm>
#include <array>
#include <format>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"
#include "common/status/error.h"
#include "common/status/view.h"

namespace leasehold {
namespace {

constexpr size_t kTokenBytes = 32;
constexpr size_t kTokenText = kApiTokenPrefix.size() + 43;  // base64url without padding
constexpr std::string_view kHead =
    "# API tokens of a Leasehold gateway; written by `leasehold token`. Name, SHA-256, created, expires.\n";

std::string HashOf(std::string_view text) {
  const auto digest = Sha256(text);
  return Hex({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

std::string TimeText(absl::Time time) {
  return time == absl::InfiniteFuture() ? "never" : absl::FormatTime(absl::RFC3339_sec, time, absl::UTCTimeZone());
}

std::optional<absl::Time> ParseTime(std::string_view text) {
  absl::Time time;
  if (!absl::ParseTime(absl::RFC3339_sec, AbslView(text), &time, nullptr)) return std::nullopt;
  return time;
}

absl::StatusOr<ApiToken> ParseLine(int number, absl::string_view line) {
  const std::vector<std::string> words = absl::StrSplit(line, absl::ByAnyChar(" \t"), absl::SkipEmpty());
  const auto refuse = [&](std::string_view allowed) {
    return InvalidField(std::format("line {}", number), "…", allowed);
  };
  if (words.size() != 4) return refuse("NAME SHA256 CREATED EXPIRES");
  if (!CheckTokenName(words[0]).ok()) return refuse("a name of 1 to 64 of a-z, 0-9, '.', '_' and '-'");
  const absl::StatusOr<std::string> hash = FromHex(words[1]);
  if (!hash.ok() || hash->size() != 32) return refuse("64 hex digits as the hash");
  const std::optional<absl::Time> created = ParseTime(words[2]);
  const std::optional<absl::Time> expires = words[3] == "never" ? absl::InfiniteFuture() : ParseTime(words[3]);
  if (!created || !expires) return refuse("times such as 2026-01-01T00:00:00Z, or never");
  return ApiToken{words[0], Hex(*hash), *created, *expires};
}

}  // namespace

absl::Status CheckTokenName(std::string_view name) {
  const auto fits = [](unsigned char c) {
    return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '.' || c == '_' || c == '-';
  };
  if (!name.empty() && name.size() <= 64 && absl::ascii_isalnum(static_cast<unsigned char>(name.front())) &&
      std::ranges::all_of(name, fits)) {
    return absl::OkStatus();
  }
  return InvalidField("name", name, "1 to 64 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit");
}

NewApiToken MakeApiToken(std::string name, absl::Time now, absl::Time expires) {
  std::array<uint8_t, kTokenBytes> random;
  RandomBytes(random);
  Secret text(std::string(kApiTokenPrefix) + Base64Url({reinterpret_cast<const char*>(random.data()), random.size()}));
  ApiToken kept{std::move(name), HashOf(text.reveal()), now, expires};
  return {std::move(text), std::move(kept)};
}

absl::StatusOr<ApiTokens> ApiTokens::Parse(std::string_view text) {
  ApiTokens tokens;
  int number = 0;
  for (const absl::string_view raw : absl::StrSplit(AbslView(text), '\n')) {
    ++number;
    const absl::string_view line = absl::StripAsciiWhitespace(raw);
    if (line.empty() || line.front() == '#') continue;
    LH_ASSIGN_OR_RETURN(ApiToken token, ParseLine(number, line));
    if (!tokens.Add(std::move(token)).ok()) {
      return InvalidField(std::format("line {}", number), "…", "a name and a hash that no line before has");
    }
  }
  return tokens;
}

std::string ApiTokens::ToText() const {
  std::string text(kHead);
  for (const ApiToken& token : tokens_) {
    text += std::format("{} {} {} {}\n", token.name, token.sha256, TimeText(token.created), TimeText(token.expires));
  }
  return text;
}

const ApiToken* ApiTokens::Find(std::string_view text) const {
  if (text.size() != kTokenText || !text.starts_with(kApiTokenPrefix)) return nullptr;
  return FindKept(HashOf(text));
}

const ApiToken* ApiTokens::FindKept(std::string_view sha256) const {
  const auto found = by_hash_.find(AbslView(sha256));
  return found == by_hash_.end() ? nullptr : &tokens_[found->second];
}

absl::Status ApiTokens::Add(ApiToken token) {
  const auto clashes = [&](const ApiToken& other) { return other.name == token.name || other.sha256 == token.sha256; };
  if (std::ranges::any_of(tokens_, clashes)) {
    return InvalidField("name", token.name, "a name that no token has yet");
  }
  by_hash_.emplace(token.sha256, tokens_.size());
  tokens_.push_back(std::move(token));
  return absl::OkStatus();
}

bool ApiTokens::Remove(std::string_view name) {
  if (std::erase_if(tokens_, [&](const ApiToken& token) { return token.name == name; }) == 0) return false;
  by_hash_.clear();
  for (size_t i = 0; i < tokens_.size(); ++i) by_hash_.emplace(tokens_[i].sha256, i);
  return true;
}

}  // namespace leasehold
