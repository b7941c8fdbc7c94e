// A tenant's whole life, through the API and the command line, on a stack as users run it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/config/config.h"
#include "tests/stack/stack.h"
#include "tests/stack/tenants.h"

namespace leasehold::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr absl::Duration kPatience = absl::Seconds(90);

// Watches it to its end.
v1::Operation End(Stack& stack, const std::string& id) {
  v1::GetOperationRequest request;
  request.set_id(id);
  const auto context = Deadline(kPatience);
  const auto stream = stack.operations().WatchOperation(context.get(), request);
  v1::Operation operation;
  while (stream->Read(&operation)) {
  }
  EXPECT_TRUE(stream->Finish().ok()) << id;
  return operation;
}

v1::BackupChange Backup(Stack& stack, const std::string& tenant) {
  v1::CreateBackupRequest request;
  request.set_tenant(tenant);
  v1::BackupChange change;
  const grpc::Status status = stack.backups().CreateBackup(Deadline().get(), request, &change);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return change;
}

// One value from a new session on a lease.
std::string Ask(Stack& stack, const std::string& tenant, const std::string& service, const std::string& sql) {
  pqxx::connection connection(stack.Acquire(tenant, service).credentials().dsn());
  const absl::StatusOr<std::string> value = Value(connection, sql);
  return value.ok() ? *value : std::string(value.status().message());
}

bool IsRefused(Stack& stack, const std::string& tenant, const std::string& service = "alpha") {
  v1::AcquireLeaseRequest request;
  request.set_tenant(tenant);
  request.set_service(service);
  v1::AcquireLeaseResponse response;
  return stack.leases().AcquireLease(Deadline().get(), request, &response).error_code() ==
         grpc::StatusCode::FAILED_PRECONDITION;
}

v1::Tenant TenantOf(Stack& stack, const std::string& id) {
  v1::GetTenantRequest request;
  request.set_id(id);
  v1::Tenant tenant;
  EXPECT_TRUE(stack.tenants().GetTenant(Deadline().get(), request, &tenant).ok()) << id;
  return tenant;
}

std::string DatabaseOf(const std::string& id, const std::string& service = "alpha") {
  return absl::StrCat("tenant_", id, "_", service);
}

// Neither databases nor roles, nor anything half-made.
void ExpectNothingOf(Stack& stack, const std::string& id) {
  EXPECT_EQ(stack.DatabasesOf(id), 0);
  for (const char* service : {"alpha", "beta"}) {
    EXPECT_EQ(stack.OnInstance(service, absl::StrCat("SELECT count(*) FROM pg_database WHERE starts_with(datname, "
                                                     "'leasehold_new_') AND starts_with(pg_get_userbyid(datdba), "
                                                     "'tenant_",
                                                     id, "_')")),
              "0");
    EXPECT_EQ(
        stack.OnInstance(service,
                         absl::StrCat("SELECT count(*) FROM pg_roles WHERE starts_with(rolname, 'tenant_", id, "_')")),
        "0");
  }
}

// The owner's own way to its database, past the gateway: with a password that the instance's superuser has set.
class BackDoor {
 public:
  BackDoor(Stack& stack, const std::string& id) : database_(DatabaseOf(id)) {
    stack.OnInstance("alpha", absl::StrCat("ALTER ROLE \"", database_, "\" PASSWORD 'open'"));
    const std::string dsn = stack.InstanceDsn("alpha", database_);
    dsn_ = absl::StrCat("postgresql://", database_, ":open", dsn.substr(dsn.find('@')));
  }
  const std::string& dsn() const { return dsn_; }
  // What PostgreSQL says to a log-in; empty if it lets one in.
  std::string Try() const {
    try {
      pqxx::connection connection(dsn_);
    } catch (const std::exception& refusal) {
      return refusal.what();
    }
    return "";
  }

 private:
  const std::string database_;
  std::string dsn_;
};

