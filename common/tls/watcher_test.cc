#include "common/tls/watcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <format>

#include "common/status/error.h"
#include "common/tls/testing_certificates.h"

namespace leasehold::tls {
namespace {

using ::testing::HasSubstr;

class WatcherTest : public testing::Test {
 protected:
  std::shared_ptr<const LiveCredentials> Watch(const IdentityFiles& files) {
    auto watched = watcher_.Watch("sql", TestCertificates::OptionsOf(Role::kServer, files));
    EXPECT_TRUE(watched.ok()) << watched.status();
    return *std::move(watched);
  }
  // It takes files up when they have been the same twice.
  void LookTwice() {
    watcher_.Look();
    watcher_.Look();
  }
  std::string Failures() {
    const std::string all = metrics_.Expose();
    const std::string name = "leasehold_certificate_reload_failures_total{use=\"sql\"} ";
    const size_t at = all.find(name);
    return at == std::string::npos ? "none" : all.substr(at + name.size(), all.find('\n', at) - at - name.size());
  }

  TestCertificates certificates_;
  SystemClock clock_;
  Metrics metrics_;
  Watcher watcher_{clock_, metrics_};
};

TEST_F(WatcherTest, WhatIsBadAtTheStartIsRefused) {
  const auto files = certificates_.Make("a");
  const auto status =
      watcher_.Watch("sql", TestCertificates::OptionsOf(Role::kServer, {files.certificate, "/nowhere"})).status();
  EXPECT_EQ(ReasonOf(status), v1::REASON_INVALID_FIELD);
}

TEST_F(WatcherTest, TakesUpNewFiles) {
  const absl::Time end = absl::FromUnixSeconds(absl::ToUnixSeconds(absl::Now() + absl::Hours(7)));
  const auto live = Watch(certificates_.Make("a"));
  const auto before = live->Get();
  LookTwice();
  EXPECT_EQ(live->Get(), before) << "nothing has changed";
  certificates_.Make("a", {.end = end});
  watcher_.Look();
  EXPECT_EQ(live->Get(), before) << "may still be being written";
  watcher_.Look();
  EXPECT_NE(live->Get(), before);
  EXPECT_EQ(live->version(), 2U);
  EXPECT_EQ(live->Get()->expiry(), end);
  EXPECT_EQ(Failures(), "0");
  EXPECT_THAT(metrics_.Expose(),
              HasSubstr(std::format("leasehold_certificate_expiry_timestamp_seconds{{use=\"sql\"}} {}",
                                    absl::ToUnixSeconds(end))));
}

TEST_F(WatcherTest, BadOnesKeepTheOldAndAreTriedOnce) {
  const auto live = Watch(certificates_.Make("a"));
  const auto before = live->Get();
  const auto other = certificates_.Make("b");
  ASSERT_EQ(std::rename(other.certificate.c_str(), certificates_.PathOf("a.crt").c_str()), 0) << "not its key's";
  LookTwice();
  LookTwice();
  EXPECT_EQ(live->Get(), before);
  EXPECT_EQ(Failures(), "1");
  ASSERT_EQ(std::rename(other.key.c_str(), certificates_.PathOf("a.key").c_str()), 0) << "now it is";
  LookTwice();
  EXPECT_NE(live->Get(), before);
  EXPECT_EQ(Failures(), "1");
}

TEST_F(WatcherTest, AnExpiredOneIsABadOne) {
  const auto live = Watch(certificates_.Make("a"));
  const auto before = live->Get();
  certificates_.Make("a", {.end = absl::Now() - absl::Minutes(1)});
  LookTwice();
  EXPECT_EQ(live->Get(), before);
  EXPECT_EQ(Failures(), "1");
}

TEST_F(WatcherTest, FilesThatVanishAndComeBack) {
  const auto live = Watch(certificates_.Make("a"));
  const auto before = live->Get();
  std::remove(certificates_.PathOf("a.key").c_str());
  LookTwice();
  EXPECT_EQ(live->Get(), before);
  certificates_.Make("a");
  LookTwice();
  EXPECT_EQ(live->version(), 2U);
}

// As Kubernetes replaces what it mounts: the files stay links, into a folder that is a link itself.
TEST_F(WatcherTest, FoldersThatAreSwapped) {
  const auto first = certificates_.Make("1");
  const auto second = certificates_.Make("2");
  const std::string base = certificates_.PathOf("");
  mkdir((base + "v1").c_str(), 0700);
  mkdir((base + "v2").c_str(), 0700);
  for (const char* kind : {"crt", "key"}) {
    ASSERT_EQ(std::rename(std::format("{}1.{}", base, kind).c_str(), std::format("{}v1/tls.{}", base, kind).c_str()),
              0);
    ASSERT_EQ(std::rename(std::format("{}2.{}", base, kind).c_str(), std::format("{}v2/tls.{}", base, kind).c_str()),
              0);
  }
  ASSERT_EQ(symlink("v1", (base + "data").c_str()), 0);
  const auto live = Watch({.certificate = base + "data/tls.crt", .key = base + "data/tls.key"});
  ASSERT_EQ(symlink("v2", (base + "data.new").c_str()), 0);
  ASSERT_EQ(std::rename((base + "data.new").c_str(), (base + "data").c_str()), 0);
  LookTwice();
  EXPECT_EQ(live->version(), 2U);
}

TEST_F(WatcherTest, LooksByItself) {
  const auto live = Watch(certificates_.Make("a"));
  watcher_.Start();
  certificates_.Make("a");
  const absl::Time give_up = absl::Now() + absl::Seconds(30);
  while (live->version() == 1 && absl::Now() < give_up) absl::SleepFor(absl::Milliseconds(10));
  EXPECT_EQ(live->version(), 2U);
}

}  // namespace
}  // namespace leasehold::tls
