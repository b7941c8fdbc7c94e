// The commands and options as CLI11 holds them: what --help, completion and the man pages tell of is this one tree.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace leasehold::cli {

// What may stand behind `at`, in the order in which they were added; without those that --help does not show.
std::vector<const CLI::App*> CommandsOf(const CLI::App& at);
std::vector<std::string> CommandNames(const CLI::App& at);
// nullptr: there is none of that name.
const CLI::App* FindCommand(const CLI::App& at, const std::string& name);

// Options may stand behind any command below the one that has them. `name`: "--json", "-h".
const CLI::Option* FindOption(const CLI::App& at, const std::string& name);
// Those of `at` alone, without positionals and --help.
std::vector<const CLI::Option*> OptionsOf(const CLI::App& at);
std::vector<const CLI::Option*> PositionalsOf(const CLI::App& at);

bool TakesValue(const CLI::Option& option);
// "--gateway"; the short name if it has no other.
std::string NameOf(const CLI::Option& option);
// The words of an option that is one of some ("size|name"); empty: any text.
std::vector<std::string> ValuesOf(const CLI::Option& option);
// Whether it is the path of a file or folder.
bool IsPath(const CLI::Option& option);

// "leasehold tenant create ID [OPTION]...".
std::string Usage(const CLI::App& command);
// "leasehold tenant create".
std::string PathOf(const CLI::App& command);

}  // namespace leasehold::cli
