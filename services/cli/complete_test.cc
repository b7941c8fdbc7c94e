#include "services/cli/complete.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "services/cli/verbs.h"

namespace leasehold::cli {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::IsSupersetOf;
using ::testing::Not;

class CompleteTest : public ::testing::Test {
 protected:
  CompleteTest() : command_([](const char*) { return std::nullopt; }, Terminal{}), app_(kAbout, "leasehold") {
    ConfigureRoot(app_, command_);
    AddCommands(app_, command_);
  }
  Candidates At(const std::vector<std::string>& words) { return Complete(app_, words); }
  std::vector<std::string> Words(const std::vector<std::string>& words) {
    std::vector<std::string> found;
    for (const Candidate& candidate : At(words).words) found.push_back(candidate.word);
    return found;
  }

  Command command_;
  CLI::App app_;
};

TEST_F(CompleteTest, CommandsByWhatIsTyped) {
  EXPECT_THAT(Words({"te"}), ElementsAre("tenant"));
  EXPECT_THAT(Words({""}), AllOf(IsSupersetOf({"tenant", "lease", "status", "completion"}), Not(Contains("complete"))));
  EXPECT_THAT(Words({"tenant", "un"}), ElementsAre("undelete"));
  EXPECT_THAT(At({"te"}).words.front().about, "Tenants and the state of their databases");
  EXPECT_THAT(Words({"nothing", ""}), Not(IsEmpty())) << "what is no command is passed over";
  EXPECT_THAT(Words({}), IsEmpty());
}

TEST_F(CompleteTest, OptionsOfTheCommandAndOfThoseAboveIt) {
  EXPECT_THAT(Words({"tenant", "create", "acme", "--"}), IsSupersetOf({"--wait", "--name", "--json", "--gateway"}));
  EXPECT_THAT(Words({"tenant", "--"}), Not(Contains("--wait")));
  EXPECT_THAT(Words({"tenant", "create", "--wa"}), ElementsAre("--wait"));
}

TEST_F(CompleteTest, ValuesOfAnOption) {
  EXPECT_THAT(Words({"instances", "--sort", ""}), ElementsAre("size", "connections", "transaction", "name"));
  EXPECT_THAT(Words({"instances", "--sort", "c"}), ElementsAre("connections"));
  EXPECT_THAT(Words({"instances", "--sort", "="}), Contains("size")) << "as bash breaks words";
  EXPECT_THAT(Words({"instances", "--sort", "=", "n"}), ElementsAre("name"));
  EXPECT_THAT(Words({"instances", "--sort=n"}), ElementsAre("--sort=name"));
  EXPECT_THAT(Words({"instances", "--limit", ""}), IsEmpty()) << "any number";
  EXPECT_THAT(Words({"instances", "--sort", "name", "--t"}), ElementsAre("--tenant", "--token-file", "--trace"));
}

TEST_F(CompleteTest, ValuesOfAPositional) {
  EXPECT_THAT(Words({"completion", ""}), ElementsAre("bash", "zsh", "fish"));
  EXPECT_THAT(Words({"--json", "log", "queries", "o"}), ElementsAre("on", "off"));
  EXPECT_THAT(Words({"completion", "bash", ""}), IsEmpty());
}

TEST_F(CompleteTest, PathsAreTheShells) {
  EXPECT_TRUE(At({"--ca", ""}).files);
  EXPECT_TRUE(At({"man", "--out", "/t"}).files);
  EXPECT_TRUE(At({"psql", "acme", "core", "--", "-f", ""}).files);
  EXPECT_FALSE(At({"tenant", "get", ""}).files);
  EXPECT_FALSE(At({""}).files);
}

TEST_F(CompleteTest, ATenantMayBeCalledLikeACommand) {
  EXPECT_THAT(Words({"tenant", "get", "lease", "--js"}), ElementsAre("--json"));
}

}  // namespace
}  // namespace leasehold::cli
