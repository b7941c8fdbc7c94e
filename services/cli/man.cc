// leasehold man [COMMAND] [--out DIR]
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "common/status/error.h"
#include "services/cli/command_tree.h"
#include "services/cli/man_page.h"
#include "services/cli/verbs.h"

namespace leasehold::cli {
namespace {

// So that the same text gives the same pages.
absl::StatusOr<absl::Time> DateOf(const Environment& env) {
  const auto epoch = env("SOURCE_DATE_EPOCH");
  if (!epoch) return absl::Now();
  int64_t seconds = 0;
  if (!absl::SimpleAtoi(*epoch, &seconds)) {
    return InvalidField("SOURCE_DATE_EPOCH", *epoch, "seconds since 1970");
  }
  return absl::FromUnixSeconds(seconds);
}

absl::Status Write(const std::filesystem::path& path, const std::string& page) {
  std::ofstream file(path, std::ios::binary);
  file << page;
  file.close();
  if (file) return absl::OkStatus();
  return InvalidField("--out", path.string(), "a folder that may be written to");
}

// The tree without what this machine's environment says of defaults.
class Pages {
 public:
  Pages() : command_([](const char*) { return std::nullopt; }, Terminal{}), root_(kAbout, "leasehold") {
    ConfigureRoot(root_, command_);
    AddCommands(root_, command_);
  }
  const CLI::App& root() const { return root_; }

 private:
  Command command_;
  CLI::App root_;
};

}  // namespace

void AddMan(CLI::App& app, Command& command) {
  struct Flags {
    std::string name;
    std::string folder;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* verb = app.add_subcommand("man", "Print a command's man page, or write all of them");
  verb->add_option("COMMAND", flags->name, "Which; left out: the one of leasehold itself");
  verb->add_option("--out", flags->folder, "Write every page into this folder")->type_name("DIR");
  verb->callback([flags, &command] {
    command.needs_gateway = false;
    const Pages known;
    if (!flags->name.empty() && FindCommand(known.root(), flags->name) == nullptr) {
      UsageError(absl::StrCat("COMMAND is '", Printable(flags->name),
                              "'; allowed: ", absl::StrJoin(CommandNames(known.root()), ", ")));
    }
    command.run = [flags, &command]() -> absl::StatusOr<int> {
      const Pages pages;
      LH_ASSIGN_OR_RETURN(const absl::Time date, DateOf(command.env));
      if (flags->folder.empty()) {
        const CLI::App& of = flags->name.empty() ? pages.root() : *FindCommand(pages.root(), flags->name);
        std::cout << ManPage(of, date);
        return kDone;
      }
      std::error_code ignored;
      std::filesystem::create_directories(flags->folder, ignored);
      std::vector<const CLI::App*> all = CommandsOf(pages.root());
      all.insert(all.begin(), &pages.root());
      for (const CLI::App* each : all) {
        const std::filesystem::path path = std::filesystem::path(flags->folder) / (ManPageName(*each) + ".1");
        LH_RETURN_IF_ERROR(Write(path, ManPage(*each, date)));
      }
      return kDone;
    };
  });
}

}  // namespace leasehold::cli