std::filesystem::path FolderOf(Stack& stack, const std::string& backup) {
  return std::filesystem::path(stack.state_dir()) / "backups" / backup;
}

TEST(Lifecycle, FromCreateToGoneForGood) {
  Stack& stack = SharedStack();
  const std::string id = FreshTenantId("life"), copy = FreshTenantId("copy");
  ASSERT_EQ(stack.Run({"tenant", "create", id, "--wait"}).exit_code, 0);
  EXPECT_EQ(Ask(stack, id, "alpha", "INSERT INTO notes (body) VALUES ('precious') RETURNING body"), "precious");

  // A backup, a mishap, and back.
  auto output = stack.Run({"backup", "create", id, "--wait"});
  ASSERT_EQ(output.exit_code, 0) << output.err;
  const std::string backup = absl::StrCat(id, ".2");
  EXPECT_THAT(output.out, HasSubstr(absl::StrCat("backup ", backup, " is complete")));
  for (const char* service : {"alpha", "beta"}) {
    EXPECT_TRUE(std::filesystem::exists(FolderOf(stack, backup) / service / "manifest.json")) << service;
  }
  EXPECT_EQ(Ask(stack, id, "alpha", "DELETE FROM notes RETURNING body"), "precious");
  const v1::AcquireLeaseResponse lease = stack.Acquire(id, "alpha");
  pqxx::connection open(lease.credentials().dsn());
  ASSERT_EQ(*Value(open, "SELECT count(*) FROM notes"), "0");

  v1::RestoreBackupRequest restore;
  restore.set_backup(backup);
  restore.set_in_place(true);
  v1::TenantChange change;
  ASSERT_TRUE(stack.backups().RestoreBackup(Deadline().get(), restore, &change).ok());
  const absl::Time restored = absl::Now();
  EXPECT_EQ(change.tenant().state(), v1::TENANT_STATE_PROVISIONING);
  EXPECT_TRUE(Eventually([&] { return !Value(open, "SELECT 1").ok(); }, absl::Seconds(5)));
  EXPECT_LT(absl::Now() - restored, absl::Seconds(1));
  EXPECT_EQ(End(stack, change.operation().id()).state(), v1::OPERATION_STATE_SUCCEEDED);
  EXPECT_EQ(stack.StateOf(id), v1::TENANT_STATE_ACTIVE);
  EXPECT_EQ(Ask(stack, id, "alpha", "SELECT body FROM notes"), "precious");
  EXPECT_EQ(Ask(stack, id, "alpha", "INSERT INTO notes (body) VALUES ('next') RETURNING body"), "next");
  EXPECT_NE(SqlStateOf([&] { pqxx::connection again(lease.credentials().dsn()); }), "")
      << "a lease is on one database, and that one is gone";

  // A copy of its own.
  output = stack.Run({"tenant", "clone", id, copy, "--wait"});
  ASSERT_EQ(output.exit_code, 0) << output.err;
  EXPECT_EQ(Ask(stack, copy, "alpha", "SELECT count(*) FROM notes"), "2");
  EXPECT_EQ(Ask(stack, copy, "alpha", "WITH d AS (DELETE FROM notes RETURNING 1) SELECT count(*) FROM d"), "2");
  EXPECT_EQ(Ask(stack, id, "alpha", "SELECT count(*) FROM notes"), "2");

  // Suspended: nobody gets in, by whatever way.
  const v1::Credentials credentials = stack.Acquire(id, "alpha").credentials();
  pqxx::connection session(credentials.dsn());
  ASSERT_TRUE(Value(session, "SELECT 1").ok());
  ASSERT_EQ(stack.Run({"tenant", "suspend", id}).exit_code, 0);
  const absl::Time suspended = absl::Now();
  EXPECT_TRUE(Eventually([&] { return !Value(session, "SELECT 1").ok(); }, absl::Seconds(5)));
  EXPECT_LT(absl::Now() - suspended, absl::Seconds(1));
  EXPECT_TRUE(IsRefused(stack, id));
  EXPECT_TRUE(Eventually([&] {
    return stack.OnInstance("alpha",
                            absl::StrCat("SELECT bool_or(rolcanlogin) FROM pg_roles WHERE starts_with(rolname, "
                                         "'tenant_",
                                         id, "_alpha')")) == "f";
  })) << "PostgreSQL itself";
  output = stack.Run({"backup", "create", id, "--wait"});
  EXPECT_EQ(output.exit_code, 0) << "of a suspended tenant too: " << output.err;
  ASSERT_EQ(stack.Run({"tenant", "resume", id, "--wait"}).exit_code, 0);
  EXPECT_EQ(Ask(stack, id, "alpha", "SELECT count(*) FROM notes"), "2");

  // Deleted, and back.
  ASSERT_EQ(stack.Run({"tenant", "delete", id, "--wait"}).exit_code, 0);
  EXPECT_TRUE(IsRefused(stack, id));
  output = stack.Run({"tenant", "undelete", id, "--wait"});
  ASSERT_EQ(output.exit_code, 0) << output.err;
  EXPECT_EQ(Ask(stack, id, "alpha", "SELECT count(*) FROM notes"), "2");

  // Deleted for good, with a connection open.
  pqxx::connection last(stack.Acquire(id, "alpha").credentials().dsn());
  ASSERT_TRUE(Value(last, "SELECT 1").ok());
  output = stack.Run({"tenant", "delete", id, "--retention", "0", "--wait"});
  EXPECT_EQ(output.exit_code, 0) << output.err;
  ExpectNothingOf(stack, id);
  EXPECT_EQ(stack.StateOf(id), v1::TENANT_STATE_UNSPECIFIED);
  EXPECT_FALSE(Value(last, "SELECT 1").ok());
  EXPECT_NE(stack.Run({"tenant", "undelete", id}).exit_code, 0);

  // The backup outlives it.
  output = stack.Run({"backup", "restore", backup, "--into", id, "--wait"});
  ASSERT_EQ(output.exit_code, 0) << output.err;
  EXPECT_EQ(Ask(stack, id, "alpha", "SELECT body FROM notes"), "precious");
  ASSERT_EQ(stack.Run({"backup", "delete", backup}).exit_code, 0);
  EXPECT_TRUE(Eventually([&] { return !std::filesystem::exists(FolderOf(stack, backup)); }));
}

