// Backups, restores and clones on a real instance, with the programs of PostgreSQL.
#include <gmock/gmock.h>

#include <filesystem>
#include <format>
#include <fstream>
#include <iterator>

#include "services/provisioner/reconcile/refill_fixture.h"

namespace leasehold::provisioner {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

namespace fs = std::filesystem;

TEST_F(RefillTest, ABackupIsRestoredInPlaceAndIntoANewTenant) {
  Make("acme", 100);
  Backup("acme.2", "acme");
  EXPECT_GT(reported_["acme.2"].bytes, 0);
  EXPECT_EQ(reported_["acme.2"].schema_version, 1);
  EXPECT_EQ(reported_["acme.2"].manifest_sha256.size(), 64u);
  EXPECT_TRUE(fs::exists(fs::path(folder_.path()) / "acme.2" / "identity" / "manifest.json"));
  EXPECT_EQ(std::distance(fs::directory_iterator(fs::path(folder_.path()) / "acme.2"), {}), 1) << "and nothing else";

  postgres::Connection session = As("acme", RoleKind::kOwner);
  ASSERT_EQ(AskOver(session, "WITH d AS (DELETE FROM note RETURNING 1) SELECT count(*) FROM d"), "100");
  const std::string before = Get("acme").database_id;
  gateway_.Set("acme", 3, v1::DESIRED_STATE_PRESENT);
  gateway_.SetOrigin("acme", "", "acme.2");
  PassAndWork();
  ASSERT_EQ(Get("acme").state, v1::SERVICE_STATE_READY) << Get("acme").message;
  EXPECT_EQ(Notes("acme"), "100");
  EXPECT_NE(Get("acme").database_id, before);
  EXPECT_THAT(AskOver(session, "SELECT 1"), HasSubstr("error")) << "its sessions ended with the old database";
  ExpectOrdinary("acme");
  EXPECT_THAT(Leftovers(), IsEmpty());

  // A newer schema than the backup's.
  Restart({{"0001_note.sql", kInit}, {"0002_more.sql", "ALTER TABLE note ADD COLUMN more text DEFAULT 'x';"}});
  gateway_.SetNew("copy", 1);
  gateway_.SetOrigin("copy", "", "acme.2");
  PassAndWork();
  ASSERT_EQ(Get("copy").state, v1::SERVICE_STATE_READY) << Get("copy").message;
  EXPECT_EQ(Get("copy").schema_version, 2);
  EXPECT_EQ(test_->Ask(Database("copy"), "SELECT count(*) FROM note WHERE more = 'x'"), "100");
  ExpectOrdinary("copy");
  gateway_.SetOrigin("acme", "", "");
  PassAndWork();
  EXPECT_EQ(Notes("acme"), "100") << "an origin that was followed is not followed again";
}

TEST_F(RefillTest, ACloneIsOfOneMomentAndItsOwn) {
  Make("acme", 50);
  gateway_.SetNew("copy", 1);
  gateway_.SetOrigin("copy", "acme", "");
  PassAndWork();
  ASSERT_EQ(Get("copy").state, v1::SERVICE_STATE_READY) << Get("copy").message;
  EXPECT_EQ(Notes("copy"), "50");
  ExpectOrdinary("copy");
  EXPECT_EQ(test_->Ask(Database("copy"), "DELETE FROM note RETURNING 1"), "1");
  EXPECT_EQ(Notes("acme"), "50");
  EXPECT_EQ(test_->Ask("postgres", std::format("SELECT has_database_privilege('{}', '{}', 'CONNECT')", Database("acme"),
                                               Database("copy"))),
            "f");
}

TEST_F(RefillTest, HowFarACopyIsIsSaidInBytes) {
  Make("acme", 100'000);
  Backup("acme.2", "acme");
  const auto expect_said = [this](const std::string& id, int64_t generation) {
    const std::vector<v1::CopyStatus>& said = copies_[id];
    ASSERT_GE(said.size(), 2u) << "as it begins and as it ends; the clock stands still between";
    const v1::CopyStatus& first = said.front();
    const v1::CopyStatus& last = said.back();
    constexpr int64_t kLeast = 100'000 * 28;  // a row's header, its number and an item identifier
    EXPECT_EQ(first.service(), "identity");
    EXPECT_EQ(first.generation(), generation);
    EXPECT_LT(first.bytes(), last.bytes());
    EXPECT_GT(first.total_bytes(), kLeast) << "of what the original takes";
    EXPECT_GT(last.bytes(), kLeast);
    EXPECT_EQ(last.total_bytes(), last.bytes()) << "complete";
    EXPECT_LT(last.bytes(), 2 * first.total_bytes()) << "what an empty database takes does not count";
  };
  gateway_.SetNew("copy", 1);
  gateway_.SetOrigin("copy", "acme", "");
  PassAndWork();
  ASSERT_EQ(Get("copy").state, v1::SERVICE_STATE_READY) << Get("copy").message;
  expect_said("copy", 1);

  gateway_.Set("acme", 3, v1::DESIRED_STATE_PRESENT);
  gateway_.SetOrigin("acme", "", "acme.2");
  PassAndWork();
  ASSERT_EQ(Get("acme").state, v1::SERVICE_STATE_READY) << Get("acme").message;
  expect_said("acme", 3);
}

TEST_F(RefillTest, ADamagedBackupChangesNothing) {
  Make("acme", 10);
  Backup("acme.2", "acme");
  const fs::path data = fs::path(folder_.path()) / "acme.2" / "identity" / "data";
  std::ofstream(data / "toc.dat", std::ios::app) << "x";
  const std::string before = Get("acme").database_id;
  gateway_.Set("acme", 3, v1::DESIRED_STATE_PRESENT);
  gateway_.SetOrigin("acme", "", "acme.2");
  PassAndWork();
  EXPECT_EQ(Get("acme").state, v1::SERVICE_STATE_FAILED);
  EXPECT_THAT(Get("acme").message, HasSubstr("file toc.dat of the backup was changed"));
  EXPECT_TRUE(Get("acme").next_attempt_time.has_value());
  EXPECT_EQ(Notes("acme"), "10");
  EXPECT_EQ(Get("acme").database_id, before);

  // Cancelled: back with what it has, and nothing is left of the attempt.
  gateway_.Set("acme", 4, v1::DESIRED_STATE_PRESENT);
  gateway_.SetOrigin("acme", "", "");
  PassAndWork();
  EXPECT_EQ(Get("acme").state, v1::SERVICE_STATE_READY);
  EXPECT_EQ(Get("acme").database_id, before);
  EXPECT_EQ(Get("acme").fill_database_id, "");
  EXPECT_THAT(Leftovers(), IsEmpty());
}

TEST_F(RefillTest, ACloneWithoutASourceFailsAndGoesWithItsTenant) {
  gateway_.SetNew("copy", 1);
  gateway_.SetOrigin("copy", "nobody", "");
  PassAndWork();
  EXPECT_EQ(Get("copy").state, v1::SERVICE_STATE_FAILED);
  EXPECT_THAT(Get("copy").message, HasSubstr("tenant nobody has no database to copy"));
  EXPECT_THAT(Leftovers(), ::testing::SizeIs(1));
  gateway_.Set("copy", 2, v1::DESIRED_STATE_ABSENT);
  gateway_.SetOrigin("copy", "", "");
  PassAndWork();
  EXPECT_EQ(Get("copy").state, v1::SERVICE_STATE_REMOVED);
  EXPECT_THAT(Leftovers(), IsEmpty());
  EXPECT_EQ(test_->Ask("postgres", "SELECT count(*) FROM pg_roles WHERE starts_with(rolname, 'tenant_copy')"), "0");
}

TEST_F(RefillTest, ASuspendedCloneIsMadeAndClosed) {
  Make("acme", 5);
  gateway_.Set("acme", 2, v1::DESIRED_STATE_CLOSED);
  gateway_.SetNew("copy", 1, v1::DESIRED_STATE_CLOSED);
  gateway_.SetOrigin("copy", "acme", "");
  PassAndWork();
  EXPECT_EQ(Get("copy").state, v1::SERVICE_STATE_CLOSED) << Get("copy").message;
  EXPECT_EQ(Notes("copy"), "5") << "of a suspended tenant too";
  EXPECT_EQ(test_->Ask("postgres", "SELECT rolcanlogin FROM pg_roles WHERE rolname = 'tenant_copy_identity'"), "f");
  Backup("copy.2", "copy");
}

TEST_F(RefillTest, AnEventAloneReplacesNoDatabase) {
  Make("acme", 5);
  Backup("acme.2", "acme");
  ASSERT_EQ(reconciler_->Want(Id("acme"), {.generation = 9,
                                           .state = v1::DESIRED_STATE_PRESENT,
                                           .origin = {.tenant = "", .backup = "acme.2", .generation = 9}}),
            absl::OkStatus());
  const std::string before = Get("acme").database_id;
  while (reconciler_->WorkOne()) {
  }
  EXPECT_EQ(Get("acme").database_id, before);
  PassAndWork();  // the registry knows of no restore
  EXPECT_EQ(Get("acme").database_id, before);
  EXPECT_EQ(Get("acme").state, v1::SERVICE_STATE_READY);
}

TEST_F(RefillTest, AForeignDatabaseOfTheNameIsNotReplaced) {
  Make("acme", 5);
  ASSERT_EQ(test_->Ask("postgres", "CREATE DATABASE tenant_copy_identity"), "");
  gateway_.SetNew("copy", 1);
  gateway_.SetOrigin("copy", "acme", "");
  PassAndWork();
  EXPECT_EQ(Get("copy").state, v1::SERVICE_STATE_FAILED);
  EXPECT_THAT(Get("copy").message, HasSubstr("that Leasehold did not make"));
}

TEST_F(RefillTest, ABackupThatFailsIsTriedAgainAndACancelledOneIsRemoved) {
  Make("acme", 5);
  const std::string file = folder_.path() + "/file";
  std::ofstream(file) << "in the way";
  NewKeeper(file);
  backups_.Add("acme.2", "acme");
  ASSERT_EQ(keeper_->Sync(), absl::OkStatus());
  ASSERT_TRUE(*keeper_->WorkOne());
  ASSERT_EQ(keeper_->Sync(), absl::OkStatus());
  EXPECT_EQ(reported_["acme.2"].state, v1::BACKUP_STATE_FAILED);
  EXPECT_THAT(reported_["acme.2"].message, HasSubstr("Not a directory"));
  EXPECT_FALSE(*keeper_->WorkOne()) << "not before its time";

  clock_.Advance(absl::Seconds(10));
  NewKeeper(folder_.path());  // as after a restart: what was begun is known
  ASSERT_TRUE(*keeper_->WorkOne());
  ASSERT_EQ(keeper_->Sync(), absl::OkStatus());
  EXPECT_EQ(reported_["acme.2"].state, v1::BACKUP_STATE_COMPLETE) << reported_["acme.2"].message;
  EXPECT_EQ(reported_["acme.2"].attempts, 2);
  const int64_t version = reported_["acme.2"].status_version;
  ASSERT_EQ(keeper_->Sync(), absl::OkStatus());
  ASSERT_EQ(keeper_->Sync(), absl::OkStatus());
  EXPECT_GT(reported_["acme.2"].status_version, version) << "the gateway still asks, so it is told again";

  backups_.work.clear();
  backups_.Add("acme.2", "acme", /*cancelled=*/true);
  ASSERT_EQ(keeper_->Sync(), absl::OkStatus());
  ASSERT_TRUE(*keeper_->WorkOne());
  ASSERT_EQ(keeper_->Sync(), absl::OkStatus());
  EXPECT_EQ(reported_["acme.2"].state, v1::BACKUP_STATE_REMOVED);
  EXPECT_FALSE(fs::exists(fs::path(folder_.path()) / "acme.2"));
  backups_.work.clear();
  ASSERT_EQ(keeper_->Sync(), absl::OkStatus());
  EXPECT_EQ(test_->Ask("identity_central", "SELECT count(*) FROM leasehold.backups"), "0");
}

TEST_F(RefillTest, AFolderThatIsNotMountedIsNoRemovedBackup) {
  Make("acme", 1);
  const fs::path volume = fs::path(folder_.path()) / "volume", away = fs::path(folder_.path()) / "away";
  NewKeeper(volume);
  Backup("acme.2", "acme");
  fs::rename(volume, away);
  backups_.Add("acme.2", "acme", /*cancelled=*/true);
  ASSERT_EQ(keeper_->Sync(), absl::OkStatus());
  ASSERT_TRUE(*keeper_->WorkOne());
  ASSERT_EQ(keeper_->Sync(), absl::OkStatus());
  EXPECT_EQ(reported_["acme.2"].state, v1::BACKUP_STATE_FAILED);
  EXPECT_THAT(reported_["acme.2"].message, HasSubstr("is it mounted?"));

  fs::rename(away, volume);
  clock_.Advance(absl::Seconds(10));
  ASSERT_TRUE(*keeper_->WorkOne());
  ASSERT_EQ(keeper_->Sync(), absl::OkStatus());
  EXPECT_EQ(reported_["acme.2"].state, v1::BACKUP_STATE_REMOVED);
  EXPECT_FALSE(fs::exists(volume / "acme.2"));
}

TEST_F(RefillTest, WhatATenantsRoleMayNotReadIsNamed) {
  Make("acme", 1);
  ASSERT_EQ(test_->Ask(Database("acme"), "CREATE TABLE public.theirs (n int)"), "");
  backups_.Add("acme.2", "acme");
  ASSERT_EQ(keeper_->Sync(), absl::OkStatus());
  ASSERT_TRUE(*keeper_->WorkOne());
  ASSERT_EQ(keeper_->Sync(), absl::OkStatus());
  EXPECT_EQ(reported_["acme.2"].state, v1::BACKUP_STATE_FAILED);
  EXPECT_THAT(reported_["acme.2"].message,
              HasSubstr("table public.theirs cannot be copied: the tenant's role neither owns it nor may read it"));
}

// A tenant's role restores, and may not make what only a superuser may.
TEST_F(RefillTest, AnExtensionThatTenantsMayNotMakeSaysWhatHelps) {
  Make("acme", 1);
  ASSERT_EQ(test_->Ask(Database("acme"), "CREATE EXTENSION pageinspect"), "");
  gateway_.SetNew("copy", 1);
  gateway_.SetOrigin("copy", "acme", "");
  PassAndWork();
  EXPECT_EQ(Get("copy").state, v1::SERVICE_STATE_FAILED);
  EXPECT_THAT(Get("copy").message, AllOf(HasSubstr("permission denied to create extension \"pageinspect\""),
                                         HasSubstr("`trusted = true` in its control file")));
}

TEST_F(RefillTest, ABackupOfNobodySaysSo) {
  backups_.Add("nobody.2", "nobody");
  backups_.Add("../../etc.2", "../../etc");
  ASSERT_EQ(keeper_->Sync(), absl::OkStatus());
  ASSERT_TRUE(*keeper_->WorkOne());
  EXPECT_FALSE(*keeper_->WorkOne()) << "an id that is a path is not even recorded";
  ASSERT_EQ(keeper_->Sync(), absl::OkStatus());
  EXPECT_THAT(reported_["nobody.2"].message, HasSubstr("tenant nobody has no database here"));
  EXPECT_THAT(reported_, ::testing::SizeIs(1));
}

}  // namespace
}  // namespace leasehold::provisioner
