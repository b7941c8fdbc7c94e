#include "services/cli/command_tree.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace leasehold::cli {
namespace {

bool IsShown(const CLI::App& app) { return !app.get_group().empty(); }

}  // namespace

std::vector<const CLI::App*> CommandsOf(const CLI::App& at) {
  std::vector<const CLI::App*> commands = at.get_subcommands({});
  std::erase_if(commands, [](const CLI::App* command) { return !IsShown(*command); });
  return commands;
}

std::vector<std::string> CommandNames(const CLI::App& at) {
  std::vector<std::string> names;
  for (const CLI::App* command : CommandsOf(at)) names.push_back(command->get_name());
  return names;
}

const CLI::App* FindCommand(const CLI::App& at, const std::string& name) {
  for (const CLI::App* command : at.get_subcommands({})) {
    if (command->check_name(name)) return command;
  }
  return nullptr;
}

const CLI::Option* FindOption(const CLI::App& at, const std::string& name) {
  for (const CLI::App* app = &at; app != nullptr; app = app->get_parent()) {
    if (const CLI::Option* option = app->get_option_no_throw(name)) return option;
  }
  return nullptr;
}

std::vector<const CLI::Option*> OptionsOf(const CLI::App& at) {
  std::vector<const CLI::Option*> options;
  for (const CLI::Option* option : at.get_options()) {
    if (!option->get_positional() && option != at.get_help_ptr()) options.push_back(option);
  }
  return options;
}

std::vector<const CLI::Option*> PositionalsOf(const CLI::App& at) {
  std::vector<const CLI::Option*> positionals;
  for (const CLI::Option* option : at.get_options()) {
    if (option->get_positional()) positionals.push_back(option);
  }
  return positionals;
}

bool TakesValue(const CLI::Option& option) { return option.get_items_expected_min() > 0; }

std::string NameOf(const CLI::Option& option) {
  if (!option.get_lnames().empty()) return absl::StrCat("--", option.get_lnames().front());
  if (!option.get_snames().empty()) return absl::StrCat("-", option.get_snames().front());
  return option.get_name(true);
}

std::vector<std::string> ValuesOf(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  if (!type.contains('|')) return {};
  return absl::StrSplit(type, '|');
}

bool IsPath(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  return type == "FILE" || type == "DIR";
}

std::string PathOf(const CLI::App& command) {
  if (command.get_parent() == nullptr) return command.get_name();
  return absl::StrCat(PathOf(*command.get_parent()), " ", command.get_name());
}

std::string Usage(const CLI::App& command) {
  std::string usage = PathOf(command);
  for (const CLI::Option* positional : PositionalsOf(command)) {
    std::string name = positional->get_name(true);
    if (positional->get_items_expected_max() > 1) name += "...";
    absl::StrAppend(&usage, " ", positional->get_required() ? name : absl::StrCat("[", name, "]"));
  }
  if (!CommandsOf(command).empty()) usage += command.get_require_subcommand_min() > 0 ? " COMMAND" : " [COMMAND]";
  for (const CLI::Option* option : OptionsOf(command)) {
    if (option->get_required()) absl::StrAppend(&usage, " ", NameOf(*option), " ", option->get_type_name());
  }
  return usage + " [OPTION]...";
}

}  // namespace leasehold::cli