TEST(Lifecycle, PostgreSQLItselfLetsNobodyIntoAClosedTenant) {
  Stack& stack = SharedStack();
  const std::string id = stack.CreateTenant(FreshTenantId("life"));
  const BackDoor door(stack, id);
  auto session = std::make_unique<pqxx::connection>(door.dsn());
  const auto is_over = [&session] { return !Value(*session, "SELECT 1").ok(); };
  ASSERT_FALSE(is_over());
  ASSERT_EQ(stack.Run({"tenant", "suspend", id, "--wait"}).exit_code, 0);
  EXPECT_TRUE(is_over());
  EXPECT_THAT(door.Try(), HasSubstr("is not permitted to log in"));
  ASSERT_EQ(stack.Run({"tenant", "resume", id, "--wait"}).exit_code, 0);
  EXPECT_EQ(door.Try(), "");

  session = std::make_unique<pqxx::connection>(door.dsn());
  ASSERT_EQ(stack.Run({"tenant", "delete", id, "--wait"}).exit_code, 0);
  EXPECT_TRUE(is_over());
  EXPECT_THAT(door.Try(), HasSubstr("is not permitted to log in"));
  EXPECT_EQ(stack.DatabasesOf(id), 2) << "kept until its time has come";
  ASSERT_EQ(stack.Run({"tenant", "undelete", id, "--wait"}).exit_code, 0);
  EXPECT_EQ(door.Try(), "");

  session = std::make_unique<pqxx::connection>(door.dsn());
  ASSERT_EQ(stack.Run({"tenant", "delete", id, "--retention", "0", "--wait"}).exit_code, 0);
  EXPECT_TRUE(is_over());
  ExpectNothingOf(stack, id);
}

