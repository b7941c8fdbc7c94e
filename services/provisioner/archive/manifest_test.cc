#include "services/provisioner/archive/manifest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "common/localserver/localserver.h"
#include "common/status/error.h"

namespace leasehold::provisioner {
namespace {

using ::testing::HasSubstr;

absl::Status GoOn() { return absl::OkStatus(); }

Manifest Example() {
  return {.backup = "acme.3",
          .tenant = "acme",
          .service = "core",
          .database_id = "0011223344556677",
          .create_time = "2026-01-01T00:00:00+00:00",
          .contents = {.migrations = {{.version = 1, .name = "0001_a.sql", .checksum = "c0"},
                                      {.version = 12, .name = "0012_b.sql", .checksum = "c1", .run = "core.7"}},
                       .tables = {{.schema = "public", .table = "a \"quoted\" näme", .rows = 1'000'000'000'000}}},
          .files = {{.name = "toc.dat", .size = 5'000'000'000, .sha256 = std::string(64, 'a')}},
          .database_bytes = 7'000'000'000};
}

TEST(ManifestTest, WhatIsWrittenIsRead) {
  const auto read = ParseManifest(ToJson(Example()));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, Example());
  EXPECT_EQ(read->contents.schema_version(), 12);
  EXPECT_EQ(read->bytes(), 5'000'000'000);
}

TEST(ManifestTest, TheSizeOfTheDatabaseMayBeMissing) {
  std::string json = ToJson(Example());
  const size_t at = json.find("\"database_bytes\"");
  ASSERT_NE(at, std::string::npos) << json;
  const auto read = ParseManifest(json.replace(at, 16, "\"something_else\""));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->database_bytes, 0);
  json.replace(json.find("\"something_else\": 7"), 19, "\"database_bytes\": -7");
  EXPECT_EQ(ReasonOf(ParseManifest(json).status()), v1::REASON_BACKUP_DAMAGED);
}

TEST(ManifestTest, WhatMakesNoSenseIsDamaged) {
  for (const char* text : {"", "null", "[]", "{}", "{\"format\":2}", "{\"format\":1}", "{\"format\":\"1\"}"}) {
    EXPECT_EQ(ReasonOf(ParseManifest(text).status()), v1::REASON_BACKUP_DAMAGED) << text;
  }
  std::string json = ToJson(Example());
  EXPECT_EQ(ReasonOf(ParseManifest(json.substr(0, json.size() / 2)).status()), v1::REASON_BACKUP_DAMAGED);
  json.replace(json.find("5000000000"), 10, "-500000000");
  EXPECT_EQ(ReasonOf(ParseManifest(json).status()), v1::REASON_BACKUP_DAMAGED);
}

class VerifyTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(MakeFolder(Data()).ok());
    ASSERT_TRUE(WriteFile(Data() / "toc.dat", "contents").ok());
    ASSERT_TRUE(WriteFile(Data() / "1.dat.gz", std::string(3 << 20, 'x')).ok());
    Manifest manifest = Example();
    auto files = DigestFiles(Data(), GoOn);
    ASSERT_TRUE(files.ok()) << files.status();
    manifest.files = *files;
    json_ = ToJson(manifest);
    ASSERT_TRUE(WriteFile(BackupPlace::ManifestIn(place_.folder), json_).ok());
    ASSERT_EQ(Verify(), absl::OkStatus());
  }
  absl::Status Verify() { return VerifyBackup(place_, "acme.3", "core", DigestOf(json_), GoOn).status(); }
  std::filesystem::path Data() const { return BackupPlace::DataIn(place_.folder); }

  localserver::TemporaryDirectory root_;
  const BackupPlace place_{root_.path(), "acme.3", "core"};
  std::string json_;
};

TEST_F(VerifyTest, AChangedByteIsFound) {
  std::fstream file(Data() / "1.dat.gz", std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(2 << 20);
  file.put('y');
  file.close();
  const absl::Status status = Verify();
  EXPECT_EQ(ReasonOf(status), v1::REASON_BACKUP_DAMAGED);
  EXPECT_THAT(std::string(status.message()), HasSubstr("1.dat.gz of the backup was changed"));
}

TEST_F(VerifyTest, MissingAndForeignFilesAreFound) {
  ASSERT_TRUE(WriteFile(Data() / "2.dat.gz", "more").ok());
  EXPECT_THAT(std::string(Verify().message()), HasSubstr("2.dat.gz is not of the backup"));
  std::filesystem::remove(Data() / "2.dat.gz");
  ASSERT_EQ(Verify(), absl::OkStatus());
  std::filesystem::remove(Data() / "toc.dat");
  EXPECT_THAT(std::string(Verify().message()), HasSubstr("toc.dat of the backup is missing"));
  ASSERT_TRUE(WriteFile(Data() / "toc.dat", "contents").ok());
  std::filesystem::create_symlink("/etc/passwd", Data() / "zzz");
  EXPECT_THAT(std::string(Verify().message()), HasSubstr("zzz of the backup is no plain file"));
}

TEST_F(VerifyTest, AManifestThatWasRewrittenIsFound) {
  Manifest manifest = *ParseManifest(json_);
  manifest.contents.tables[0].rows = 1;
  ASSERT_TRUE(WriteFile(BackupPlace::ManifestIn(place_.folder), ToJson(manifest)).ok());
  EXPECT_THAT(std::string(Verify().message()), HasSubstr("is not the one that was written"));
  std::filesystem::remove(BackupPlace::ManifestIn(place_.folder));
  EXPECT_EQ(ReasonOf(Verify()), v1::REASON_BACKUP_DAMAGED);
}

TEST_F(VerifyTest, WhatIsNotThereAtAllIsToldFromWhatIsDamaged) {
  std::filesystem::remove_all(place_.folder);
  EXPECT_EQ(ReasonOf(Verify()), v1::REASON_BACKUP_DAMAGED);
  EXPECT_THAT(std::string(Verify().message()), HasSubstr("folder acme.3/core of the backup is missing"));
  std::filesystem::remove_all(root_.path());
  EXPECT_EQ(ReasonOf(Verify()), v1::REASON_BACKUP_FAILED);
  EXPECT_THAT(std::string(Verify().message()), HasSubstr("is it mounted?"));
}

TEST_F(VerifyTest, ABackupUnderAnothersNameIsRefused) {
  EXPECT_EQ(ReasonOf(VerifyBackup(place_, "acme.4", "core", "", GoOn).status()), v1::REASON_BACKUP_DAMAGED);
  EXPECT_EQ(ReasonOf(VerifyBackup(place_, "acme.3", "identity", "", GoOn).status()), v1::REASON_BACKUP_DAMAGED);
}

TEST_F(VerifyTest, ItEndsWhenItIsNotWantedAnyMore) {
  const auto stop = [] { return Error(v1::REASON_SUPERSEDED, "overtaken"); };
  EXPECT_EQ(ReasonOf(VerifyBackup(place_, "acme.3", "core", "", stop).status()), v1::REASON_SUPERSEDED);
}

}  // namespace
}  // namespace leasehold::provisioner
