#include "services/cli/shown_paths.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"

namespace leasehold::cli {
namespace {

bool InName(char c) { return absl::ascii_isalnum(c) || c == '_' || c == '-' || c == '~'; }
bool InPath(char c) { return InName(c) || c == '/' || c == '.'; }

// Whether a folder's name may end before `rest`; a dot may end a sentence.
bool NameEnds(std::string_view rest) {
  if (rest.starts_with('.')) rest.remove_prefix(1);
  return rest.empty() || !InName(rest.front());
}

}  // namespace

ShownPaths::ShownPaths(const Environment& env) {
  const std::string variable = env("LEASEHOLD_SHOWN_PATHS").value_or("");
  for (const absl::string_view folder : absl::StrSplit(variable, ':', absl::SkipEmpty())) {
    std::pair<std::string, std::string> split = absl::StrSplit(folder, absl::MaxSplits('=', 1));
    if (!split.first.empty() && !split.second.empty()) folders_.push_back(std::move(split));
  }
}

std::string ShownPaths::In(std::string_view text) const {
  std::string shown;
  while (!text.empty()) {
    const bool begins = shown.empty() || !InPath(shown.back());
    const std::pair<std::string, std::string>* found = nullptr;
    for (const auto& folder : folders_) {
      if (begins && text.starts_with(folder.first) && NameEnds(text.substr(folder.first.size()))) found = &folder;
      if (found != nullptr) break;
    }
    shown += found == nullptr ? std::string(1, text.front()) : found->second;
    text.remove_prefix(found == nullptr ? 1 : found->first.size());
  }
  return shown;
}

}  // namespace leasehold::cli