TEST(Lifecycle, OneServiceThatFailsLeavesTheOthersReady) {
  Stack& stack = SharedStack();
  const std::string id = FreshTenantId("life");
  const std::string taken = DatabaseOf(id, "beta");
  stack.OnInstance("beta", absl::StrCat("CREATE DATABASE \"", taken, "\""));
  ASSERT_EQ(stack.Run({"tenant", "create", id}).exit_code, 0);
  ASSERT_TRUE(stack.AwaitState(id, v1::TENANT_STATE_DEGRADED));
  ASSERT_TRUE(Eventually([&] { return TenantOf(stack, id).services(0).state() == v1::SERVICE_STATE_READY; }));
  EXPECT_EQ(Ask(stack, id, "alpha", "SELECT count(*) FROM notes"), "0");

  ASSERT_TRUE(Eventually([&] { return TenantOf(stack, id).services(1).attempts() > 1; })) << "it goes on trying";
  const v1::Tenant tenant = TenantOf(stack, id);
  const v1::ServiceStatus& beta = tenant.services(1);
  EXPECT_EQ(beta.state(), v1::SERVICE_STATE_FAILED);
  EXPECT_EQ(beta.message(), absl::StrCat("a database ", taken, " exists that Leasehold did not make"));
  EXPECT_GT(ToTime(beta.next_attempt_time()), ToTime(beta.update_time()));
  EXPECT_THAT(tenant.message(), HasSubstr(absl::StrCat("beta failed: ", beta.message())));
  EXPECT_TRUE(IsRefused(stack, id, "beta"));
  const v1::Operation creation = OperationOf(stack, id + ".1");
  EXPECT_EQ(creation.state(), v1::OPERATION_STATE_RUNNING);
  EXPECT_EQ(creation.done(), 1);
  EXPECT_THAT(creation.services(1).message(), HasSubstr(beta.message()));

  EXPECT_EQ(stack.OnInstance("beta", "SELECT current_user", taken), "postgres") << "it is somebody's, and stays";
  stack.OnInstance("beta", absl::StrCat("DROP DATABASE \"", taken, "\""));
  const auto output = stack.Run({"tenant", "retry", id, "--wait"});
  ASSERT_EQ(output.exit_code, 0) << output.err;
  EXPECT_EQ(stack.StateOf(id), v1::TENANT_STATE_ACTIVE);
  EXPECT_EQ(Ask(stack, id, "beta", "SELECT count(*) FROM items"), "0");
  EXPECT_EQ(End(stack, id + ".1").state(), v1::OPERATION_STATE_SUCCEEDED);
}

TEST(Lifecycle, ARetryOfAnActiveTenantBringsBackAtOnceWhatVanished) {
  Stack& stack = SharedStack();
  const std::string id = stack.CreateTenant(FreshTenantId());
  const std::string database = absl::StrCat("tenant_", id, "_beta");
  stack.OnInstance("beta", absl::StrCat("DROP DATABASE \"", database, "\" WITH (FORCE)"));
  const auto output = stack.Run({"tenant", "retry", id, "--wait"});
  ASSERT_EQ(output.exit_code, 0) << output.err;
  EXPECT_EQ(stack.OnInstance("beta", absl::StrCat("SELECT count(*) FROM pg_database WHERE datname = '", database, "'")),
            "1");
  EXPECT_EQ(stack.StateOf(id), v1::TENANT_STATE_ACTIVE);
  EXPECT_EQ(Ask(stack, id, "beta", "SELECT count(*) FROM items"), "0") << "it is made again, empty";
}

