#include "services/provisioner/migrations/library.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "common/localserver/localserver.h"
#include "common/status/error.h"

namespace leasehold::provisioner {
namespace {

TEST(MigrationLibrary, ReadsAnewForAllWhoShareIt) {
  const localserver::TemporaryDirectory directory;
  std::filesystem::create_directories(directory.path() + "/tenant");
  const SharedMigrations tenant;
  const SharedMigrations other = tenant;
  MigrationLibrary library(directory.path(), tenant, {});
  const std::shared_ptr<const Migrations> before = other.Get();
  std::ofstream(directory.path() + "/tenant/0001_a.sql") << "SELECT 1;";
  ASSERT_EQ(library.Reload(), absl::OkStatus());
  EXPECT_EQ(NewestVersion(*other.Get()), 1);
  EXPECT_TRUE(before->empty()) << "who still works with the old list keeps it";
  EXPECT_TRUE(library.central()->empty());
}

TEST(MigrationLibrary, AFolderThatCannotBeReadChangesNothing) {
  const localserver::TemporaryDirectory directory;
  std::filesystem::create_directories(directory.path() + "/tenant");
  std::filesystem::create_directories(directory.path() + "/central");
  MigrationLibrary library(directory.path(), {}, {});
  std::ofstream(directory.path() + "/tenant/0001_a.sql") << "SELECT 1;";
  ASSERT_EQ(library.Reload(), absl::OkStatus());
  std::ofstream(directory.path() + "/tenant/0002_b.sql") << "SELECT 2;";
  std::ofstream(directory.path() + "/central/0001_c.sql") << "SELECT 'never closed";
  EXPECT_EQ(ReasonOf(library.Reload()), v1::REASON_MIGRATION_FAILED);
  EXPECT_EQ(NewestVersion(*library.tenant()), 1) << "not even the half that could be read";
}

TEST(MigrationLibrary, WithoutAFolderItIsWhatItWasGiven) {
  MigrationLibrary library("", Migrations{{.version = 3, .name = "0003_c.sql"}}, {});
  ASSERT_EQ(library.Reload(), absl::OkStatus());
  EXPECT_EQ(NewestVersion(*library.tenant()), 3);
}

}  // namespace
}  // namespace leasehold::provisioner
