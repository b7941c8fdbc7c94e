// Everything that the daemons stand on taken away in the middle: the system converges without a person, nothing is
// lost, nothing foreign is touched, and the reason can be seen.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <thread>

#include "absl/strings/str_cat.h"
#include "tests/stack/outputs.h"
#include "tests/stack/stack.h"
#include "tests/stack/tenants.h"

namespace leasehold::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(Faults, AnInstanceThatStandsStillInTheMiddle) {
  Stack& stack = SharedStack();
  std::vector<std::string> ids;
  for (int i = 0; i < 6; ++i) {
    ids.push_back(FreshTenantId());
    Create(stack, ids.back());
  }
  ASSERT_TRUE(Eventually([&] { return stack.DatabasesOf(ids.front()) >= 1; }));
  stack.SignalAll("postgres/alpha", SIGSTOP);
  // Also where nobody has asked it for anything in the last minute.
  const Stack::Output status = stack.Run({"status"});
  EXPECT_EQ(status.exit_code, 1);
  EXPECT_THAT(status.out, AllOf(HasSubstr("alpha: its instance: the alpha instance does not answer"),
                                Not(HasSubstr("no provisioner of it answers"))));
  const std::string meanwhile = FreshTenantId();
  Create(stack, meanwhile);
  // The other service is not held up.
  EXPECT_TRUE(Eventually([&] {
    return stack.OnInstance("beta", absl::StrCat("SELECT count(*) FROM pg_database WHERE datname = 'tenant_", meanwhile,
                                                 "_beta'")) == "1";
  }));
  EXPECT_TRUE(Eventually([&] {
    return stack.Run({"doctor", "--service", "alpha"}).out.contains("its provisioner says: the instance stands still");
  }));
  stack.SignalAll("postgres/alpha", SIGCONT);
  ids.push_back(meanwhile);
  for (const std::string& id : ids) EXPECT_TRUE(stack.AwaitState(id, v1::TENANT_STATE_ACTIVE, absl::Minutes(1))) << id;
}

TEST(Faults, AnInstanceThatCrashesOverACreationAndARemoval) {
  Stack& stack = SharedStack();
  const std::string removed = stack.CreateTenant(FreshTenantId());
  std::vector<std::string> ids;
  Delete(stack, removed);
  for (int i = 0; i < 6; ++i) {
    ids.push_back(FreshTenantId());
    Create(stack, ids.back());
  }
  const pid_t before = stack.Kill("postgres/alpha");
  stack.AwaitAgain("postgres/alpha", before);
  for (const std::string& id : ids) EXPECT_TRUE(stack.AwaitState(id, v1::TENANT_STATE_ACTIVE, absl::Minutes(1))) << id;
  EXPECT_TRUE(Eventually([&] { return NothingIsLeftOf(stack, removed); }));
}

TEST(Faults, AnInstanceThatIsDownIsNamedByTheDoctor) {
  Stack& stack = SharedStack();
  const std::string id = FreshTenantId();
  {
    const Stack::WithoutSupervisor alone(stack);
    stack.Kill("postgres/alpha");
    Create(stack, id);
    Stack::Output doctor;
    EXPECT_TRUE(Eventually([&] {
      doctor = stack.Run({"doctor", "--service", "alpha"});
      return doctor.exit_code == 1 && doctor.out.contains("its provisioner says: ");
    })) << doctor.out
        << doctor.err;
    EXPECT_TRUE(Eventually([&] {
      return stack.OnInstance("beta", absl::StrCat("SELECT count(*) FROM pg_database WHERE datname = 'tenant_", id,
                                                   "_beta'")) == "1";
    })) << "the other service is not held up";
  }
  EXPECT_TRUE(stack.AwaitState(id, v1::TENANT_STATE_ACTIVE, absl::Minutes(1)));
  EXPECT_TRUE(Eventually([&] { return stack.Run({"doctor", "--service", "alpha"}).exit_code == 0; }));
}

TEST(Faults, ARegistryThatStandsStill) {
  Stack& stack = SharedStack();
  const std::string id = FreshTenantId();
  stack.SignalAll("postgres/registry", SIGSTOP);
  stack.PublishCreated(id, absl::StrCat("event-", id));
  EXPECT_TRUE(Eventually([&] { return stack.DatabasesOf(id) == 2; })) << "the announcement is enough";
  stack.SignalAll("postgres/registry", SIGCONT);
  EXPECT_TRUE(stack.AwaitState(id, v1::TENANT_STATE_ACTIVE, absl::Minutes(1)));
}

TEST(Faults, NatsThatStandsStill) {
  Stack& stack = SharedStack();
  stack.Signal("nats", SIGSTOP);
  const std::string id = FreshTenantId();
  Create(stack, id);  // waits in the outbox; provisioners also ask
  EXPECT_TRUE(Eventually([&] { return stack.DatabasesOf(id) == 2; })) << "events only make it faster";
  stack.Signal("nats", SIGCONT);
  EXPECT_TRUE(stack.AwaitState(id, v1::TENANT_STATE_ACTIVE, absl::Minutes(1)));
}

TEST(Faults, JetStreamsStorageIsLost) {
  Stack& stack = SharedStack();
  const std::string before = stack.CreateTenant(FreshTenantId());
  const std::string suspended = stack.CreateTenant(FreshTenantId());
  const std::string during = FreshTenantId();
  const pid_t nats = stack.PidOf("nats");
  {
    const Stack::WithoutSupervisor alone(stack);
    stack.Kill("nats");
    Suspend(stack, suspended);
    Create(stack, during);
    ASSERT_GT(std::filesystem::remove_all(stack.state_dir() + "/nats/jetstream"), 0U);
  }
  ASSERT_TRUE(Eventually([&] { return stack.PidOf("nats") > 0 && stack.PidOf("nats") != nats; }));
  EXPECT_TRUE(stack.AwaitState(during, v1::TENANT_STATE_ACTIVE, absl::Minutes(1)));
  EXPECT_TRUE(Eventually([&] { return IsClosed(stack, suspended); }));
  EXPECT_EQ(stack.StateOf(before), v1::TENANT_STATE_ACTIVE);
  // Announcements arrive over the new streams too.
  const std::string after = FreshTenantId();
  stack.PublishCreated(after, absl::StrCat("event-", after));
  EXPECT_TRUE(stack.AwaitState(after, v1::TENANT_STATE_ACTIVE, absl::Minutes(1)));
}

