// A server, a keeper and claims upon it: what the tests of this room have in common. Tests only.
#pragma once

#include <gtest/gtest.h>

#include <format>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "common/status/error.h"
#include "services/provisioner/spares/claim.h"
#include "services/provisioner/spares/keeper.h"
#include "services/provisioner/state/central.h"
#include "services/provisioner/testing/instance_suite.h"

namespace leasehold::provisioner {

inline TenantId Id(std::string_view text) { return *TenantId::Parse(text); }

inline absl::Status GoOn() { return absl::OkStatus(); }

using Files = std::initializer_list<std::pair<std::string_view, std::string_view>>;

inline constexpr std::pair<std::string_view, std::string_view> kFirst = {
    "0001_person.sql",
    "CREATE TABLE person (id int GENERATED ALWAYS AS IDENTITY, name text); INSERT INTO person (name) VALUES ('Ada');"};
inline constexpr std::pair<std::string_view, std::string_view> kSecond = {"0002_note.sql",
                                                                          "CREATE TABLE note (text text);"};

class SparesTest : public InstanceSuite {
 protected:
  static void SetUpTestSuite() {
    ASSERT_NO_FATAL_FAILURE(StartInstance());
    ASSERT_EQ(PrepareCentral(test_->instance(), {}, GoOn), absl::OkStatus());
  }

  void SetUp() override {
    Start({kFirst}, 2);
    ASSERT_EQ(CentralSays("SELECT count(*) FROM leasehold.spares"), "0");
  }
  void TearDown() override {
    Start({kFirst}, 0);  // drops what the test has left
    EXPECT_GE(WorkAll(), 0);
    EXPECT_EQ(Staged(), "0 0");
  }

  // As if the daemon had been killed and started.
  void Start(Files files, int spares) {
    auto migrations = MigrationsOf(files);
    ASSERT_TRUE(migrations.ok()) << migrations.status();
    migrations_ = *migrations;
    files_.Set(migrations_);
    keeper_.reset();
    AwaitNoKeeper();
    keeper_ = std::make_unique<SpareKeeper>(
        SpareKeeper::Options{.min_spares = spares, .max_spares = spares, .tenant_migrations = files_}, KeeperParts());
    claims_ = std::make_unique<Claims>([this] { return StandardOf(*files_.Get(), test_->instance().KeyFingerprint()); },
                                       Claims::Parts{.instance = test_->instance(),
                                                     .records = records_,
                                                     .clock = clock_,
                                                     .metrics = metrics_,
                                                     .on_claim = [this](bool found) {
                                                       (found ? found_ : missed_)++;
                                                       keeper_->Claimed(found);
                                                     }});
  }
  // A server process outlives its client by a moment.
  static void AwaitNoKeeper() {
    const std::string sql = std::format("SELECT count(*) FROM pg_locks WHERE objid = {} AND granted", kKeeperLock);
    for (int i = 0; i < 1000 && CentralSays(sql) != "0"; ++i) std::this_thread::yield();
    ASSERT_EQ(CentralSays(sql), "0");
  }
  SpareKeeper::Parts KeeperParts() {
    return {.instance = test_->instance(), .clock = clock_, .metrics = metrics_, .await_quiet = [](absl::Duration) {
              return true;
            }};
  }
  int WorkAll() {
    for (int chores = 0; chores < 100; ++chores) {
      const auto worked = keeper_->WorkOne();
      EXPECT_TRUE(worked.ok()) << worked.status();
      if (!worked.ok() || !*worked) return chores;
    }
    return -1;
  }

  Claims::Wanted Want(const std::string& id, v1::DesiredState state = v1::DESIRED_STATE_PRESENT) {
    auto wanted = claims_->Want(Id(id), {.generation = 1, .state = state});
    EXPECT_TRUE(wanted.ok()) << wanted.status();
    return wanted.ok() ? *wanted : Claims::Wanted();
  }
  // A keeper that was killed after these steps; Start() is the next.
  void BeginAndStop(const std::string& id, std::initializer_list<std::span<const TenantDatabase::Step>> steps) {
    keeper_.reset();
    AwaitNoKeeper();
    postgres::Connection central = test_->Login();
    const auto locked = TakeKeeperLock(central);
    ASSERT_TRUE(locked.ok() && *locked) << locked.status();
    ASSERT_EQ(BeginSpare(central, id, clock_.Now()), absl::OkStatus());
    for (const auto& some : steps) {
      TenantDatabase database(test_->instance(), migrations_, central, {.tenant = std::nullopt, .database_id = id});
      ASSERT_EQ(database.Run(some, GoOn), absl::OkStatus());
    }
  }
  // The long way, as the reconciler goes it.
  absl::Status MakeSlowly(const std::string& id, const std::string& database_id) {
    postgres::Connection central = test_->Login();
    TenantDatabase database(test_->instance(), migrations_, central, {.tenant = Id(id), .database_id = database_id});
    return database.Run(TenantDatabase::Present(), GoOn);
  }
  static std::string Says(std::string_view sql) { return test_->Ask("postgres", sql); }
  static std::string CentralSays(std::string_view sql) { return test_->Ask("identity_central", sql); }
  // Begun, and neither to be finished nor to be dropped.
  static void MakeStuck(const std::string& spare) {
    ASSERT_EQ(Says(std::format("ALTER DATABASE leasehold_new_{} OWNER TO postgres", spare)), "");
    ASSERT_EQ(
        CentralSays(std::format("UPDATE leasehold.spares SET state = 'building' WHERE database_id = '{}'", spare)), "");
  }
  static std::string Stock() {
    return CentralSays(
        "SELECT coalesce(string_agg(state || ' ' || coalesce(schema_version, 0), ', ' ORDER BY state, schema_version "
        "DESC), '') FROM "
        "leasehold.spares");
  }
  // Databases and roles under staging names.
  static std::string Staged() {
    return Says(
        "SELECT (SELECT count(*) FROM pg_database WHERE starts_with(datname, 'leasehold_new_')) || ' ' || "
        "(SELECT count(*) FROM pg_roles WHERE starts_with(rolname, 'leasehold_new_'))");
  }
  static std::string AnySpare() {
    return CentralSays("SELECT database_id FROM leasehold.spares ORDER BY create_time, database_id LIMIT 1");
  }
  postgres::Connection As(const std::string& id, const std::string& database_id, RoleKind kind) {
    const std::string name = std::format("tenant_{}_identity", id);
    return postgres::Connection(
        test_->instance().AsRole(name, name + (kind == RoleKind::kOwner ? "" : "_ro"), database_id, kind));
  }

  FakeClock clock_;
  Metrics metrics_;
  postgres::ConnectionPool pool_{test_->instance().AsLogin("identity_central"), 4};
  Records records_{pool_, clock_};
  Migrations migrations_;
  SharedMigrations files_;  // what keeper and claims go by: `migrations_`, unless a test says otherwise
  std::unique_ptr<SpareKeeper> keeper_;
  std::unique_ptr<Claims> claims_;
  int found_ = 0;
  int missed_ = 0;
};

}  // namespace leasehold::provisioner
