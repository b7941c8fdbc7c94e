// Refills that are cut short, overtaken or deceived: each is all or nothing.
#include <gmock/gmock.h>

#include <filesystem>
#include <format>
#include <fstream>
#include <sstream>

#include "common/status/error.h"
#include "services/provisioner/archive/contents.h"
#include "services/provisioner/archive/refill.h"
#include "services/provisioner/reconcile/refill_fixture.h"

namespace leasehold::provisioner {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

namespace fs = std::filesystem;

absl::Status Always() { return absl::OkStatus(); }

class RefillFaultTest : public RefillTest {
 protected:
  // `id` with 20 rows in its backup and 15 of its own, wanted as of the backup: recorded, and nothing done yet.
  TenantRecord BeginRestore(const std::string& id) {
    Make(id, 20);
    Backup(id + ".2", id);
    postgres::Connection owner = As(id, RoleKind::kOwner);
    EXPECT_EQ(AskOver(owner, "WITH d AS (DELETE FROM note WHERE id > 15 RETURNING 1) SELECT count(*) FROM d"), "5");
    gateway_.Set(id, 3, v1::DESIRED_STATE_PRESENT);
    gateway_.SetOrigin(id, "", id + ".2");
    EXPECT_EQ(reconciler_->Pass(), absl::OkStatus());
    TenantRecord record = Get(id);
    EXPECT_EQ(record.origin.backup, id + ".2");
    record.fill_database_id = *records_.AssignFillId(record, "00112233445566ff");
    record.fill_generation = record.origin.generation;
    return record;
  }

  // As a worker does it, in this thread.
  absl::Status RunRefill(const TenantRecord& record, const GoOn& go_on) {
    postgres::Connection central(test_->instance().AsLogin("identity_central"));
    Refill refill(test_->instance(), migrations_, central, clock_, folder_.path(), record);
    return refill.Run(go_on, [](const Copied& /*copied*/) {});
  }