// Holds a table of the tenant, past the gateway, so that a copy of it can begin but not end: pg_dump locks partitioned
// tables too, and waits for this one when it has begun already.
class HeldTenant {
 public:
  HeldTenant(Stack& stack, const std::string& id) : connection_(stack.InstanceDsn("alpha", DatabaseOf(id))) {
    const std::string owner = connection_.quote_name(DatabaseOf(id));
    pqxx::nontransaction(connection_)
        .exec(absl::StrCat("SET ROLE ", owner, "; CREATE TABLE parts (n int) PARTITION BY RANGE (n); RESET ROLE"));
    work_.emplace(connection_);
    work_->exec("LOCK TABLE ONLY parts IN ACCESS EXCLUSIVE MODE");
  }

 private:
  pqxx::connection connection_;
  std::optional<pqxx::work> work_;
};

// The owner's session, which pg_dump has.
std::string Copying(Stack& stack, const std::string& id) {
  return stack.OnInstance("alpha",
                          absl::StrCat("SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = '", DatabaseOf(id),
                                       "' AND wait_event_type = 'Lock' AND usename = datname"));
}

TEST(Lifecycle, ABackupSurvivesTheDeathOfGatewayAndProvisioner) {
  Stack& stack = SharedStack();
  const std::string id = stack.CreateTenant(FreshTenantId("life"));
  v1::BackupChange change;
  {
    const HeldTenant held(stack, id);
    change = Backup(stack, id);
    ASSERT_TRUE(Eventually([&] { return Copying(stack, id) == "t"; }));
    stack.KillAndAwait("provisioner/alpha");
    stack.KillAndAwait("gateway");
    EXPECT_EQ(OperationOf(stack, change.operation().id()).state(), v1::OPERATION_STATE_RUNNING);
  }
  EXPECT_EQ(End(stack, change.operation().id()).state(), v1::OPERATION_STATE_SUCCEEDED);
  EXPECT_TRUE(std::filesystem::exists(FolderOf(stack, change.backup().id()) / "alpha" / "manifest.json"));
  for (const auto& entry : std::filesystem::directory_iterator(FolderOf(stack, change.backup().id()))) {
    EXPECT_FALSE(entry.path().filename().string().starts_with(".")) << entry.path();
  }
}

TEST(Lifecycle, ACloneSurvivesTheDeathOfGatewayAndProvisioner) {
  Stack& stack = SharedStack();
  const std::string id = stack.CreateTenant(FreshTenantId("life")), copy = FreshTenantId("copy");
  EXPECT_EQ(Ask(stack, id, "alpha", "INSERT INTO notes (body) VALUES ('precious') RETURNING body"), "precious");
  {
    const HeldTenant held(stack, id);
    ASSERT_EQ(stack.Run({"tenant", "clone", id, copy}).exit_code, 0);
    ASSERT_TRUE(Eventually([&] { return Copying(stack, id) == "t"; }));
    stack.KillAndAwait("provisioner/alpha");
    stack.KillAndAwait("gateway");
    EXPECT_EQ(OperationOf(stack, copy + ".1").state(), v1::OPERATION_STATE_RUNNING);
  }
  EXPECT_EQ(End(stack, copy + ".1").state(), v1::OPERATION_STATE_SUCCEEDED);
  EXPECT_EQ(Ask(stack, copy, "alpha", "SELECT body FROM notes"), "precious");
}

TEST(Lifecycle, ADeleteOvertakesACreationThatRuns) {
  Stack& stack = SharedStack();
  const std::string id = stack.CreateTenant(FreshTenantId("life")), copy = FreshTenantId("copy");
  EXPECT_EQ(Ask(stack, id, "alpha", "INSERT INTO notes (body) VALUES ('not for others') RETURNING 1"), "1");
  const HeldTenant held(stack, id);
  ASSERT_EQ(stack.Run({"tenant", "clone", id, copy}).exit_code, 0);
  ASSERT_TRUE(Eventually([&] { return Copying(stack, id) == "t"; }));
  auto output = stack.Run({"tenant", "delete", copy, "--retention", "0", "--wait"});
  ASSERT_EQ(output.exit_code, 0) << output.err;
  EXPECT_EQ(OperationOf(stack, copy + ".1").state(), v1::OPERATION_STATE_ABORTED);
  EXPECT_EQ(OperationOf(stack, copy + ".1").error().reason(), v1::REASON_SUPERSEDED);
  ExpectNothingOf(stack, copy);
  // The id's next tenant has nothing of what was under way.
  output = stack.Run({"tenant", "create", copy, "--wait"});
  ASSERT_EQ(output.exit_code, 0) << output.err;
  EXPECT_EQ(Ask(stack, copy, "alpha", "SELECT count(*) FROM notes"), "0");
}

