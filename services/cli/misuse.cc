#include "services/cli/misuse.h"

#include <algorithm>
#include <format>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_join.h"
#include "common/config/spelling.h"
#include "common/status/error.h"
#include "common/status/utf8.h"
#include "services/cli/command_tree.h"

namespace leasehold::cli {
namespace {

std::string Shown(std::string_view word) { return std::format("'{}'", Printable(word)); }

// Walks along the command line as CLI11 does.
class Walk {
 public:
  explicit Walk(const CLI::App& root) : at_(&root), path_(root.get_name()) {}

  std::optional<Misuse> Take(std::span<const std::string> args) {
    for (size_t i = 0; i < args.size(); ++i) {
      if (!IsUtf8(args[i])) return Wrong(NotUtf8(args, i));
      const bool value = std::exchange(value_follows_, false);
      if (value) continue;
      std::optional<Misuse> wrong = args[i].size() > 1 && args[i].starts_with('-') ? Option(args[i]) : Word(args[i]);
      if (wrong || asked_) return wrong;
    }
    if (value_follows_) return std::nullopt;                          // CLI11 says whose
    if (at_->get_require_subcommand_min() == 0) return std::nullopt;  // `audit` has a command, and does without
    const std::vector<std::string> commands = CommandNames(*at_);
    if (commands.empty()) return std::nullopt;
    return Wrong(std::format("a command is missing; known here: {}", absl::StrJoin(commands, ", ")));
  }

 private:
  Misuse Wrong(std::string message) const { return {.message = std::move(message), .command = path_}; }

  static std::string NotUtf8(std::span<const std::string> args, size_t i) {
    std::string name = std::format("argument {}", i + 1);
    std::string_view value = args[i];
    const size_t equals = value.find('=');
    if (value.starts_with("--") && equals != std::string_view::npos) {
      name = Printable(value.substr(0, equals));
      value.remove_prefix(equals + 1);
    } else if (i > 0 && args[i - 1].starts_with("--") && !args[i - 1].contains('=')) {
      name = args[i - 1];
    }
    return std::format("{} is {}; allowed: UTF-8", name, Shown(value));
  }

  std::vector<std::string> KnownOptions() const {
    std::vector<std::string> names;
    for (const CLI::App* app = at_; app != nullptr; app = app->get_parent()) {
      for (const CLI::Option* option : app->get_options()) {
        for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
      }
    }
    std::ranges::sort(names);
    const auto doubled = std::ranges::unique(names);  // each has its --help
    names.erase(doubled.begin(), doubled.end());
    return names;
  }

  Misuse Unknown(const std::string& arg, const std::string& name) const {
    if (at_->get_name() == "psql")
      return Wrong(std::format("unknown option {}; what psql takes goes behind '--'", Shown(name)));
    const CLI::Option* positional = arg.starts_with("--") ? nullptr : NextPositional();
    if (positional == nullptr) {
      return Wrong(std::format("unknown option {}; {}", Shown(name), SpellingHint(name, KnownOptions())));
    }
    const std::string& about = positional->get_description();
    return Wrong(std::format("unknown option {}, and {} begins with a letter or a digit{}", Shown(arg),
                             positional->get_name(true), about.starts_with('[') ? ": " + about : ""));
  }

  std::optional<Misuse> Option(const std::string& arg) {
    const bool is_long = arg.starts_with("--");
    const std::string name = is_long ? arg.substr(0, arg.find('=')) : arg.substr(0, 2);
    const CLI::Option* option = FindOption(*at_, name);
    if (option == nullptr) return Unknown(arg, name);
    for (const CLI::App* app = at_; app != nullptr; app = app->get_parent()) {
      asked_ = asked_ || option == app->get_help_ptr() || option == app->get_version_ptr();
    }
    value_follows_ = is_long && TakesValue(*option) && !arg.contains('=');
    return std::nullopt;
  }

  std::optional<Misuse> Word(const std::string& word) {
    if (at_->get_subcommands({}).empty()) {
      ++positionals_;
      return std::nullopt;
    }
    const CLI::App* const found = FindCommand(*at_, word);
    if (found == nullptr) {
      return Wrong(std::format("unknown command {}; {}", Shown(word), SpellingHint(word, CommandNames(*at_))));
    }
    at_ = found;
    path_ += " " + word;
    return std::nullopt;
  }

  const CLI::Option* NextPositional() const {
    int before = 0;
    for (const CLI::Option* option : PositionalsOf(*at_)) {
      before += option->get_items_expected_max();
      if (positionals_ < before) return option;
    }
    return nullptr;
  }

  const CLI::App* at_;
  std::string path_;
  int positionals_ = 0;
  bool value_follows_ = false;  // the next argument is an option's
  bool asked_ = false;          // for help or the version
};

}  // namespace

std::optional<Misuse> FindMisuse(const CLI::App& root, std::span<const std::string> args) {
  return Walk(root).Take(args);
}

}  // namespace leasehold::cli
