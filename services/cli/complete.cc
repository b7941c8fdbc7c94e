#include "services/cli/complete.h"

#include <algorithm>

#include "services/cli/command_tree.h"

namespace leasehold::cli {
namespace {

// Where the words so far have led.
struct Place {
  const CLI::App* at;
  const CLI::Option* value_of = nullptr;  // an option whose value comes next
  size_t positionals = 0;                 // that have come
  bool others = false;                    // behind "--": another program's
};

bool IsOptionLike(const std::string& word) { return word.size() > 1 && word.starts_with('-'); }

void Take(const std::string& word, Place& place) {
  if (place.others || word == "=") return;
  if (word == "--" || word == "--exec") {
    place.others = true;
  } else if (place.value_of != nullptr) {
    place.value_of = nullptr;
  } else if (IsOptionLike(word)) {
    const size_t equals = word.find('=');
    const CLI::Option* option = FindOption(*place.at, word.substr(0, equals));
    if (option != nullptr && TakesValue(*option) && equals == std::string::npos) place.value_of = option;
  } else if (const CLI::App* command = FindCommand(*place.at, word)) {
    place = {.at = command};
  } else {
    ++place.positionals;
  }
}

void AddValues(const CLI::Option& option, const std::string& begun, const std::string& before, Candidates& to) {
  to.files = to.files || IsPath(option);
  for (std::string& value : ValuesOf(option)) {
    if (value.starts_with(begun)) to.words.push_back({.word = before + value});
  }
}

void AddOptions(const CLI::App& at, const std::string& begun, Candidates& to) {
  for (const CLI::App* app = &at; app != nullptr; app = app->get_parent()) {
    for (const CLI::Option* option : OptionsOf(*app)) {
      std::string name = NameOf(*option);
      if (name.starts_with(begun)) to.words.push_back({.word = std::move(name), .about = option->get_description()});
    }
  }
  if (std::string_view("--help").starts_with(begun)) to.words.push_back({.word = "--help", .about = "Print help"});
}

}  // namespace

Candidates Complete(const CLI::App& root, std::span<const std::string> words) {
  Candidates candidates;
  if (words.empty()) return candidates;
  Place place{.at = &root};
  for (const std::string& word : words.first(words.size() - 1)) Take(word, place);
  const std::string begun = words.back() == "=" ? "" : words.back();
  if (place.others) {
    candidates.files = true;
  } else if (place.value_of != nullptr) {
    AddValues(*place.value_of, begun, "", candidates);
  } else if (const size_t equals = begun.find('='); begun.starts_with("--") && equals != std::string::npos) {
    const CLI::Option* option = FindOption(*place.at, begun.substr(0, equals));
    if (option != nullptr) AddValues(*option, begun.substr(equals + 1), begun.substr(0, equals + 1), candidates);
  } else if (begun.starts_with('-')) {
    AddOptions(*place.at, begun, candidates);
  } else {
    for (const CLI::App* command : CommandsOf(*place.at)) {
      if (!command->get_name().starts_with(begun)) continue;
      candidates.words.push_back({.word = command->get_name(), .about = command->get_description()});
    }
    const std::vector<const CLI::Option*> positionals = PositionalsOf(*place.at);
    if (place.positionals < positionals.size()) AddValues(*positionals[place.positionals], begun, "", candidates);
  }
  return candidates;
}

}  // namespace leasehold::cli