TEST(Lifecycle, ACancelledBackupLeavesNothing) {
  Stack& stack = SharedStack();
  const std::string id = stack.CreateTenant(FreshTenantId("life"));
  const HeldTenant held(stack, id);
  const v1::BackupChange change = Backup(stack, id);
  ASSERT_TRUE(Eventually([&] { return Copying(stack, id) == "t"; }));
  const auto output = stack.Run({"operation", "cancel", change.operation().id()});
  ASSERT_EQ(output.exit_code, 0) << output.err;
  EXPECT_THAT(output.out, HasSubstr("cancelled"));
  EXPECT_EQ(OperationOf(stack, change.operation().id()).error().reason(), v1::REASON_CANCELLED);
  EXPECT_TRUE(Eventually([&] { return Copying(stack, id) == "f"; }, absl::Seconds(15)))
      << "pg_dump is killed, and its server does not wait on for the lock";
  EXPECT_TRUE(Eventually([&] { return !std::filesystem::exists(FolderOf(stack, change.backup().id())); }));
}

TEST(Lifecycle, ACancelledCloneGoesForGood) {
  Stack& stack = SharedStack();
  const std::string id = stack.CreateTenant(FreshTenantId("life")), copy = FreshTenantId("copy");
  const HeldTenant held(stack, id);
  ASSERT_EQ(stack.Run({"tenant", "clone", id, copy}).exit_code, 0);
  ASSERT_TRUE(Eventually([&] { return Copying(stack, id) == "t"; }));
  EXPECT_TRUE(IsRefused(stack, copy));
  ASSERT_EQ(stack.Run({"operation", "cancel", copy + ".1"}).exit_code, 0);
  EXPECT_EQ(End(stack, copy + ".1").state(), v1::OPERATION_STATE_CANCELLED);
  EXPECT_TRUE(stack.AwaitState(copy, v1::TENANT_STATE_UNSPECIFIED, kPatience));
  ExpectNothingOf(stack, copy);
}

TEST(Lifecycle, ADamagedBackupIsRefusedAndTheTenantKeepsItsData) {
  Stack& stack = SharedStack();
  const std::string id = stack.CreateTenant(FreshTenantId("life"));
  ASSERT_EQ(Ask(stack, id, "beta", "SELECT 1"), "1");
  const v1::BackupChange change = Backup(stack, id);
  ASSERT_EQ(End(stack, change.operation().id()).state(), v1::OPERATION_STATE_SUCCEEDED);
  std::ofstream(FolderOf(stack, change.backup().id()) / "alpha" / "data" / "toc.dat", std::ios::app) << "tampered";
  ASSERT_EQ(Ask(stack, id, "alpha", "INSERT INTO notes (body) VALUES ('kept') RETURNING body"), "kept");
  ASSERT_EQ(stack.Run({"backup", "restore", change.backup().id(), "--in-place"}).exit_code, 0);
  EXPECT_TRUE(stack.AwaitState(id, v1::TENANT_STATE_DEGRADED, kPatience));
  const std::string operation = id + ".3";
  EXPECT_THAT(OperationOf(stack, operation).message(),
              HasSubstr("alpha failed: file toc.dat of the backup was changed"));
  ASSERT_EQ(stack.Run({"operation", "cancel", operation}).exit_code, 0);
  EXPECT_TRUE(stack.AwaitState(id, v1::TENANT_STATE_ACTIVE, kPatience));
  EXPECT_EQ(Ask(stack, id, "alpha", "SELECT body FROM notes"), "kept");
}

