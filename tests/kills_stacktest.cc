// A daemon killed at each boundary between two steps: whoever comes after it brings the work to its end, and nothing is
// lost or left.
//
// All boundaries by `./dev test -L soak`, else some of them.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "tests/stack/provisioner.h"
#include "tests/stack/stack.h"
#include "tests/stack/tenants.h"

namespace leasehold::testing {
namespace {

const std::string& FailPointFile() {
  static const localserver::TemporaryDirectory folder;
  static const std::string path = folder.path() + "/failpoint";
  return path;
}

Stack& FaultyStack() {
  static auto* const stack = [] {
    static Stack instance({absl::StrCat("LEASEHOLD_FAILPOINT=@", FailPointFile())});
    return &instance;
  }();
  return *stack;
}

class Kills : public ::testing::Test {
 protected:
  void TearDown() override {
    if (Soak()) RemoveAll(FaultyStack());
  }
};

// The provisioner of alpha dies at each of `points` over `operation`, and another one is started.
void KillAtEach(Provisioner::Spares spares, const std::vector<std::string>& points,
                const std::function<std::string()>& prepare, const std::function<void(const std::string&)>& operation,
                const std::function<bool(const std::string&)>& converged) {
  Stack& stack = FaultyStack();
  for (const std::string& point : points) {
    const std::string id = prepare();
    pid_t supervised = 0;
    {
      const Stack::WithoutSupervisor alone(stack);
      supervised = stack.Kill("provisioner/alpha");
      {
        Provisioner doomed(stack, "alpha", absl::StrCat(point, ":kill"), spares);
        operation(id);
        ASSERT_TRUE(Eventually([&] { return !doomed.Running(); }, absl::Minutes(1)))
            << "never came to: " << point << "\n"
            << doomed.Log();
      }
      Provisioner heir(stack, "alpha", "", spares);
      EXPECT_TRUE(Eventually([&] { return converged(id); }, absl::Minutes(1))) << point << "\n" << heir.Log();
    }
    stack.AwaitAgain("provisioner/alpha", supervised);
  }
}

TEST_F(Kills, AKillAtAnyBoundaryOfACreation) {
  Stack& stack = FaultyStack();
  KillAtEach(
      Provisioner::Spares::kNone,
      Chosen({"before acknowledging an event", "before making the roles", "before creating the database",
              "before closing the database to PUBLIC", "before granting privileges", "before letting the roles log in",
              "before migrating the database", "before moving the database into place", "before recording the outcome",
              "after recording the outcome", "before publishing a status", "after publishing a status"},
             4),
      [] { return FreshTenantId(); }, [&](const std::string& id) { Create(stack, id); },
      [&](const std::string& id) {
        return stack.StateOf(id) == v1::TENANT_STATE_ACTIVE && NotesOf(stack, id) == "none" &&
               stack.Strays("alpha") == 0;
      });
}

TEST_F(Kills, AKillAtAnyBoundaryOfAClaimOrARefill) {
  Stack& stack = FaultyStack();
  KillAtEach(
      Provisioner::Spares::kAsConfigured,
      Chosen({"before claiming a spare", "before finishing the spare", "after committing a claim",
              "before offering a spare"},
             2),
      [&] {
        EXPECT_TRUE(Eventually([&] {
          return stack.OnInstance("alpha", "SELECT count(*) FROM leasehold.spares WHERE state = 'ready'",
                                  "alpha_central") != "0";
        }));
        return FreshTenantId();
      },
      [&](const std::string& id) { Create(stack, id); },
      [&](const std::string& id) {
        return stack.StateOf(id) == v1::TENANT_STATE_ACTIVE && NotesOf(stack, id) == "none" &&
               stack.OnInstance("alpha", "SELECT count(*) FROM leasehold.spares WHERE state = 'ready'",
                                "alpha_central") != "0" &&
               stack.Strays("alpha") == 0;
      });
}

TEST_F(Kills, AKillAtAnyBoundaryOfASuspension) {
  Stack& stack = FaultyStack();
  KillAtEach(
      Provisioner::Spares::kNone,
      Chosen({"before acknowledging an event", "before making the roles", "before closing the database to PUBLIC",
              "before closing the roles", "before recording the outcome", "after recording the outcome",
              "before publishing a status", "after publishing a status"},
             4),
      [&] {
        const std::string id = stack.CreateTenant(FreshTenantId());
        WriteNote(stack, id, "kept");
        return id;
      },
      [&](const std::string& id) { Suspend(stack, id); },
      [&](const std::string& id) {
        return AlphaStateOf(stack, id) == v1::SERVICE_STATE_CLOSED && IsClosed(stack, id) &&
               NotesOf(stack, id) == "kept";
      });
}

// From closed to open again, by `verb` of the command line.
void KillOverOpening(const char* verb, const std::function<void(const std::string&)>& close) {
  Stack& stack = FaultyStack();
  KillAtEach(
      Provisioner::Spares::kNone,
      Chosen(
          {"before making the roles", "before acknowledging an event", "before closing the database to PUBLIC",
           "before letting the roles log in", "before moving the database into place", "before recording the outcome",
           "after recording the outcome", "before publishing a status", "after publishing a status"},
          5),
      [&] {
        const std::string id = stack.CreateTenant(FreshTenantId());
        WriteNote(stack, id, "kept");
        close(id);
        EXPECT_TRUE(Eventually([&] { return AlphaStateOf(stack, id) == v1::SERVICE_STATE_CLOSED; }));
        return id;
      },
      [&](const std::string& id) { ASSERT_EQ(stack.Run({"tenant", verb, id}).exit_code, 0); },
      [&](const std::string& id) {
        return stack.StateOf(id) == v1::TENANT_STATE_ACTIVE && IsOpen(stack, id) && NotesOf(stack, id) == "kept" &&
               stack.Strays("alpha") == 0;
      });
}

TEST_F(Kills, AKillAtAnyBoundaryOfAResumption) {
  KillOverOpening("resume", [](const std::string& id) { Suspend(FaultyStack(), id); });
}

TEST_F(Kills, AKillAtAnyBoundaryOfAnUndeletion) {
  KillOverOpening("undelete", [](const std::string& id) { Delete(FaultyStack(), id, absl::Hours(1)); });
}

TEST_F(Kills, AKillAtAnyBoundaryOfARetry) {
  Stack& stack = FaultyStack();
  KillAtEach(
      Provisioner::Spares::kNone,
      Chosen({"before creating the database", "before recording the outcome", "before granting privileges",
              "before migrating the database", "before moving the database into place"},
             3),
      [&] {
        const std::string id = FreshTenantId();
        stack.OnInstance("alpha", absl::StrCat("CREATE ROLE \"", NameOf(id), "\""));
        Create(stack, id);
        EXPECT_TRUE(Eventually([&] { return AlphaStateOf(stack, id) == v1::SERVICE_STATE_FAILED; }));
        return id;
      },
      [&](const std::string& id) {
        stack.OnInstance("alpha", absl::StrCat("ALTER ROLE \"", NameOf(id), "\" RENAME TO \"foreign_", id, "\""));
        ASSERT_EQ(stack.Run({"tenant", "retry", id}).exit_code, 0);
      },
      [&](const std::string& id) {
        return stack.StateOf(id) == v1::TENANT_STATE_ACTIVE && NotesOf(stack, id) == "none" &&
               stack.Strays("alpha") == 0 &&
               stack.OnInstance(
                   "alpha", absl::StrCat("SELECT rolcanlogin FROM pg_roles WHERE rolname = 'foreign_", id, "'")) == "f";
      });
}

TEST_F(Kills, AKillAtAnyBoundaryOfARestoreInPlace) {
  Stack& stack = FaultyStack();
  KillAtEach(
      Provisioner::Spares::kAsConfigured,
      Chosen(
          {"before looking for the database", "before moving the database into place", "before creating the database",
           "before copying the data", "before making the roles", "while copying the data", "before checking the copy",
           "before migrating the copy", "before recording the outcome", "after recording the outcome"},
          5),
      [&] {
        const std::string id = stack.CreateTenant(FreshTenantId());
        WriteNote(stack, id, "kept");
        EXPECT_EQ(stack.Run({"backup", "create", id, "--wait"}).exit_code, 0);
        WriteNote(stack, id, "regretted");
        return id;
      },
      [&](const std::string& id) {
        ASSERT_EQ(stack.Run({"backup", "restore", absl::StrCat(id, ".2"), "--in-place"}).exit_code, 0);
      },
      [&](const std::string& id) {
        return stack.StateOf(id) == v1::TENANT_STATE_ACTIVE && IsOpen(stack, id) && NotesOf(stack, id) == "kept" &&
               stack.Strays("alpha") == 0;
      });
}

// An event alone closes, and waits with the rest for the registry's word: that it was never meant.
TEST_F(Kills, AKillAtAnyBoundaryOfWhatAnEventAloneCloses) {
  Stack& stack = FaultyStack();
  for (const std::string& point :
       Chosen({"before closing the roles", "before recording the outcome", "after recording the outcome"}, 2)) {
    const std::string id = stack.CreateTenant(FreshTenantId());
    WriteNote(stack, id, "kept");
    const Stack::WithoutSupervisor alone(stack);
    stack.Kill("provisioner/alpha");
    Provisioner doomed(stack, "alpha", absl::StrCat(point, ":kill"));
    ASSERT_TRUE(Eventually([&] { return doomed.Said("started") == 1; }));
    {
      stack.Signal("gateway", SIGSTOP);
      const absl::Cleanup go_on = [&] { stack.Signal("gateway", SIGCONT); };
      stack.PublishRaw(absl::StrCat("tenants.", id, ".deleted"),
                       absl::StrCat(R"({"specversion":"1.0","id":"forged-)", id,
                                    R"(","source":"somebody","type":"leasehold.tenant.deleted.v1","data":{"id":")", id,
                                    R"(","generation":5,"desired":"DESIRED_STATE_ABSENT"}})"));
      ASSERT_TRUE(Eventually([&] { return !doomed.Running(); }, absl::Minutes(1))) << point << "\n" << doomed.Log();
      Provisioner heir(stack, "alpha");
      EXPECT_TRUE(Eventually([&] { return IsClosed(stack, id); }, absl::Minutes(1))) << point << "\n" << heir.Log();
      EXPECT_EQ(NotesOf(stack, id), "kept");
    }
    const Provisioner heir(stack, "alpha");
    EXPECT_TRUE(Eventually([&] { return IsOpen(stack, id); }, absl::Minutes(1))) << point << "\n" << heir.Log();
    EXPECT_EQ(NotesOf(stack, id), "kept");
  }
}

TEST_F(Kills, AKillAtAnyBoundaryOfARemoval) {
  Stack& stack = FaultyStack();
  const std::string neighbour = stack.CreateTenant(FreshTenantId());
  WriteNote(stack, neighbour, "kept");
  KillAtEach(
      Provisioner::Spares::kNone,
      Chosen({"before closing the roles", "before dropping the database", "between setting aside and dropping",
              "before dropping the roles", "before recording the outcome", "after recording the outcome",
              "after publishing a status"},
             3),
      [&] { return stack.CreateTenant(FreshTenantId()); }, [&](const std::string& id) { Delete(stack, id); },
      [&](const std::string& id) {
        return stack.StateOf(id) == v1::TENANT_STATE_UNSPECIFIED && NothingIsLeftOf(stack, id);
      });
  EXPECT_EQ(NotesOf(stack, neighbour), "kept");
}

TEST_F(Kills, AKillAtAnyBoundaryOfAClone) {
  Stack& stack = FaultyStack();
  const std::string source = stack.CreateTenant(FreshTenantId());
  WriteNote(stack, source, "precious");
  KillAtEach(
      Provisioner::Spares::kAsConfigured,
      Chosen({"before making the roles", "before creating the database", "before copying the data",
              "while copying the data", "before checking the copy", "before migrating the copy",
              "before moving the database into place", "before recording the outcome"},
             3),
      [] { return FreshTenantId(); },
      [&](const std::string& id) { ASSERT_EQ(stack.Run({"tenant", "clone", source, id}).exit_code, 0); },
      [&](const std::string& id) {
        return stack.StateOf(id) == v1::TENANT_STATE_ACTIVE && NotesOf(stack, id) == "precious" &&
               stack.Strays("alpha") == 0;
      });
}

TEST_F(Kills, AKillAtAnyBoundaryOfABackup) {
  Stack& stack = FaultyStack();
  KillAtEach(
      Provisioner::Spares::kAsConfigured,
      Chosen({"before dumping a backup", "before moving a backup into place", "before recording a backup",
              "after recording a backup"},
             2),
      [&] { return stack.CreateTenant(FreshTenantId()); },
      [&](const std::string& id) { ASSERT_EQ(stack.Run({"backup", "create", id}).exit_code, 0); },
      [&](const std::string& id) {
        v1::ListBackupsRequest request;
        request.set_tenant(id);
        v1::ListBackupsResponse response;
        return stack.backups().ListBackups(Deadline().get(), request, &response).ok() && response.backups_size() == 1 &&
               response.backups(0).state() == v1::BACKUP_STATE_COMPLETE;
      });
}

TEST_F(Kills, AKillAtAnyBoundaryOfTheRemovalOfABackup) {
  Stack& stack = FaultyStack();
  const auto folder_of = [&](const std::string& id) {
    return std::filesystem::path(stack.state_dir()) / "backups" / absl::StrCat(id, ".2");
  };
  KillAtEach(
      Provisioner::Spares::kAsConfigured,
      Chosen({"before removing a backup", "after removing a service's part of a backup", "before recording a backup",
              "after recording a backup"},
             2),
      [&] {
        const std::string id = stack.CreateTenant(FreshTenantId());
        EXPECT_EQ(stack.Run({"backup", "create", id, "--wait"}).exit_code, 0);
        EXPECT_TRUE(std::filesystem::exists(folder_of(id) / "alpha" / "manifest.json"));
        return id;
      },
      [&](const std::string& id) { ASSERT_EQ(stack.Run({"backup", "delete", absl::StrCat(id, ".2")}).exit_code, 0); },
      [&](const std::string& id) {
        // The provisioner's own record goes once the registry has heard of the removal.
        v1::GetBackupRequest request;
        request.set_id(absl::StrCat(id, ".2"));
        v1::Backup backup;
        return !std::filesystem::exists(folder_of(id)) &&
               stack.backups().GetBackup(Deadline().get(), request, &backup).ok() &&
               std::ranges::all_of(backup.services(), [](const v1::BackupStatus& status) {
                 return status.state() == v1::BACKUP_STATE_REMOVED;
               });
      });
}

// A restore that is cancelled in the middle, by one provisioner, and whose leftovers another one discards.
void KillOverDiscarding(bool in_place, const std::function<bool(const std::string&)>& settled) {
  Stack& stack = FaultyStack();
  for (const std::string& point :
       Chosen({"before dropping what was being filled", "after dropping what was being filled",
               "before recording the outcome", "after recording the outcome"},
              2)) {
    const std::string id = stack.CreateTenant(FreshTenantId());
    WriteNote(stack, id, "kept");
    ASSERT_EQ(stack.Run({"backup", "create", id, "--wait"}).exit_code, 0);
    WriteNote(stack, id, "later");
    pid_t supervised = 0;
    {
      const Stack::WithoutSupervisor alone(stack);
      supervised = stack.Kill("provisioner/alpha");
      const std::string target = in_place ? id : absl::StrCat(id, "-copy");
      {
        Provisioner doomed(stack, "alpha", "before checking the copy:kill");
        const std::string how = in_place ? "--in-place" : absl::StrCat("--into=", target);
        ASSERT_EQ(stack.Run({"backup", "restore", absl::StrCat(id, ".2"), how}).exit_code, 0);
        ASSERT_TRUE(Eventually([&] { return !doomed.Running(); }, absl::Minutes(1))) << doomed.Log();
      }
      EXPECT_GT(stack.OnInstance("alpha", "SELECT count(*) FROM leasehold.tenants WHERE fill_database_id IS NOT NULL",
                                 "alpha_central"),
                "0");
      const std::string operation = absl::StrCat(target, in_place ? ".3" : ".1");
      ASSERT_EQ(stack.Run({"operation", "cancel", operation}).exit_code, 0);
      {
        Provisioner doomed(stack, "alpha", absl::StrCat(point, ":kill"));
        ASSERT_TRUE(Eventually([&] { return !doomed.Running(); }, absl::Minutes(1)))
            << "never came to: " << point << "\n"
            << doomed.Log();
      }
      Provisioner heir(stack, "alpha");
      EXPECT_TRUE(Eventually(
          [&] {
            return settled(target) && stack.Strays("alpha") == 0 &&
                   stack.OnInstance("alpha",
                                    "SELECT count(*) FROM leasehold.tenants WHERE fill_database_id IS NOT NULL",
                                    "alpha_central") == "0";
          },
          absl::Minutes(1)))
          << point << "\n"
          << heir.Log();
      EXPECT_EQ(NotesOf(stack, id), "kept, later");
    }
    stack.AwaitAgain("provisioner/alpha", supervised);
  }
}

TEST_F(Kills, AKillAtAnyBoundaryOfDiscardingARestoreInPlace) {
  KillOverDiscarding(/*in_place=*/true, [](const std::string& id) {
    return FaultyStack().StateOf(id) == v1::TENANT_STATE_ACTIVE && IsOpen(FaultyStack(), id);
  });
}

TEST_F(Kills, AKillAtAnyBoundaryOfDiscardingARestoreIntoANewTenant) {
  KillOverDiscarding(/*in_place=*/false, [](const std::string& id) {
    return FaultyStack().StateOf(id) == v1::TENANT_STATE_UNSPECIFIED && NothingIsLeftOf(FaultyStack(), id);
  });
}

TEST_F(Kills, AKillBetweenCommitAndAcknowledgementOfTheGateway) {
  Stack& stack = FaultyStack();
  for (const char* point :
       {"after publishing an event", "before acknowledging a status", "before acknowledging an announcement"}) {
    const pid_t before = stack.PidOf("gateway");
    std::ofstream(FailPointFile()) << point << ":kill";
    const std::string id = FreshTenantId();
    stack.PublishCreated(id, absl::StrCat("event-", id));
    stack.AwaitAgain("gateway", before);
    EXPECT_FALSE(std::filesystem::exists(FailPointFile())) << point;
    EXPECT_TRUE(stack.AwaitState(id, v1::TENANT_STATE_ACTIVE, absl::Minutes(2))) << point;
  }
}

}  // namespace
}  // namespace leasehold::testing