  const Migrations migrations_ = *MigrationsOf({{"0001_note.sql", kInit}});
};

TEST_F(RefillFaultTest, ARunCutShortAnywhereChangesNothingAndIsTakenUpAgain) {
  const TenantRecord record = BeginRestore("acme");
  int cuts = 0;
  for (;; ++cuts) {
    int asked = 0;
    const absl::Status status = RunRefill(record, [&asked, cuts] {
      return ++asked > cuts ? Error(v1::REASON_SHUTTING_DOWN, "the provisioner is shutting down") : absl::OkStatus();
    });
    if (status.ok()) break;
    ASSERT_EQ(ReasonOf(status), v1::REASON_SHUTTING_DOWN) << status;
    ASSERT_EQ(Notes("acme"), "15") << "after cut " << cuts;
    ASSERT_EQ(Get("acme").database_id, record.database_id);
    postgres::Connection owner = As("acme", RoleKind::kOwner);
    ASSERT_EQ(AskOver(owner, "SELECT 1"), "1") << "the tenant works on";
  }
  EXPECT_GE(cuts, 8) << "once before each step, and within the long ones";
  EXPECT_EQ(Notes("acme"), "20");
  EXPECT_EQ(Get("acme").database_id, record.fill_database_id);
  PassAndWork();
  EXPECT_EQ(Get("acme").state, v1::SERVICE_STATE_READY) << Get("acme").message;
  EXPECT_THAT(Leftovers(), IsEmpty());
  ExpectOrdinary("acme");
}

TEST_F(RefillFaultTest, ARunThatWasOvertakenChangesNothing) {
  const TenantRecord record = BeginRestore("acme");
  // Meanwhile, and unseen by the worker, the restore is called off.
  gateway_.Set("acme", 4, v1::DESIRED_STATE_PRESENT);
  gateway_.SetOrigin("acme", "", "");
  EXPECT_EQ(reconciler_->Pass(), absl::OkStatus());
  EXPECT_EQ(ReasonOf(RunRefill(record, Always)), v1::REASON_SUPERSEDED);
  EXPECT_EQ(Notes("acme"), "15");
  EXPECT_EQ(Get("acme").database_id, record.database_id);
  PassAndWork();
  EXPECT_EQ(Get("acme").state, v1::SERVICE_STATE_READY) << Get("acme").message;
  EXPECT_EQ(Notes("acme"), "15");
  EXPECT_THAT(Leftovers(), IsEmpty()) << "what it had made";
}

TEST_F(RefillFaultTest, ARemovalOvertakesARunAndNothingIsLeft) {
  const TenantRecord record = BeginRestore("acme");
  gateway_.Set("acme", 4, v1::DESIRED_STATE_ABSENT);
  gateway_.SetOrigin("acme", "", "");
  EXPECT_EQ(reconciler_->Pass(), absl::OkStatus());
  EXPECT_EQ(ReasonOf(RunRefill(record, Always)), v1::REASON_SUPERSEDED);
  PassAndWork();
  EXPECT_EQ(Get("acme").state, v1::SERVICE_STATE_REMOVED) << Get("acme").message;
  EXPECT_THAT(Leftovers(), IsEmpty());
  EXPECT_EQ(test_->Ask("postgres", "SELECT count(*) FROM pg_roles WHERE starts_with(rolname, 'tenant_acme')"), "0");
}

TEST_F(RefillFaultTest, ACopyIsHeldAgainstTheManifestsRows) {
  Make("acme", 20);
  Backup("acme.2", "acme");
  const fs::path file = fs::path(folder_.path()) / "acme.2" / "identity" / "manifest.json";
  std::stringstream text;
  text << std::ifstream(file).rdbuf();
  std::string json = text.str();
  const size_t at = json.find("\"rows\": 20");
  ASSERT_NE(at, std::string::npos) << json;
  json.replace(at, 10, "\"rows\": 21");
  std::ofstream(file) << json;
  const auto restore = [this](const std::string& id) {
    gateway_.SetNew(id, 1);
    gateway_.SetOrigin(id, "", "acme.2");
    PassAndWork();
    EXPECT_EQ(Get(id).state, v1::SERVICE_STATE_FAILED);
    return Get(id).message;
  };
  EXPECT_THAT(restore("copy"), HasSubstr("manifest is not the one that was written"));
  // A provisioner that did not take the backup has nothing but the manifest to go by.
  test_->Ask("identity_central", "DELETE FROM leasehold.backups");
  EXPECT_THAT(restore("other"), HasSubstr("table public.note has 20 rows in the copy and 21 in the original"));
  EXPECT_EQ(test_->Ask("postgres",
                       "SELECT count(*) FROM pg_database WHERE datname IN ('tenant_copy_identity', "
                       "'tenant_other_identity')"),
            "0")
      << "what was not verified is nobody's database";
}

TEST_F(RefillFaultTest, ABackupThatIsInPlaceAndNotRecordedIsCheckedAndKept) {
  Make("acme", 20);
  Backup("acme.2", "acme");
  const std::string sha256 = reported_["acme.2"].manifest_sha256;
  const fs::path folder = fs::path(folder_.path()) / "acme.2";
  const auto forget = [] {
    return test_->Ask("identity_central",
                      "UPDATE leasehold.backups SET state = 'running', bytes = 0, manifest_sha256 = '' RETURNING id");
  };
  postgres::Connection owner = As("acme", RoleKind::kOwner);
  ASSERT_EQ(AskOver(owner, "DELETE FROM note WHERE id = 20 RETURNING id"), "20");
  ASSERT_EQ(forget(), "acme.2");
  fs::create_directories(folder / ".identity.00112233.new" / "data");  // an attempt's that was killed
  fs::create_directories(folder / ".other.00112233.new");              // another service's
  Backup("acme.2", "acme");
  EXPECT_EQ(reported_["acme.2"].manifest_sha256, sha256) << "nothing was copied again";
  EXPECT_GT(reported_["acme.2"].bytes, 0);
  EXPECT_FALSE(fs::exists(folder / ".identity.00112233.new"));
  EXPECT_TRUE(fs::exists(folder / ".other.00112233.new"));

  std::ofstream(folder / "identity" / "data" / "toc.dat", std::ios::app) << "x";
  ASSERT_EQ(forget(), "acme.2");
  Backup("acme.2", "acme");
  EXPECT_NE(reported_["acme.2"].manifest_sha256, sha256) << "what is damaged is not kept";
  gateway_.SetNew("copy", 1);
  gateway_.SetOrigin("copy", "", "acme.2");
  PassAndWork();
  ASSERT_EQ(Get("copy").state, v1::SERVICE_STATE_READY) << Get("copy").message;
  EXPECT_EQ(Notes("copy"), "19");
}

TEST_F(RefillFaultTest, AnAttemptAtABackupThatLostItsTurnRecordsNothing) {
  Make("acme", 5);
  Backup("acme.2", "acme");
  BackupRecords records(pool_, clock_);
  BackupRecord late = **records.Get("acme.2");
  const std::string sha256 = late.manifest_sha256;
  late.attempts = 0;  // as it was when this one began
  late.state = v1::BACKUP_STATE_FAILED;
  late.manifest_sha256 = "other";
  EXPECT_EQ(*records.Finish(late), false);
  ASSERT_EQ(records.SetBytes("acme.2", 1), absl::OkStatus());
  EXPECT_EQ((*records.Get("acme.2"))->state, v1::BACKUP_STATE_COMPLETE);
  EXPECT_EQ((*records.Get("acme.2"))->manifest_sha256, sha256);
  EXPECT_GT((*records.Get("acme.2"))->bytes, 1);
}

TEST_F(RefillFaultTest, WhatHeedsNoSnapshotWaitsForTheCopy) {
  Make("acme", 10);
  postgres::Connection inside(test_->instance().AsLogin(Database("acme")));
  const absl::StatusOr<Contents> contents = CopyWithSnapshot(inside, Always, [this](const Snapshot& /*snapshot*/) {
    postgres::Connection owner = As("acme", RoleKind::kOwner);
    EXPECT_EQ(AskOver(owner, "SET lock_timeout = '50ms'; TRUNCATE note"), "error: 55P03");
    EXPECT_EQ(AskOver(owner, "DELETE FROM note RETURNING 1"), "1");
    return absl::OkStatus();
  });
  ASSERT_TRUE(contents.ok()) << contents.status();
  EXPECT_THAT(contents->tables, ElementsAre(TableRows{"extra", "odd Name", 1}, TableRows{"public", "note", 10}));
}

TEST_F(RefillFaultTest, ACopyThatWaitsForALockCanBeCalledOff) {
  Make("acme", 10);
  postgres::Connection holder = As("acme", RoleKind::kOwner);
  const absl::Status held = holder.InTransaction([](postgres::Transaction& tx) -> absl::Status {
    LH_RETURN_IF_ERROR(tx.Exec("LOCK TABLE note IN ACCESS EXCLUSIVE MODE").status());
    postgres::Connection inside(test_->instance().AsLogin(Database("acme")));
    int asked = 0;
    const auto contents = CopyWithSnapshot(
        inside,
        [&asked] { return ++asked > 2 ? Error(v1::REASON_SUPERSEDED, "the backup was cancelled") : absl::OkStatus(); },
        [](const Snapshot& /*snapshot*/) {
          ADD_FAILURE() << "not before all tables are held";
          return absl::OkStatus();
        });
    EXPECT_EQ(ReasonOf(contents.status()), v1::REASON_SUPERSEDED) << contents.status();
    return absl::OkStatus();
  });
  EXPECT_EQ(held, absl::OkStatus());
}

}  // namespace
}  // namespace leasehold::provisioner
