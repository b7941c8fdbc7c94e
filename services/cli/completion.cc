// leasehold completion bash|zsh|fish, and `leasehold complete`, which the scripts ask.
#include <algorithm>
#include <array>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>

#include "common/status/error.h"
#include "services/cli/complete.h"
#include "services/cli/verbs.h"

namespace leasehold::cli {
namespace {

// Stands for the shell's own completion of paths.
constexpr std::string_view kFiles = ":files";

constexpr std::string_view kBash = R"sh(# Completion of leasehold for bash:  source <(leasehold completion bash)
_leasehold() {
  local word about
  COMPREPLY=()
  while IFS=$'\t' read -r word about; do
    if [ "$word" = :files ]; then compopt -o default 2>/dev/null; else COMPREPLY+=("$word"); fi
  done < <(leasehold complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _leasehold leasehold
)sh";

constexpr std::string_view kZsh = R"sh(#compdef leasehold
# Completion of leasehold for zsh:  source <(leasehold completion zsh), or as _leasehold in a folder of $fpath
_leasehold() {
  local -a candidates
  local word about files=0
  while IFS=$'\t' read -r word about; do
    if [[ $word == :files ]]; then files=1; else candidates+=("${word//:/\\:}${about:+:$about}"); fi
  done < <(leasehold complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)
  (( files )) && _files
  (( $#candidates )) && _describe leasehold candidates
}
if [[ ${funcstack[1]} == _leasehold ]]; then _leasehold "$@"; else compdef _leasehold leasehold; fi
)sh";

constexpr std::string_view kFish = R"sh(# Completion of leasehold for fish:  leasehold completion fish | source
function __leasehold_candidates
    set -l words (commandline -opc)
    set -a words "$(commandline -ct)"
    leasehold complete -- $words[2..-1] 2>/dev/null
end
function __leasehold_wants_files
    __leasehold_candidates | string match -q ':files'
end
complete -c leasehold -f
complete -c leasehold -n __leasehold_wants_files -F
complete -c leasehold -a '(__leasehold_candidates | string match -v ":files")'
)sh";

constexpr std::array<std::pair<std::string_view, std::string_view>, 3> kShells = {
    {{"bash", kBash}, {"zsh", kZsh}, {"fish", kFish}}};

void AddComplete(CLI::App& app, Command& command) {
  CLI::App* verb = app.add_subcommand("complete", "Print what may stand in place of the last word behind '--'");
  verb->group("");
  verb->callback([&app, &command] {
    command.needs_gateway = false;
    command.takes_tail = true;
    command.run = [&app, &command]() -> absl::StatusOr<int> {
      const Candidates candidates = Complete(app, command.tail);
      for (const Candidate& candidate : candidates.words)
        std::cout << candidate.word << '\t' << candidate.about << '\n';
      if (candidates.files) std::cout << kFiles << '\n';
      return kDone;
    };
  });
}

}  // namespace

void AddCompletion(CLI::App& app, Command& command) {
  AddComplete(app, command);
  auto shell = std::make_shared<std::string>();
  CLI::App* verb = app.add_subcommand("completion", "Print a script that completes this command line in a shell");
  verb->add_option("SHELL", *shell, "Which: source <(leasehold completion bash)")
      ->required()
      ->type_name("bash|zsh|fish");
  verb->callback([shell, &command] {
    command.needs_gateway = false;
    const auto* const found = std::ranges::find(kShells, *shell, [](const auto& each) { return each.first; });
    if (found == kShells.end()) {
      UsageError("SHELL is '" + Printable(*shell) + "'; allowed: bash, zsh, fish");
    }
    command.run = [script = found->second]() -> absl::StatusOr<int> {
      std::cout << script;
      return kDone;
    };
  });
}

}  // namespace leasehold::cli
