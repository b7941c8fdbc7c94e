#include "services/cli/key_files.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/secret/key_ring.h"
#include "common/status/error.h"
#include "common/status/view.h"

namespace leasehold::cli {
namespace {

constexpr int kKeyBytes = 32;
constexpr absl::string_view kNext = "signs next";
constexpr absl::string_view kUntil = "signed until ";

struct Entry {
  SigningKeyLine line;
  Secret text;  // "<id> <hex>"
};

// The number that `line` begins with, taken off it.
bool ConsumeId(absl::string_view& line, uint32_t& id) {
  const size_t end = std::min(line.find_first_of(" \t"), line.size());
  if (!absl::SimpleAtoi(line.substr(0, end), &id)) return false;
  line = absl::StripLeadingAsciiWhitespace(line.substr(end));
  return true;
}

std::vector<absl::string_view> LinesOf(std::string_view text) {
  std::vector<absl::string_view> lines;
  for (const absl::string_view raw : absl::StrSplit(AbslView(text), '\n')) {
    const absl::string_view line = absl::StripAsciiWhitespace(raw);
    if (!line.empty()) lines.push_back(line);
  }
  return lines;
}

absl::StatusOr<std::vector<Entry>> Entries(std::string_view text) {
  LH_RETURN_IF_ERROR(SigningKeys::Parse(text).status());
  std::vector<Entry> entries;
  std::map<uint32_t, SigningKeyLine> notes;
  for (absl::string_view line : LinesOf(text)) {
    uint32_t id = 0;
    if (absl::ConsumePrefix(&line, "#")) {
      line = absl::StripLeadingAsciiWhitespace(line);
      if (!ConsumeId(line, id)) continue;
      if (line == kNext) notes[id].next = true;
      if (absl::ConsumePrefix(&line, kUntil)) absl::ParseTime(absl::RFC3339_full, line, &notes[id].retired, nullptr);
      continue;
    }
    Secret whole{std::string(line)};
    if (!ConsumeId(line, id)) continue;  // Parse() has seen to it
    SigningKeyLine entry = notes[id];
    entry.id = id;
    entry.signs = entries.empty();
    entries.push_back({.line = entry, .text = std::move(whole)});
  }
  return entries;
}

Secret TextOf(const std::vector<Entry>& entries) {
  std::string text;
  text.reserve(entries.size() * 256);  // it does not move and leave keys behind
  for (const auto& [line, key] : entries) {
    if (line.next) absl::StrAppend(&text, "# ", line.id, " ", kNext, "\n");
    if (line.retired != absl::InfiniteFuture()) {
      absl::StrAppend(&text, "# ", line.id, " ", kUntil,
                      absl::FormatTime(absl::RFC3339_sec, line.retired, absl::UTCTimeZone()), "\n");
    }
    absl::StrAppend(&text, AbslView(key.reveal()), "\n");
  }
  return Secret(std::move(text));
}

std::vector<absl::string_view> RoleKeyLines(std::string_view text) {
  std::vector<absl::string_view> lines = LinesOf(text);
  std::erase_if(lines, [](absl::string_view line) { return line.starts_with('#'); });
  return lines;
}

Secret RoleKeyText(absl::string_view current, absl::string_view other = "") {
  return Secret(absl::StrCat(current, "\n", other, other.empty() ? "" : "\n"));
}

}  // namespace

absl::StatusOr<std::vector<SigningKeyLine>> ListSigningKeys(std::string_view text) {
  LH_ASSIGN_OR_RETURN(const std::vector<Entry> entries, Entries(text));
  std::vector<SigningKeyLine> lines;
  for (const Entry& entry : entries) lines.push_back(entry.line);
  return lines;
}

absl::StatusOr<Secret> WithNextSigningKey(std::string_view text) {
  LH_ASSIGN_OR_RETURN(std::vector<Entry> entries, Entries(text));
  if (entries.size() > 1 && entries[1].line.next) return TextOf(entries);
  uint32_t highest = 0;
  for (const Entry& entry : entries) highest = std::max(highest, entry.line.id);
  if (highest == UINT32_MAX) return absl::FailedPreconditionError("there is no higher key id than the highest one");
  Entry next{.line = {.id = highest + 1, .next = true},
             .text = Secret(absl::StrCat(highest + 1, " ", RandomHex(kKeyBytes)))};
  entries.insert(entries.begin() + 1, std::move(next));
  return TextOf(entries);
}

absl::StatusOr<Secret> WithNextKeySigning(std::string_view text, absl::Time now) {
  LH_ASSIGN_OR_RETURN(std::vector<Entry> entries, Entries(text));
  if (entries.size() < 2 || !entries[1].line.next) {
    return absl::FailedPreconditionError("no second key is marked as the next one");
  }
  std::swap(entries[0], entries[1]);
  entries[0].line.next = false;
  entries[1].line.retired = now;
  return TextOf(entries);
}

absl::StatusOr<Secret> WithoutRetiredKeys(std::string_view text, absl::Time now, absl::Duration kept) {
  LH_ASSIGN_OR_RETURN(std::vector<Entry> entries, Entries(text));
  std::erase_if(entries, [&](const Entry& entry) { return !entry.line.signs && entry.line.retired <= now - kept; });
  return TextOf(entries);
}

absl::StatusOr<Secret> WithNextRoleKey(std::string_view text) {
  LH_RETURN_IF_ERROR(RoleKeys::Parse(text).status());
  const std::vector<absl::string_view> lines = RoleKeyLines(text);
  if (lines.size() != 1) {
    return absl::FailedPreconditionError(
        "it holds two keys, and roles may have passwords of either: `leasehold keys prune` first");
  }
  return RoleKeyText(lines[0], RandomHex(kKeyBytes));
}

absl::StatusOr<Secret> WithOtherRoleKeyCurrent(std::string_view text) {
  LH_RETURN_IF_ERROR(RoleKeys::Parse(text).status());
  const std::vector<absl::string_view> lines = RoleKeyLines(text);
  if (lines.size() != 2) return absl::FailedPreconditionError("it holds one key; allowed: two");
  return RoleKeyText(lines[1], lines[0]);
}

absl::StatusOr<Secret> WithoutOtherRoleKey(std::string_view text) {
  LH_RETURN_IF_ERROR(RoleKeys::Parse(text).status());
  return RoleKeyText(RoleKeyLines(text)[0]);
}

bool HasOtherRoleKey(std::string_view text) { return RoleKeyLines(text).size() > 1; }

}  // namespace leasehold::cli
