#include "common/daemon/reloader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "common/status/error.h"

namespace leasehold {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ReloaderTest : public testing::Test {
 protected:
  ReloaderTest() : path_(testing::TempDir() + "/reloader_test." + std::to_string(getpid())) { Write("one"); }
  ~ReloaderTest() override { std::filesystem::remove(path_); }

  void Write(const std::string& text) const { std::ofstream(path_) << text; }
  absl::Status Watch() {
    return reloader_.Watch("policy", path_, [this](std::string_view text) {
      if (text.starts_with("bad")) return Error(v1::REASON_INVALID_FIELD, "it is bad");
      taken_.emplace_back(text);
      return absl::OkStatus();
    });
  }
  void LookTwice() {
    reloader_.Look();
    reloader_.Look();
  }
  bool Exposes(const std::string& line) const { return metrics_.Expose().contains(line + "\n"); }

  const std::string path_;
  Metrics metrics_;
  Reloader reloader_{metrics_};
  std::vector<std::string> taken_;
};

TEST_F(ReloaderTest, TakesWhatTwoLooksHaveSeen) {
  ASSERT_TRUE(Watch().ok());
  EXPECT_THAT(taken_, ElementsAre("one"));
  LookTwice();
  EXPECT_THAT(taken_, ElementsAre("one"));
  Write("two, half");
  reloader_.Look();
  Write("two, whole");
  reloader_.Look();
  EXPECT_THAT(taken_, ElementsAre("one")) << "it was being written";
  reloader_.Look();
  EXPECT_THAT(taken_, ElementsAre("one", "two, whole"));
  LookTwice();
  EXPECT_EQ(taken_.size(), 2u);
  EXPECT_TRUE(Exposes("leasehold_reloads_total{file=\"policy\"} 1"));
}

TEST_F(ReloaderTest, ABadFileKeepsTheOldOneAndIsCountedOnce) {
  ASSERT_TRUE(Watch().ok());
  Write("bad");
  LookTwice();
  LookTwice();
  EXPECT_THAT(taken_, ElementsAre("one"));
  EXPECT_TRUE(Exposes("leasehold_reload_failures_total{file=\"policy\"} 1"));
  std::filesystem::remove(path_);
  LookTwice();
  EXPECT_TRUE(Exposes("leasehold_reload_failures_total{file=\"policy\"} 2"));
  Write("three");
  LookTwice();
  EXPECT_THAT(taken_, ElementsAre("one", "three"));
}

TEST_F(ReloaderTest, ASecretIsTakenWithoutItsNewlineAndNeverEmpty) {
  ASSERT_TRUE(reloader_
                  .WatchSecret("key", path_,
                               [this](std::string_view text) {
                                 taken_.emplace_back(text);
                                 return absl::OkStatus();
                               })
                  .ok());
  Write("two\n");
  LookTwice();
  EXPECT_THAT(taken_, ElementsAre("one", "two"));
  Write("");
  LookTwice();
  EXPECT_THAT(taken_, ElementsAre("one", "two"));
  EXPECT_TRUE(Exposes("leasehold_reload_failures_total{file=\"key\"} 1"));
}

TEST_F(ReloaderTest, TheFirstReadHasToDo) {
  Write("bad");
  const absl::Status status = Watch();
  EXPECT_EQ(ReasonOf(status), v1::REASON_INVALID_FIELD);
  EXPECT_THAT(std::string(status.message()), HasSubstr(path_ + ": it is bad"));
  std::filesystem::remove(path_);
  EXPECT_FALSE(Watch().ok());
}

}  // namespace
}  // namespace leasehold
