#include "services/cli/man_page.h"

#include <algorithm>
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "common/status/utf8.h"
#include "common/status/view.h"
#include "common/version/version.h"
#include "services/cli/command_tree.h"

namespace leasehold::cli {
namespace {

// A hyphen that is typed is \-, what is not ASCII \[uXXXX]; a line must not begin like a request.
std::string Roff(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const Utf8Character next = DecodeUtf8(text);
    if (next.bytes > 1) {
      absl::StrAppendFormat(&out, "\\[u%04X]", static_cast<uint32_t>(next.code_point));
    } else if (text.front() == '-') {
      out += "\\-";
    } else if (text.front() == '\\') {
      out += "\\e";
    } else {
      out += text.front() == '\n' ? ' ' : text.front();
    }
    text.remove_prefix(std::max<size_t>(next.bytes, 1));
  }
  if (out.starts_with('.') || out.starts_with('\'')) out.insert(0, "\\&");
  return out;
}

std::string Sentence(std::string_view text) {
  std::string out = Roff(text);
  if (!out.empty() && !out.ends_with('.')) out += '.';
  return out;
}

// "FILE" in italics, "size|name" in bold.
std::string Value(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  return absl::StrCat(ValuesOf(option).empty() ? "\\fI" : "\\fB", Roff(type.empty() ? "TEXT" : type), "\\fR");
}

void AddEntry(const std::string& tag, std::string_view about, const std::string& more, std::string& page) {
  absl::StrAppend(&page, ".TP\n", tag, "\n", Sentence(about.empty() ? "As it says" : about), "\n");
  if (!more.empty()) absl::StrAppend(&page, more, "\n");
}

void AddOptions(const CLI::App& command, std::string& page) {
  for (const CLI::Option* option : PositionalsOf(command)) {
    const bool values = !ValuesOf(*option).empty();
    const std::string name = absl::StrCat("\\fI", Roff(option->get_name(true)), "\\fR");
    AddEntry(values ? absl::StrCat(name, ": ", Value(*option)) : name, option->get_description(), "", page);
  }
  for (const CLI::Option* option : OptionsOf(command)) {
    std::string tag = absl::StrCat("\\fB", Roff(NameOf(*option)), "\\fR");
    if (TakesValue(*option)) absl::StrAppend(&tag, " ", Value(*option));
    const std::string& by_default = option->get_default_str();
    AddEntry(tag, option->get_description(), by_default.empty() ? "" : absl::StrCat("Left out: ", Sentence(by_default)),
             page);
  }
}

void AddUsage(const CLI::App& command, std::string& page) {
  const std::string path = PathOf(command);
  absl::StrAppend(&page, "\\fB", Roff(path), "\\fR", Roff(Usage(command).substr(path.size())), "\n");
}

// Each command below, with its options.
void AddCommands(const CLI::App& at, std::string& page) {
  for (const CLI::App* command : CommandsOf(at)) {
    absl::StrAppend(&page, ".SS ", Roff(PathOf(*command)), "\n");
    AddUsage(*command, page);
    absl::StrAppend(&page, ".PP\n", Sentence(command->get_description()), "\n");
    AddOptions(*command, page);
    AddCommands(*command, page);
  }
}

// The variables that options name in brackets at the end of what is said of them.
void AddEnvironment(const CLI::App& root, std::string& page) {
  for (const CLI::Option* option : OptionsOf(root)) {
    const std::string about = option->get_description();
    const size_t open = about.rfind("(LEASEHOLD_");
    if (open == std::string::npos || !about.ends_with(')')) continue;
    AddEntry(absl::StrCat("\\fB", Roff(about.substr(open + 1, about.size() - open - 2)), "\\fR"),
             absl::StrCat("As ", NameOf(*option)), "", page);
  }
}

}  // namespace

std::string ManPageName(const CLI::App& command) { return absl::StrReplaceAll(PathOf(command), {{" ", "-"}}); }

std::string ManPage(const CLI::App& command, absl::Time date) {
  const bool is_root = command.get_parent() == nullptr;
  const CLI::App& root = is_root ? command : *command.get_parent();
  const std::string name = ManPageName(command);
  std::string page = absl::StrCat(".TH ", absl::AsciiStrToUpper(Roff(name)), " 1 ",
                                  absl::FormatTime("%Y-%m-%d", date, absl::UTCTimeZone()), " \"leasehold ",
                                  std::string(Version()), "\" Leasehold\n");
  absl::StrAppend(&page, ".SH NAME\n", Roff(name), " \\- ", Roff(command.get_description()), "\n.SH SYNOPSIS\n");
  AddUsage(command, page);
  if (is_root) {
    absl::StrAppend(&page, ".SH COMMANDS\n");
    for (const CLI::App* each : CommandsOf(root)) {
      AddEntry(absl::StrCat("\\fB", Roff(ManPageName(*each)), "\\fR(1)"), each->get_description(), "", page);
    }
    absl::StrAppend(&page, ".SH OPTIONS\nThey may stand anywhere on the command line.\n");
    AddOptions(root, page);
    absl::StrAppend(&page, ".SH ENVIRONMENT\n");
    AddEnvironment(root, page);
  } else if (CommandsOf(command).empty()) {
    absl::StrAppend(&page, ".SH OPTIONS\nThose of \\fBleasehold\\fR(1) besides.\n");
    AddOptions(command, page);
  } else {
    absl::StrAppend(&page, ".SH DESCRIPTION\nThe options of \\fBleasehold\\fR(1) may stand behind each.\n");
    AddOptions(command, page);
    AddCommands(command, page);
  }
  absl::StrAppend(&page, ".SH EXIT STATUS\n", Sentence(StdView(absl::StripPrefix(root.get_footer(), "Exit status: "))),
                  "\n.SH SEE ALSO\n", is_root ? "\\fBpsql\\fR(1)\n" : "\\fBleasehold\\fR(1)\n");
  return page;
}

}  // namespace leasehold::cli
