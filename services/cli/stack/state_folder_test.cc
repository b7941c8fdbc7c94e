#include "services/cli/stack/state_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "common/localserver/localserver.h"
#include "services/cli/stack/supervisor.h"

namespace leasehold::stack {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

class StateFolderTest : public ::testing::Test {
 protected:
  std::string Write(const std::string& name, const std::string& content = "x") {
    const fs::path path = fs::path(folder_.path()) / name;
    fs::create_directories(path.parent_path());
    std::ofstream(path) << content;
    return path;
  }
  std::string Refusal() { return std::string(CheckStateFolder(folder_.path()).message()); }

  localserver::TemporaryDirectory folder_;
};

TEST_F(StateFolderTest, EmptyOrAbsentOrOursIsGood) {
  EXPECT_TRUE(CheckStateFolder(folder_.path()).ok());
  EXPECT_TRUE(CheckStateFolder(folder_.path() + "/none").ok());
  Write("notes.txt");
  EXPECT_TRUE(CheckStateFolder(folder_.path()).ok()) << "what has no name of ours is in nobody's way";
  Write("pg/identity/PG_VERSION");
  Write("secrets/signing-keys");
  EXPECT_TRUE(CheckStateFolder(folder_.path()).ok());
}

TEST_F(StateFolderTest, ForeignFilesOfOurNamesAreRefused) {
  Write("log/app.log");
  EXPECT_THAT(Refusal(), AllOf(HasSubstr(folder_.path()), HasSubstr("'log'"), HasSubstr("--state-dir")));
  Write("stack.json", "{}");
  EXPECT_TRUE(CheckStateFolder(folder_.path()).ok());
  EXPECT_THAT(std::string(CheckStateFolder(Write("file")).message()), HasSubstr("is no folder"));
}

TEST_F(StateFolderTest, RemoveDataKeepsTheRest) {
  for (const char* name : {"pg/identity/PG_VERSION", "nats/jetstream", "nats.log", "log/gateway.log"}) Write(name);
  const std::string secret = Write("secrets/signing-keys");
  const std::string notes = Write("notes.txt");
  EXPECT_TRUE(RemoveData(folder_.path()).ok());
  EXPECT_TRUE(fs::exists(secret));
  EXPECT_TRUE(fs::exists(notes));
  EXPECT_FALSE(fs::exists(folder_.path() + "/pg"));
  EXPECT_FALSE(fs::exists(folder_.path() + "/log"));
}

TEST_F(StateFolderTest, AFreshStackRemovesNoForeignFolder) {
  const std::string foreign = Write("log/app.log");
  const std::string config = Write("leasehold.yaml", "services: [{name: core}]");
  for (const bool fresh : {true, false}) {
    StackOptions options;
    options.config_path = config;
    options.state_dir = folder_.path();
    options.ports = PortMode::kAuto;
    options.fresh = fresh;
    Supervisor supervisor(options, [](const char*) { return std::nullopt; }, [](const std::string&) {});
    const absl::Status status = supervisor.Run();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("was not made by a stack"));
    EXPECT_TRUE(fs::exists(foreign));
    EXPECT_FALSE(fs::exists(folder_.path() + "/stack.json"));
  }
}

}  // namespace
}  // namespace leasehold::stack
