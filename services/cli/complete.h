// What may stand next on a command line that is being typed.
#pragma once

#include <CLI/CLI.hpp>
#include <span>
#include <string>
#include <vector>

namespace leasehold::cli {

struct Candidate {
  std::string word;
  std::string about = {};  // one line
  bool operator==(const Candidate&) const = default;
};

struct Candidates {
  std::vector<Candidate> words;
  bool files = false;  // the shell's own are wanted
};

// In place of the last of `words`, behind the others; the program's own name is not among them. bash breaks words at
// '=', which is passed over.
Candidates Complete(const CLI::App& root, std::span<const std::string> words);

}  // namespace leasehold::cli