TEST(Faults, WithTheRegistryDownAnAnnouncementAloneMakesTheDatabases) {
  Stack& stack = SharedStack();
  const std::string id = FreshTenantId();
  {
    const Stack::WithoutSupervisor alone(stack);
    stack.Kill("postgres/registry");
    stack.PublishCreated(id, absl::StrCat("event-", id));
    // Twice, late, and a stranger's nonsense between.
    stack.PublishRaw(absl::StrCat("tenants.", id, ".deleted"), "{\"specversion\":\"1.0\"");
    stack.PublishCreated(id, absl::StrCat("event-", id, "-again"));
    EXPECT_TRUE(Eventually([&] { return stack.DatabasesOf(id) == 2; }));
    const Stack::Output doctor = stack.Run({"doctor"});
    EXPECT_EQ(doctor.exit_code, 1);
    EXPECT_THAT(doctor.err, HasSubstr("registry"));
  }
  EXPECT_TRUE(stack.AwaitState(id, v1::TENANT_STATE_ACTIVE, absl::Minutes(1)));
  EXPECT_TRUE(Eventually([&] { return stack.Run({"doctor", "--tenant", id}).exit_code == 0; }));
}

// Which waits for ever, and breaks nothing off: reads are answered, and everything else seems well.
class WithoutItsStandby {
 public:
  WithoutItsStandby(Stack& stack, const std::string& of) : stack_(stack), of_(of) {
    stack_.OnInstance(of_, "ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    stack_.OnInstance(of_, "SELECT pg_reload_conf()");
  }
  ~WithoutItsStandby() {
    stack_.OnInstance(of_, "ALTER SYSTEM RESET synchronous_standby_names");
    stack_.OnInstance(of_, "SELECT pg_reload_conf()");
  }

 private:
  Stack& stack_;
  const std::string of_;
};

TEST(Faults, AnInstanceWhoseCommitsWaitForAStandbySaysSo) {
  Stack& stack = SharedStack();
  const std::string id = FreshTenantId();
  {
    const WithoutItsStandby standing(stack, "alpha");
    Create(stack, id);
    EXPECT_TRUE(Eventually([&] {
      return stack.Run({"doctor", "--service", "alpha"})
          .out.contains("its provisioner says: commits wait for a synchronous standby");
    }));
    EXPECT_EQ(ValueOf(ProvisionerMetrics(stack, "alpha"), "leasehold_provisioner_waits"), 1);
  }
  EXPECT_TRUE(stack.AwaitState(id, v1::TENANT_STATE_ACTIVE, absl::Minutes(1)));
  EXPECT_TRUE(Eventually([&] { return stack.Run({"doctor", "--service", "alpha"}).exit_code == 0; }));
}

TEST(Faults, ARegistryWhoseCommitsWaitForAStandbySaysSo) {
  Stack& stack = SharedStack();
  const std::string id = FreshTenantId();
  std::thread creation;
  {
    const WithoutItsStandby standing(stack, "registry");
    creation = std::thread([&] { Create(stack, id); });
    EXPECT_TRUE(Eventually([&] {
      const Stack::Output status = stack.Run({"status"});
      return status.exit_code == 1 &&
             status.out.contains("registry: the registry gives no answer: commits wait for a synchronous standby");
    }));
  }
  creation.join();
  EXPECT_TRUE(stack.AwaitState(id, v1::TENANT_STATE_ACTIVE, absl::Minutes(1)));
  EXPECT_TRUE(Eventually([&] { return stack.Run({"status"}).exit_code == 0; })) << stack.Run({"status"}).out;
}

// As JetStream does whose disk is full.
TEST(Faults, JetStreamThatTakesNoReports) {
  Stack& stack = SharedStack();
  const auto configure = [&stack](const std::string& bounds) {
    const auto answer = stack.nats().Request(
        "$JS.API.STREAM.UPDATE.PROVISIONING",
        absl::StrCat(R"({"name":"PROVISIONING","subjects":["provisioning.>"],"storage":"file","num_replicas":1,)",
                     R"("max_age":604800000000000,"duplicate_window":120000000000,)", bounds, "}"),
        absl::Seconds(10));
    ASSERT_TRUE(answer.ok()) << answer.status();
    ASSERT_THAT(*answer, Not(HasSubstr("error"))) << *answer;
  };
  configure(R"("max_msgs":1,"discard":"new")");
  const std::string id = FreshTenantId();
  Create(stack, id);
  EXPECT_TRUE(Eventually([&] { return stack.DatabasesOf(id) == 2; }));
  EXPECT_TRUE(Eventually(
      [&] { return stack.Run({"doctor"}).out.contains("its provisioner says: what it has done cannot be reported"); }));
  configure(R"("max_msgs":-1,"discard":"old")");
  EXPECT_TRUE(stack.AwaitState(id, v1::TENANT_STATE_ACTIVE, absl::Minutes(1)));
  EXPECT_TRUE(Eventually([&] { return stack.Run({"doctor"}).exit_code == 0; })) << stack.Run({"doctor"}).out;
}

}  // namespace
}  // namespace leasehold::testing
