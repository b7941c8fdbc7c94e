#include "services/provisioner/migrations/folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <format>
#include <fstream>

#include "common/localserver/localserver.h"
#include "common/status/error.h"

namespace leasehold::provisioner {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class FolderTest : public ::testing::Test {
 protected:
  void Write(const std::string& name, std::string_view text) { std::ofstream(directory_.path() + "/" + name) << text; }
  absl::StatusOr<Migrations> Read() const { return ReadMigrations(directory_.path()); }

  localserver::TemporaryDirectory directory_;
};

TEST_F(FolderTest, ReadsInTheOrderOfVersions) {
  Write("0010_more.sql", "SELECT 2;");
  Write("0002_init.sql", "SELECT 1;");
  Write(".gitkeep", "");
  const auto migrations = Read();
  ASSERT_TRUE(migrations.ok()) << migrations.status();
  EXPECT_THAT(*migrations, ElementsAre(Field(&Migration::version, 2), Field(&Migration::version, 10)));
  EXPECT_EQ(NewestVersion(*migrations), 10);
  EXPECT_EQ((*migrations)[0].checksum, "17db4fd369edb9244b9f91d9aeed145c3d04ad8ba6e95d06247f07a63527d11a");
}

TEST_F(FolderTest, AnAbsentFolderHoldsNothing) {
  const auto migrations = ReadMigrations(directory_.path() + "/absent");
  ASSERT_TRUE(migrations.ok());
  EXPECT_THAT(*migrations, IsEmpty());
  EXPECT_EQ(NewestVersion(*migrations), 0);
}

TEST_F(FolderTest, RefusesOtherNamesAndSaysWhatIsAllowed) {
  for (const std::string name : {"1_init.sql", "0001-init.sql", "0001_init.SQL", "0001_Init.sql", "0000_init.sql",
                                 "0001_.sql", "readme.txt", "00a1_init.sql"}) {
    Write(name, "");
    const auto migrations = Read();
    EXPECT_EQ(ReasonOf(migrations.status()), v1::REASON_INVALID_FIELD) << name;
    EXPECT_THAT(std::string(migrations.status().message()), AllOf(HasSubstr(name), HasSubstr("NNNN_name.sql"))) << name;
    std::filesystem::remove(directory_.path() + "/" + name);
  }
}

TEST_F(FolderTest, AFileMayBeLargeAndNotTooLarge) {
  std::string large;
  while (large.size() < 20 << 20) large += std::format("INSERT INTO t VALUES ('{}');\n", std::string(60, 'x'));
  Write("0001_large.sql", large);
  const auto read = Read();
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ((*read)[0].statements.size(), static_cast<size_t>(std::ranges::count(large, '\n')));
  std::filesystem::resize_file(directory_.path() + "/0001_large.sql", 200 << 20);
  const absl::Status refused = Read().status();
  EXPECT_EQ(ReasonOf(refused), v1::REASON_INVALID_FIELD);
  EXPECT_THAT(std::string(refused.message()), AllOf(HasSubstr("0001_large.sql"), HasSubstr("files of at most 32 MiB")));
}

TEST_F(FolderTest, RefusesTwoFilesOfOneVersion) {
  Write("0001_a.sql", "");
  Write("0001_b.sql", "");
  const auto migrations = Read();
  EXPECT_THAT(std::string(migrations.status().message()), AllOf(HasSubstr("0001_b.sql"), HasSubstr("0001_a.sql")));
}

TEST_F(FolderTest, ABadStatementNamesFileAndLine) {
  Write("0001_init.sql", "SELECT 1;\nCOMMIT;");
  const auto migrations = Read();
  EXPECT_EQ(ReasonOf(migrations.status()), v1::REASON_MIGRATION_FAILED);
  EXPECT_THAT(std::string(migrations.status().message()), HasSubstr("0001_init.sql line 2: COMMIT"));
}

TEST_F(FolderTest, ReadsWhatTakesAFileBack) {
  Write("0001_a.sql", "CREATE TABLE a (i int);");
  Write("0001_a.down.sql", "DROP TABLE a;");
  Write("0002_b.sql", "SELECT 1;");
  const auto migrations = Read();
  ASSERT_TRUE(migrations.ok()) << migrations.status();
  ASSERT_EQ(migrations->size(), 2u);
  ASSERT_TRUE((*migrations)[0].down.has_value());
  EXPECT_EQ((*migrations)[0].down->name, "0001_a.down.sql");
  EXPECT_EQ((*migrations)[0].down->statements.size(), 1u);
  EXPECT_FALSE((*migrations)[1].down.has_value());

  Write("0003_c.down.sql", "SELECT 1;");
  EXPECT_THAT(std::string(Read().status().message()), AllOf(HasSubstr("0003_c.down.sql"), HasSubstr("0003_c.sql")));
}

TEST_F(FolderTest, ADirectiveTurnsTheTransactionOff) {
  Write("0001_a.sql", "\n-- why\n--  leasehold:  no-transaction \nCREATE INDEX CONCURRENTLY i ON a (b);");
  const auto migrations = Read();
  ASSERT_TRUE(migrations.ok()) << migrations.status();
  EXPECT_FALSE(migrations->front().transactional);

  Write("0001_a.sql", "SELECT 1;\n-- leasehold: no-transaction\n");
  EXPECT_TRUE(Read()->front().transactional) << "only before the first statement";
}

TEST_F(FolderTest, RefusesWhatCouldNotWork) {
  const auto message = [this](std::string_view text, const std::string& name = "0001_a.sql") {
    Write(name, text);
    return std::string(Read().status().message());
  };
  EXPECT_THAT(message("CREATE INDEX CONCURRENTLY i ON a (b);"), HasSubstr("line 1: CONCURRENTLY cannot run"));
  EXPECT_THAT(message("-- leasehold: no-transaction\nCREATE INDEX CONCURRENTLY ON a (b);"),
              HasSubstr("line 2: an index made CONCURRENTLY needs a name"));
  EXPECT_THAT(message("-- leasehold: no-transactoin\nSELECT 1;"), HasSubstr("line 1: the directive is not known"));
  EXPECT_EQ(message("SELECT 1;"), "");
  EXPECT_THAT(message("-- leasehold: no-transaction\nSELECT 1;", "0001_a.down.sql"), HasSubstr("one transaction"));
}

TEST_F(FolderTest, PassesOverAByteOrderMark) {
  Write("0001_a.sql", "\xEF\xBB\xBF-- leasehold: no-transaction\r\nCREATE INDEX CONCURRENTLY i ON a (b);\r\n");
  const auto migrations = Read();
  ASSERT_TRUE(migrations.ok()) << migrations.status();
  EXPECT_FALSE(migrations->front().transactional) << "the first line is read as one";
  ASSERT_EQ(migrations->front().statements.size(), 1u);
  EXPECT_EQ(migrations->front().statements[0].text, "CREATE INDEX CONCURRENTLY i ON a (b)");
  EXPECT_EQ(migrations->front().statements[0].line, 2);
  const std::string with = migrations->front().checksum;
  Write("0001_a.sql", "-- leasehold: no-transaction\r\nCREATE INDEX CONCURRENTLY i ON a (b);\r\n");
  EXPECT_NE(Read()->front().checksum, with) << "a checksum is that of the bytes";
}

TEST_F(FolderTest, RefusesStatementsThatAreNotUtf8) {
  Write("0001_a.sql", "SELECT 1;\n\nSELECT 'M\xE4rz';");
  EXPECT_THAT(std::string(Read().status().message()), HasSubstr("0001_a.sql line 3: the statement is not UTF-8"));
  Write("0001_a.sql", "SELECT 1;\n-- M\xE4rz\nSELECT 2;");
  EXPECT_TRUE(Read().ok()) << "such a file may have been applied";
}

TEST_F(FolderTest, RefusesVacuumInATransaction) {
  Write("0001_a.sql", "SELECT 1;\nVACUUM ANALYZE a;");
  EXPECT_THAT(std::string(Read().status().message()),
              AllOf(HasSubstr("line 2: VACUUM cannot run"), HasSubstr("-- leasehold: no-transaction")));
  Write("0001_a.sql", "-- leasehold: no-transaction\nVACUUM ANALYZE a;");
  EXPECT_TRUE(Read().ok());
}

}  // namespace
}  // namespace leasehold::provisioner
