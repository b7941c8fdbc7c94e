// What the audit hears of SQL sessions.
#include <gmock/gmock.h>

#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/gateway/audit/recorder.h"
#include "services/gateway/audit/testing_config.h"
#include "services/gateway/audit/testing_events.h"
#include "services/gateway/session/testing_wire.h"

namespace leasehold::gateway::testing_stack {
namespace {

using testing::ElementsAre;

class AuditTest : public EndpointTest {
 protected:
  void SetUp() override {
    EndpointTest::SetUp();
    Record("continue");
  }

  void Record(const std::string& on_failure) {
    endpoint_.reset();
    recorder_.emplace(AuditConfigOf(on_failure), clock_, recorder_metrics_);
    Begin({.audit = &*recorder_});
  }
  void TearDown() override {
    EndpointTest::TearDown();
    recorder_.reset();
  }

  std::vector<v1::AuditEvent> Events() {
    std::vector<v1::AuditEvent> events = TakeEvents(*recorder_);
    for (const v1::AuditEvent& event : events) {
      EXPECT_FALSE(event.DebugString().contains(acme_)) << "the lease's password";
    }
    return events;
  }
  // "globex from acme", "!SWITCH_NOT_ALLOWED initech from acme".
  std::vector<std::string> Switches() {
    std::vector<std::string> switches;
    for (const v1::AuditEvent& event : Events()) {
      EXPECT_EQ(event.action(), v1::AUDIT_ACTION_SESSION_SWITCH);
      EXPECT_TRUE(event.address().starts_with("127.0.0.1:")) << event.address();
      EXPECT_EQ(event.principal(), "dns:payroll");
      EXPECT_EQ(event.service(), "identity");
      EXPECT_FALSE(event.lease().empty());
      switches.push_back(absl::StrCat(
          event.outcome() == v1::REASON_UNSPECIFIED ? "" : absl::StrCat("!", v1::Reason_Name(event.outcome()), " "),
          event.tenant(), " ", event.detail()));
    }
    return switches;
  }

  Metrics recorder_metrics_;
  std::optional<AuditRecorder> recorder_;
};

TEST_F(AuditTest, EverySwitchInEveryForm) {
  Client client = Connect();
  EXPECT_EQ(client.One("select 1"), "1");
  EXPECT_EQ(client.One("SET leasehold.tenant = 'globex'"), "SET");
  EXPECT_EQ(client.One("SET leasehold.tenant = 'globex'"), "SET");  // goes nowhere
  EXPECT_EQ(client.OneBound("select set_config('leasehold.tenant', $1, false)", {"initech"}), "initech");
  EXPECT_EQ(client.One("RESET leasehold.tenant"), "RESET");
  EXPECT_EQ(client.One("SET leasehold.tenant = 'globex'"), "SET");
  EXPECT_EQ(client.One("DISCARD ALL"), "DISCARD ALL");
  EXPECT_EQ(client.One("select 1"), "1");
  EXPECT_THAT(Switches(), ElementsAre("globex from acme", "initech from globex", "acme from initech",
                                      "globex from acme", "acme from globex"));
}

TEST_F(AuditTest, SwitchesThatAreRefused) {
  const std::string password = authority_.Lease("lh1.narrow", {.home = "acme", .switch_to = {}});
  Client client(Dsn("lh1.narrow", password));
  EXPECT_EQ(client.One("SET leasehold.tenant = 'globex'"), "!42501");
  EXPECT_EQ(client.OneBound("select set_config('leasehold.tenant', $1, false)", {"globex"}), "!42501");
  EXPECT_EQ(client.One("begin"), "BEGIN");
  EXPECT_EQ(client.One("SET leasehold.tenant = 'globex'"), "!25001");
  EXPECT_THAT(Switches(),
              ElementsAre("!REASON_SWITCH_NOT_ALLOWED globex from acme", "!REASON_SWITCH_NOT_ALLOWED globex from acme",
                          "!REASON_IN_TRANSACTION globex from acme"));
}

TEST_F(AuditTest, LogInsThatAreRefused) {
  EXPECT_TRUE(Connect().ok());
  EXPECT_FALSE(Client(Dsn("lh1.acme", "not-the-password")).ok());
  EXPECT_FALSE(Client(Dsn("lh1.nobody", "x")).ok());
  const std::vector<v1::AuditEvent> events = Events();
  ASSERT_EQ(events.size(), 2U);
  for (const v1::AuditEvent& event : events) {
    EXPECT_EQ(event.action(), v1::AUDIT_ACTION_SESSION_LOGIN);
    EXPECT_EQ(event.outcome(), v1::REASON_BAD_CREDENTIALS);
    EXPECT_TRUE(event.address().starts_with("127.0.0.1:"));
    EXPECT_EQ(event.detail(), "28P01");
    EXPECT_EQ(event.principal(), "") << "nobody has proven to hold the lease";
  }
}

TEST_F(AuditTest, ALogInThatAsksForAnotherTenantIsASwitch) {
  EXPECT_EQ(Connect("options='-c a.b=c'").One("select 1"), "1");
  Client client = Connect("dbname=tenant_globex_identity");
  EXPECT_EQ(client.One("select current_database()"), "tenant_globex_identity");
  EXPECT_THAT(Switches(), ElementsAre("globex at log-in"));
}

TEST_F(AuditTest, NoSwitchThatCannotBeRecorded) {
  Record("refuse");
  Client client = Connect();
  for (int i = 0; i < 1000; ++i) recorder_->Record({.action = v1::AUDIT_ACTION_LEASE_RENEW});
  EXPECT_EQ(client.One("SET leasehold.tenant = 'globex'"), "!58000");
  EXPECT_EQ(client.One("select current_database()"), "tenant_acme_identity");
  Events();
  EXPECT_EQ(client.One("SET leasehold.tenant = 'globex'"), "SET");
  EXPECT_THAT(Switches(), ElementsAre("globex from acme"));
}

}  // namespace
}  // namespace leasehold::gateway::testing_stack
