// A real instance with a reconciler and a keeper of backups on it, for tests of what fills databases. Tests only.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <format>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/status/error.h"
#include "services/provisioner/archive/backup_keeper.h"
#include "services/provisioner/reconcile/instance_fixture.h"

namespace leasehold::provisioner {

inline std::string Database(std::string_view tenant) { return std::format("tenant_{}_identity", tenant); }

class FakeBackups : public BackupSource {
 public:
  absl::StatusOr<std::vector<v1::BackupWork>> ListBackupWork() override { return work; }
  void Add(const std::string& id, const std::string& tenant, bool cancelled = false) {
    v1::BackupWork& next = work.emplace_back();
    next.set_backup(id);
    next.set_tenant(tenant);
    next.set_cancelled(cancelled);
  }
  std::vector<v1::BackupWork> work;
};

inline constexpr std::string_view kInit =
    "CREATE TABLE note (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, text text);\n"
    "CREATE SCHEMA extra;\nCREATE TABLE extra.\"odd Name\" (n int);\n";

class RefillTest : public InstanceTest {
 protected:
  void SetUp() override {
    Restart({{"0001_note.sql", kInit}});
    test_->Ask("identity_central", "TRUNCATE leasehold.tenants, leasehold.backups");
  }
  // What one test has made is not there for the next.
  void TearDown() override {
    reconciler_.reset();
    keeper_.reset();
    postgres::Connection superuser = test_->Superuser();
    const auto drop = [&superuser](std::string_view what, std::string_view names) {
      const auto found = superuser.ExecAlone(names);
      ASSERT_TRUE(found.ok()) << found.status();
      for (const auto& row : *found) {
        const std::string name = postgres::QuoteIdentifier(row[0].as<std::string>());
        ASSERT_TRUE(superuser.ExecAlone(std::format("DROP {} {}", what, name)).ok()) << name;
      }
    };
    drop("DATABASE", "SELECT datname FROM pg_database WHERE datname LIKE 'tenant\\_%' OR datname LIKE 'leasehold\\_%'");
    drop("ROLE", "SELECT rolname FROM pg_roles WHERE rolname LIKE 'tenant\\_%'");
  }

  // As if the daemon had been killed and started: only what PostgreSQL and the disk hold is left.
  void Restart(std::initializer_list<std::pair<std::string_view, std::string_view>> files) {
    auto migrations = MigrationsOf(files);
    ASSERT_TRUE(migrations.ok()) << migrations.status();
    Build(Reconciler::Options{.resync_interval = absl::Hours(1),
                              .min_backoff = absl::Seconds(1),
                              .max_backoff = absl::Seconds(8),
                              .parallelism = 2,
                              .tenant_migrations = *migrations,
                              .central_migrations = {},
                              .backup_folder = folder_.path()},
          [] {});
    NewKeeper(folder_.path());
  }
  void OnCopying(const TenantId& id, const v1::CopyStatus& copy) override { copies_[id.str()].push_back(copy); }

  void NewKeeper(const std::string& folder) {
    keeper_ = std::make_unique<BackupKeeper>(
        BackupKeeper::Options{.folder = folder, .min_backoff = absl::Seconds(1), .max_backoff = absl::Seconds(8)},
        BackupKeeper::Parts{.instance = test_->instance(),
                            .central = pool_,
                            .tenants = records_,
                            .source = backups_,
                            .clock = clock_,
                            .metrics = metrics_,
                            .report = [this](const BackupRecord& record) {
                              reported_[record.id] = record;
                              return absl::OkStatus();
                            }});
  }

  // A tenant with `notes` rows.
  void Make(const std::string& id, int notes) {
    gateway_.SetNew(id, 1);
    PassAndWork();
    ASSERT_EQ(Get(id).state, v1::SERVICE_STATE_READY) << Get(id).message;
    postgres::Connection owner = As(id, RoleKind::kOwner);
    ASSERT_EQ(AskOver(owner, std::format("WITH i AS (INSERT INTO note (text) SELECT 'kept' FROM generate_series(1, {})"
                                         " RETURNING 1) SELECT count(*) FROM i",
                                         notes)),
              std::format("{}", notes));
    ASSERT_EQ(AskOver(owner, "INSERT INTO extra.\"odd Name\" VALUES (7) RETURNING n"), "7");
  }
  postgres::Connection As(std::string_view id, RoleKind kind) {
    return postgres::Connection(test_->instance().AsRole(
        Database(id), Database(id) + (kind == RoleKind::kOwner ? "" : "_ro"), Get(id).database_id, kind));
  }
  std::string Notes(std::string_view id) { return test_->Ask(Database(id), "SELECT count(*) FROM note"); }

  void Backup(const std::string& id, const std::string& tenant) {
    backups_.Add(id, tenant);
    ASSERT_EQ(keeper_->Sync(), absl::OkStatus());
    const auto worked = keeper_->WorkOne();
    ASSERT_TRUE(worked.ok() && *worked) << worked.status();
    ASSERT_EQ(keeper_->Sync(), absl::OkStatus());
    ASSERT_EQ(reported_[id].state, v1::BACKUP_STATE_COMPLETE) << reported_[id].message;
    backups_.work.clear();
  }

  // As an ordinarily made database has it.
  void ExpectOrdinary(const std::string& id) {
    EXPECT_EQ(test_->Ask(Database(id),
                         "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace "
                         "WHERE nspname IN ('public', 'extra') AND pg_get_userbyid(relowner) <> "
                         "current_database()"),
              "0")
        << "the owner owns all";
    postgres::Connection reader = As(id, RoleKind::kReadOnly);
    EXPECT_EQ(AskOver(reader, "SELECT count(*) >= 0 FROM note, extra.\"odd Name\""), "t");
    EXPECT_EQ(AskOver(reader, "SET default_transaction_read_only = off; INSERT INTO note (text) VALUES ('no')"),
              "error: 42501");
    postgres::Connection owner = As(id, RoleKind::kOwner);
    EXPECT_EQ(AskOver(owner, "INSERT INTO note (text) VALUES ('new') RETURNING text"), "new") << "sequences go on";
    EXPECT_EQ(AskOver(owner, "DELETE FROM note WHERE text = 'new' RETURNING text"), "new");
    EXPECT_EQ(AskOver(owner, "DELETE FROM leasehold.migrations"), "error: 42501");
    EXPECT_EQ(test_->Ask("postgres", std::format("SELECT count(*) FROM pg_database d, aclexplode(d.datacl) a "
                                                 "WHERE d.datname = '{}' AND a.grantee = 0",
                                                 Database(id))),
              "0")
        << "nothing for PUBLIC";
  }
  std::vector<std::string> Leftovers() {
    std::vector<std::string> names;
    postgres::Connection superuser = test_->Superuser();
    const auto found = superuser.ExecAlone(
        "SELECT datname FROM pg_database WHERE starts_with(datname, 'leasehold_') "
        "UNION SELECT rolname FROM pg_roles WHERE starts_with(rolname, 'leasehold_new_')");
    for (const auto& row : *found) names.push_back(row[0].as<std::string>());
    return names;
  }

  localserver::TemporaryDirectory folder_;
  FakeBackups backups_;
  std::map<std::string, BackupRecord> reported_;
  std::map<std::string, std::vector<v1::CopyStatus>> copies_;  // what was said of each tenant's
  std::unique_ptr<BackupKeeper> keeper_;
};

}  // namespace leasehold::provisioner
