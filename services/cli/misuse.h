// Wrong command lines that CLI11 would blame on something else, told in words that help.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <span>
#include <string>

namespace leasehold::cli {

struct Misuse {
  std::string message;
  std::string command;  // as far as it was understood: "leasehold tenant"
};

// The first of: text that is not UTF-8, an unknown command or option, a value with a leading '-' where none can have
// one, no command at all. nullopt for everything else, whatever CLI11 then says, and for --help and --version.
std::optional<Misuse> FindMisuse(const CLI::App& root, std::span<const std::string> args);

}  // namespace leasehold::cli
