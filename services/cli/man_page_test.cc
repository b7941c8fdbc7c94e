#include "services/cli/man_page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "services/cli/command_tree.h"
#include "services/cli/verbs.h"

namespace leasehold::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

const absl::Time kDate = absl::FromUnixSeconds(1'700'000'000);  // 2023-11-14

class ManPageTest : public ::testing::Test {
 protected:
  ManPageTest() : command_([](const char*) { return std::nullopt; }, Terminal{}), app_(kAbout, "leasehold") {
    ConfigureRoot(app_, command_);
    AddCommands(app_, command_);
  }
  std::string Of(const std::string& name) { return ManPage(*FindCommand(app_, name), kDate); }

  Command command_;
  CLI::App app_;
};

TEST_F(ManPageTest, TheRootsTellsOfEveryCommandAndVariable) {
  const std::string page = ManPage(app_, kDate);
  EXPECT_THAT(page, StartsWith(".TH LEASEHOLD 1 2023-11-14 \"leasehold "));
  EXPECT_THAT(page, HasSubstr("\\fB\\-\\-gateway\\fR \\fIHOST:PORT\\fR"));
  EXPECT_THAT(page, HasSubstr("\\fBLEASEHOLD_GATEWAY\\fR"));
  EXPECT_THAT(page, HasSubstr(".SH EXIT STATUS\n0 done"));
  for (const std::string& name : CommandNames(app_)) {
    EXPECT_THAT(page, HasSubstr("\\fBleasehold\\-" + (name == "dev-certs" ? "dev\\-certs" : name) + "\\fR(1)"));
  }
  EXPECT_THAT(page, Not(HasSubstr("leasehold\\-complete\\fR"))) << "not for people";
}

TEST_F(ManPageTest, AGroupsTellsOfAllBelowIt) {
  const std::string page = Of("tenant");
  EXPECT_THAT(page,
              AllOf(HasSubstr(".SS leasehold tenant create\n"), HasSubstr(".SS leasehold tenant undelete\n"),
                    HasSubstr("\\fBleasehold tenant create\\fR ID [OPTION]...\n"), HasSubstr("\\fB\\-\\-domain\\fR")));
}

TEST_F(ManPageTest, ChoicesDefaultsAndWhatIsSaidInHelp) {
  const std::string page = Of("instances");
  EXPECT_THAT(page, HasSubstr("\\fBsize|connections|transaction|name\\fR"));
  EXPECT_THAT(page, HasSubstr("Left out: size.\n"));
  for (const CLI::Option* option : OptionsOf(*FindCommand(app_, "instances"))) {
    EXPECT_THAT(app_.help("", CLI::AppFormatMode::All), HasSubstr(option->get_description()));
  }
  EXPECT_THAT(Of("stack"), HasSubstr("\\-\\-config")) << "a required option stands in the usage line";
}

TEST_F(ManPageTest, NoLineLooksLikeARequest) {
  CLI::App odd(".begins with a dot\nand has \\ two lines…", "leasehold");
  odd.add_option("--x", "'begins with a quote");
  const std::string page = ManPage(odd, kDate);
  EXPECT_THAT(page, HasSubstr("leasehold \\- \\&.begins with a dot and has \\e two lines\\[u2026]\n"));
  EXPECT_THAT(page, HasSubstr("\n\\&'begins with a quote.\n"));
}

}  // namespace
}  // namespace leasehold::cli
