// What docs/operations.md says of data that are lost, done as it stands there: its commands are run as they are
// written.
#include <gtest/gtest.h>
#include <signal.h>

#include <cstdlib>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/stack/outputs.h"
#include "tests/stack/stack.h"
#include "tests/stack/tenants.h"

namespace leasehold::testing {
namespace {

// The page's block of shell commands that holds `text`.
std::string Commands(const std::string& text) {
  for (absl::string_view part : absl::StrSplit(Slurp(LEASEHOLD_OPERATIONS), "```sh\n")) {
    const std::string block(part.substr(0, part.find("```")));
    if (block.contains(text)) return block;
  }
  ADD_FAILURE() << "docs/operations.md has no commands with " << text;
  return "false";
}

// With what the page takes for given: `leasehold` on the PATH, where the gateway is, and where the registry; `more`:
// "K=V".
void Shell(Stack& stack, const std::string& commands, const std::vector<std::string>& more = {}) {
  const std::string& registry = stack.Env("LEASEHOLD_PG_REGISTRY");
  const std::string log = stack.state_dir() + "/shell.log";
  std::vector<std::string> environment = {absl::StrCat("PATH=", LEASEHOLD_BINARIES, ":", std::getenv("PATH")),
                                          absl::StrCat("LEASEHOLD_GATEWAY=", stack.Env("LEASEHOLD_GATEWAY")),
                                          absl::StrCat("REGISTRY=", registry.substr(0, registry.rfind('/')))};
  environment.insert(environment.end(), more.begin(), more.end());
  auto process = localserver::ChildProcess::Start({.argv = {"bash", "-eu", "-c", commands},
                                                   .environment = std::move(environment),
                                                   .log_path = log,
                                                   .working_dir = stack.state_dir(),
                                                   .user = ""});
  ASSERT_TRUE(process.ok()) << process.status();
  EXPECT_EQ((*process)->Wait(), 0) << commands << "\n" << Slurp(log);
}

// The registry's database is gone while `meanwhile` runs, and no gateway is there.
void LoseTheRegistry(Stack& stack, const std::function<void()>& meanwhile) {
  pid_t gateway = 0;
  {
    const Stack::WithoutSupervisor alone(stack);
    gateway = stack.Kill("gateway");
    ASSERT_TRUE(Eventually([&] {
      try {
        stack.OnInstance("registry", "DROP DATABASE leasehold WITH (FORCE)");
        return true;
      } catch (const pqxx::failure&) {
        return false;  // a connection of the gateway's came in between
      }
    }));
    meanwhile();
  }
  stack.AwaitAgain("gateway", gateway);
}

bool DoctorSays(Stack& stack, const std::string& text) {
  return Eventually([&] { return stack.Run({"doctor"}).out.contains(text); });
}

TEST(Losses, OfTheRegistryWithADump) {
  Stack& stack = SharedStack();
  const std::string kept = stack.CreateTenant(FreshTenantId("kept"));
  const std::string removed = stack.CreateTenant(FreshTenantId("suspended"));
  WriteNote(stack, kept, "before");
  const v1::AcquireLeaseResponse lease = stack.Acquire(kept, "alpha");
  Shell(stack, Commands("pg_dump"));
  const std::string later = stack.CreateTenant(FreshTenantId("later"));
  WriteNote(stack, later, "since");
  Suspend(stack, removed);

  LoseTheRegistry(stack, [&] { Shell(stack, Commands("pg_restore")); });
  EXPECT_EQ(stack.StateOf(kept), v1::TENANT_STATE_ACTIVE);
  EXPECT_EQ(NotesOf(stack, kept), "before");
  pqxx::connection session(lease.credentials().dsn());
  EXPECT_EQ(Value(session, "SELECT body FROM notes").value_or(""), "before") << "a lease from before";
  EXPECT_TRUE(stack.AwaitState(removed, v1::TENANT_STATE_ACTIVE)) << "it is as it was when the dump was made";
  EXPECT_TRUE(Eventually([&] { return IsOpen(stack, removed); }));
  EXPECT_EQ(stack.StateOf(later), v1::TENANT_STATE_UNSPECIFIED);
  EXPECT_TRUE(DoctorSays(stack, later));
  EXPECT_EQ(NotesOf(stack, later), "since") << "what the registry does not list is left as it is";

  ASSERT_EQ(stack.Run({"tenant", "create", later, "--wait"}).exit_code, 0);
  EXPECT_EQ(NotesOf(stack, later), "since");
  EXPECT_TRUE(Eventually([&] { return stack.Run({"doctor"}).exit_code == 0; }));
  EXPECT_EQ(stack.Run({"audit", "verify"}).exit_code, 0);
}

TEST(Losses, OfTheRegistryWithoutADump) {
  Stack& stack = SharedStack();
  const std::string one = stack.CreateTenant(FreshTenantId("one"));
  const std::string other = stack.CreateTenant(FreshTenantId("other"));
  WriteNote(stack, one, "of one");
  WriteNote(stack, other, "of the other");
  const std::string restore = Commands("pg_restore");

  LoseTheRegistry(stack, [&] { Shell(stack, restore.substr(0, restore.find("pg_restore"))); });
  EXPECT_EQ(stack.StateOf(one), v1::TENANT_STATE_UNSPECIFIED);
  EXPECT_TRUE(DoctorSays(stack, one));
  EXPECT_TRUE(DoctorSays(stack, other));
  Shell(stack, Commands("FINDING_KIND_UNLISTED"));
  for (const std::string& id : {one, other}) EXPECT_EQ(stack.StateOf(id), v1::TENANT_STATE_ACTIVE);
  EXPECT_EQ(NotesOf(stack, one), "of one");
  EXPECT_EQ(NotesOf(stack, other), "of the other");
  EXPECT_TRUE(Eventually([&] { return stack.Run({"doctor"}).exit_code == 0; }));
}

std::string DataOfAlpha(const Stack& stack) { return stack.state_dir() + "/pg/alpha"; }

void WhileAlphaIsDown(Stack& stack, const std::function<void()>& work) {
  pid_t down = 0;
  {
    const Stack::WithoutSupervisor alone(stack);
    down = stack.Signal("postgres/alpha", SIGINT);
    ASSERT_TRUE(Eventually([&] { return !std::filesystem::exists(DataOfAlpha(stack) + "/postmaster.pid"); }));
    work();
  }
  stack.AwaitAgain("postgres/alpha", down);
}

TEST(Losses, OfAnInstanceThatIsRestoredToAnOlderState) {
  Stack& stack = SharedStack();
  const std::string data = DataOfAlpha(stack);
  const std::string kept = stack.CreateTenant(FreshTenantId("kept"));
  WriteNote(stack, kept, "before");
  WhileAlphaIsDown(stack, [&] { Shell(stack, absl::StrCat("cp -a ", data, " ", data, ".saved")); });
  WriteNote(stack, kept, "since");
  const std::string later = stack.CreateTenant(FreshTenantId("later"));
  WriteNote(stack, later, "since");
  const Stack::Output backup = stack.Run({"backup", "create", later, "--wait"});
  ASSERT_EQ(backup.exit_code, 0) << backup.err;

  WhileAlphaIsDown(stack, [&] { Shell(stack, absl::StrCat("rm -r ", data, " && mv ", data, ".saved ", data)); });
  EXPECT_EQ(NotesOf(stack, kept), "before");
  EXPECT_TRUE(Eventually([&] { return stack.DatabasesOf(later) == 2 && NotesOf(stack, later) == "none"; }))
      << "made again, empty";
  const Stack::Output restored = stack.Run({"backup", "restore", absl::StrCat(later, ".2"), "--in-place", "--wait"});
  EXPECT_EQ(restored.exit_code, 0) << restored.err;
  EXPECT_EQ(NotesOf(stack, later), "since");
  EXPECT_EQ(stack.DatabasesOf(later), 2);
}

double Recreated(const Stack& stack) {
  return ValueOf(ProvisionerMetrics(stack, "alpha"), "leasehold_provisioner_recreated_total");
}

// By PostgreSQL's own means, to a moment between two transactions; then instance and registry disagree in whatever has
// happened to tenants since.
TEST(Losses, OfAnInstanceThatIsRestoredToAPointInTime) {
  Stack& stack = SharedStack();
  const std::string data = DataOfAlpha(stack);
  const std::string archive = stack.state_dir() + "/archive";
  const std::string& dsn = stack.InstanceDsn("alpha", "");
  std::vector<std::string> variables = {absl::StrCat("INSTANCE=", dsn.substr(0, dsn.rfind('/'))),
                                        absl::StrCat("ARCHIVE=", archive), absl::StrCat("DATA=", data)};
  Shell(stack, Commands("archive_command"), variables);
  WhileAlphaIsDown(stack, [] {});
  ASSERT_EQ(stack.OnInstance("alpha", "SHOW archive_mode"), "on");
  Shell(stack, Commands("pg_basebackup"), variables);

  const std::string kept = stack.CreateTenant(FreshTenantId("kept"));
  const std::string suspended = stack.CreateTenant(FreshTenantId("suspended"));
  const std::string resumed = stack.CreateTenant(FreshTenantId("resumed"));
  const std::string purged = stack.CreateTenant(FreshTenantId("purged"));
  Suspend(stack, resumed);
  ASSERT_TRUE(Eventually([&] { return IsClosed(stack, resumed); }));
  WriteNote(stack, kept, "before");
  const v1::AcquireLeaseResponse lease = stack.Acquire(kept, "alpha");
  variables.push_back("WHEN=" + stack.OnInstance("alpha", "SELECT clock_timestamp()"));

  WriteNote(stack, kept, "since");
  const std::string later = stack.CreateTenant(FreshTenantId("later"));
  WriteNote(stack, later, "since");
  const double recreated = Recreated(stack);
  Suspend(stack, suspended);
  ASSERT_EQ(stack.Run({"tenant", "resume", resumed, "--wait"}).exit_code, 0);
  Delete(stack, purged);
  ASSERT_TRUE(Eventually([&] { return IsClosed(stack, suspended) && NothingIsLeftOf(stack, purged); }));

  WhileAlphaIsDown(stack, [&] { Shell(stack, Commands("recovery_target_time"), variables); });
  EXPECT_EQ(NotesOf(stack, kept), "before");
  pqxx::connection session(lease.credentials().dsn());
  EXPECT_EQ(Value(session, "SELECT string_agg(body, ', ') FROM notes").value_or(""), "before") << "a lease from before";
  EXPECT_TRUE(Eventually([&] { return stack.DatabasesOf(later) == 2 && NotesOf(stack, later) == "none"; }))
      << "made again, empty";
  EXPECT_EQ(Recreated(stack), recreated + 1) << "and an alert is to tell of it, of no other";
  EXPECT_TRUE(Eventually([&] { return IsClosed(stack, suspended); }));
  EXPECT_TRUE(Eventually([&] { return IsOpen(stack, resumed); }));
  EXPECT_TRUE(DoctorSays(stack, absl::StrCat("unlisted ", NameOf(purged))));
  ASSERT_EQ(stack.Run({"tenant", "create", purged, "--wait"}).exit_code, 0);
  ASSERT_EQ(stack.Run({"tenant", "delete", purged, "--retention", "0s"}).exit_code, 0);
  EXPECT_TRUE(Eventually([&] { return NothingIsLeftOf(stack, purged); }));
  EXPECT_TRUE(Eventually([&] { return stack.Run({"doctor"}).exit_code == 0; })) << stack.Run({"doctor"}).out;
  EXPECT_EQ(stack.StateOf(later), v1::TENANT_STATE_ACTIVE);
  EXPECT_EQ(stack.OnInstance("alpha", "SELECT pg_is_in_recovery()"), "f");
  // It takes changes as before.
  const std::string after = stack.CreateTenant(FreshTenantId("after"));
  WriteNote(stack, after, "new");
  EXPECT_EQ(NotesOf(stack, after), "new");
}

}  // namespace
}  // namespace leasehold::testing