TEST(Lifecycle, ARequestThatIsSaidAgainIsDoneOnce) {
  Stack& stack = SharedStack();
  const std::string id = FreshTenantId("life"), name = absl::StrCat("nightly-", id);
  for (int i = 0; i < 2; ++i) {
    const auto made = stack.Run({"tenant", "create", id, "--wait", "--request-id", name});
    EXPECT_EQ(made.exit_code, 0) << made.err;
    EXPECT_THAT(made.out, HasSubstr("is active"));
    const auto copied = stack.Run({"backup", "create", id, "--wait", "--request-id", name + "-backup"});
    EXPECT_EQ(copied.exit_code, 0) << copied.err;
    EXPECT_THAT(copied.out, HasSubstr(absl::StrCat("backup ", id, ".2 is complete")));
  }
  EXPECT_THAT(stack.Run({"tenant", "create", id}).err, HasSubstr("exists"));
  EXPECT_THAT(stack.Run({"tenant", "create", id, "--name", "other", "--request-id", name}).err,
              HasSubstr("request_id"));
  EXPECT_THAT(stack.Run({"tenant", "suspend", id, "--request-id", "two words"}).err,
              HasSubstr("request_id is 'two words'; allowed"));
}

TEST(Lifecycle, WhatWasSoAlreadyIsSaidInItsOwnWords) {
  Stack& stack = SharedStack();
  const std::string id = stack.CreateTenant(FreshTenantId("life"));
  const auto expect = [&](const std::string& verb, const std::string& out) {
    const auto output = stack.Run({"tenant", verb, id, "--wait"});
    EXPECT_EQ(output.exit_code, 0) << verb;
    EXPECT_THAT(output.out, StartsWith(out)) << verb;
    EXPECT_EQ(output.err, "") << verb << " waits for nothing";
  };
  expect("undelete", absl::StrCat("nothing to undelete: tenant ", id, " is active\n"));
  expect("resume", absl::StrCat("nothing to resume: tenant ", id, " is active\n"));
  ASSERT_EQ(stack.Run({"tenant", "suspend", id, "--wait"}).exit_code, 0);
  expect("suspend", absl::StrCat("nothing to suspend: tenant ", id, " is suspended\n"));
  ASSERT_EQ(stack.Run({"tenant", "delete", id, "--wait"}).exit_code, 0);
  expect("delete", absl::StrCat("nothing to delete: tenant ", id, " is deleted; its databases are dropped in "));
}

TEST(Lifecycle, WrongRequestsGetOneClearLine) {
  Stack& stack = SharedStack();
  const std::string id = stack.CreateTenant(FreshTenantId("life"));
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      {{"tenant", "undelete", "nobody-here"}, "there is no tenant nobody-here"},
      {{"tenant", "clone", "nobody-here", "x1"}, "there is no tenant nobody-here"},
      {{"backup", "show", id + ".99"}, "there is no backup"},
      {{"backup", "restore", id + ".99", "--in-place"}, "there is no backup"},
      {{"operation", "cancel", id + ".1"}, "has ended"},
      {{"operation", "show", "nonsense"}, "<tenant>.<generation>"},
  };
  for (const auto& [arguments, text] : cases) {
    const auto output = stack.Run(arguments);
    EXPECT_EQ(output.exit_code, 1) << text;
    EXPECT_THAT(output.err, HasSubstr(text));
    EXPECT_EQ(std::ranges::count(output.err, '\n'), 1) << output.err;
  }
  EXPECT_EQ(stack.Run({"backup", "restore", id + ".1"}).exit_code, 2) << "it must be said where to";
}

}  // namespace
}  // namespace leasehold::testing
