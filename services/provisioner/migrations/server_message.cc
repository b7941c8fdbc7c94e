#include "services/provisioner/migrations/server_message.h"

#include <algorithm>
#include <charconv>
#include <format>

#include "absl/strings/ascii.h"
#include "common/status/error.h"
#include "common/status/view.h"

namespace leasehold::provisioner {
namespace {

constexpr std::string_view kPosition = " at character ";
constexpr size_t kMaxMessageBytes = 300;

// Of these the message names objects, never values.
constexpr std::string_view kOfNames[] = {"0A", "23", "25", "2B", "3D", "3F", "42", "54", "55"};
constexpr std::string_view kDefinitions[] = {"alter", "analyze", "cluster", "comment", "create",   "drop",
                                             "grant", "reindex", "revoke",  "set",     "truncate", "vacuum"};

bool Defines(std::string_view statement) {
  const auto* const end = std::ranges::find_if_not(statement, [](char c) { return absl::ascii_isalpha(c); });
  const std::string word =
      absl::AsciiStrToLower(AbslView(statement.substr(0, static_cast<size_t>(end - statement.begin()))));
  return std::ranges::find(kDefinitions, word) != std::end(kDefinitions);
}

// There is a name in quotes, and each stands in `statement`.
bool NamesOnlyWhatStandsIn(std::string_view statement, std::string_view message) {
  const std::string text = absl::AsciiStrToLower(AbslView(statement));
  bool any = false;
  for (size_t begin = message.find('"'); begin != std::string_view::npos; begin = message.find('"', begin)) {
    const size_t end = message.find('"', begin + 1);
    if (end == std::string_view::npos) return false;
    if (!text.contains(absl::AsciiStrToLower(AbslView(message.substr(begin + 1, end - begin - 1))))) return false;
    any = true;
    begin = end + 1;
  }
  return any;
}

}  // namespace

int LineOf(const absl::Status& status, std::string_view statement) {
  const std::string_view text = StdView(status.message());
  const size_t at = text.rfind(kPosition);
  if (at == std::string_view::npos) return 1;
  const std::string_view digits = text.substr(at + kPosition.size());
  int position = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), position);
  int line = 1;
  int character = 1;
  for (const char c : statement) {
    const bool begins_character = (static_cast<unsigned char>(c) & 0xC0) != 0x80;
    if (begins_character && character++ >= position) break;
    if (c == '\n') ++line;
  }
  return line;
}

std::string NamesOnlyMessage(const absl::Status& status, std::string_view sqlstate, std::string_view statement) {
  if (std::ranges::find(kOfNames, sqlstate.substr(0, 2)) == std::end(kOfNames)) return "";
  std::string_view message = StdView(status.message());
  if (const size_t severity = message.find(":  "); severity != std::string_view::npos) {
    message.remove_prefix(severity + 3);
  }
  const std::string suffix = std::format(" ({})", sqlstate);
  if (message.ends_with(suffix)) message.remove_suffix(suffix.size());
  if (const size_t place = message.rfind(kPosition); place != std::string_view::npos) {
    const std::string_view digits = message.substr(place + kPosition.size());
    if (std::ranges::all_of(digits, [](char c) { return absl::ascii_isdigit(c); })) message = message.substr(0, place);
  }
  const bool of_constraint = sqlstate.starts_with("23") && message.contains("constraint \"");
  if (!Defines(statement) && !of_constraint && !NamesOnlyWhatStandsIn(statement, message)) return "";
  return Printable(message, kMaxMessageBytes);
}

}  // namespace leasehold::provisioner
