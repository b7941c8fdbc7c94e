// RESET ALL and DISCARD ALL that PostgreSQL does itself: among other statements, in transactions, in pipelines, on a
// server that its session keeps.
#include <gmock/gmock.h>

#include "services/gateway/session/testing_stack.h"
#include "services/gateway/session/testing_wire.h"

namespace leasehold::gateway::testing_stack {
namespace {

class ResetAllTest : public EndpointTest {
 protected:
  static constexpr char kWhere[] = "select current_database()";
  static constexpr char kAcme[] = "tenant_acme_identity";
  static constexpr char kGlobex[] = "tenant_globex_identity";

  void SetUp() override {
    EndpointTest::SetUp();
    Begin({.max_connections = 2});
  }
  // A session at another tenant than its lease's, with settings from its log-in and of its own.
  Client Away(bool kept) {
    Client client = Connect("application_name=payroll options='-c timezone=Etc/GMT+3'");
    client.One("set leasehold.tenant = 'globex'");
    if (kept) client.One("listen news");
    client.One("set work_mem = '12345kB'; set timezone = 'Asia/Tokyo'");
    return client;
  }
  static std::string Settings(Client& client) {
    return client.One(
        "select concat_ws(' ', current_setting('work_mem'), current_setting('timezone'), "
        "current_setting('application_name'))");
  }
};

TEST_F(ResetAllTest, WhatIsSetBesideIt) {
  for (const bool kept : {false, true}) {
    for (const auto& [sql, after] : {
             std::pair("reset all; set work_mem = '77kB'", "77kB Etc/GMT+3 payroll"),
             std::pair("set work_mem = '77kB'; reset all", "4MB Etc/GMT+3 payroll"),
             std::pair("set application_name = 'x'; reset all; set timezone = 'Etc/GMT+4'", "4MB Etc/GMT+4 payroll"),
         }) {
      Client client = Away(kept);
      EXPECT_THAT(client.One(sql), testing::Not(testing::StartsWith("!"))) << sql << client.error();
      EXPECT_EQ(client.One(kWhere), kAcme) << sql << kept;
      EXPECT_EQ(Settings(client), after) << sql << kept;
      Client next = Connect();
      EXPECT_EQ(next.One("show work_mem"), "4MB") << sql << kept;
    }
  }
}

TEST_F(ResetAllTest, OneThatIsUndoneLeavesTheSessionWhereItIs) {
  for (const bool kept : {false, true}) {
    for (const auto& [sql, answer] : {
             std::pair("reset all; select 1/0", "!22012"),
             std::pair("begin; reset all; commit; select 1/0", "!25001"),
             std::pair("select 1/0; reset all", "!22012"),
         }) {
      Client client = Away(kept);
      EXPECT_EQ(client.One(sql), answer);
      EXPECT_EQ(client.One(kWhere), kGlobex) << sql << kept;
      EXPECT_EQ(Settings(client), "12345kB Asia/Tokyo payroll") << sql << kept;
    }
  }
}

// As a switch is.
TEST_F(ResetAllTest, IsRefusedInATransactionElsewhere) {
  for (const bool kept : {false, true}) {
    Client client = Away(kept);
    client.One("begin; savepoint a");
    EXPECT_EQ(client.One("reset all"), "!25001");
    EXPECT_EQ(client.One("rollback to a; reset enable_seqscan"), "RESET");
    EXPECT_EQ(client.OneBound("reset all", {}), "!25001");
    EXPECT_EQ(client.One("rollback to a; commit"), "COMMIT");
    EXPECT_EQ(client.One(kWhere), kGlobex) << kept;
    Wire wire(client);
    EXPECT_EQ(wire.Parse("", "begin").Bind("").Execute().Parse("", "reset all").Bind("").Execute().Sync().Talk(),
              "1 2 C(BEGIN) 1 2 E(25001) Z(E)");
    EXPECT_EQ(wire.Query("rollback").Talk(), "C(ROLLBACK) Z(I)");
    EXPECT_EQ(wire.Query("begin").Query("reset all").Talk(), "C(BEGIN) Z(T)");
    EXPECT_EQ(wire.Talk(), "E(25001) Z(E)");
    EXPECT_EQ(wire.Query("rollback").Talk(), "C(ROLLBACK) Z(I)");
    EXPECT_THAT(wire.Query("show work_mem").Talk(), testing::HasSubstr("D(12345kB)")) << kept;
  }
  Client home = Connect("application_name=payroll");
  home.One("set work_mem = '77kB'");
  EXPECT_EQ(home.One("begin; savepoint a; reset all; rollback to a; commit"), "COMMIT");
  EXPECT_EQ(home.One("show work_mem"), "77kB");
  EXPECT_EQ(home.One("begin; reset all; savepoint a; set work_mem = '88kB'; rollback to a; commit"), "COMMIT");
  EXPECT_EQ(Settings(home).substr(0, 4), "4MB ");
  EXPECT_EQ(home.One("show application_name"), "payroll");
}

TEST_F(ResetAllTest, BehindItAFlushOrACopy) {
  Client client = Away(true);
  Wire wire(client);
  wire.Query("select pg_sleep(0.1); reset all").Flush().Query(kWhere);
  EXPECT_THAT(wire.Talk(), testing::HasSubstr("C(RESET)"));
  EXPECT_THAT(wire.Talk(), testing::HasSubstr(kAcme));
  EXPECT_EQ(wire.Query("create table taken (i int)").Talk(), "C(CREATE TABLE) Z(I)");
  EXPECT_THAT(wire.Query("select 1; reset all; copy taken from stdin").Talk('G'), testing::EndsWith("G"));
  EXPECT_EQ(wire.Query("select 1").Talk(), "E(08P01) Z(I)");
  EXPECT_EQ(wire.Query("drop table taken").Talk(), "C(DROP TABLE) Z(I)");
}

TEST_F(ResetAllTest, InAPipeline) {
  for (const bool kept : {false, true}) {
    Client client = Away(kept);
    Wire wire(client);
    // The failure of one batch does not undo the next; what comes behind a RESET ALL finds the session at home.
    EXPECT_EQ(wire.Parse("", "select 1/0").Bind("").Execute().Sync().Talk(), "1 E(22012) Z(I)");
    wire.Parse("", "select 1/0").Bind("").Execute().Sync();
    wire.Parse("", "reset all").Bind("").Execute().Sync();
    wire.Parse("", kWhere).Bind("").Execute().Sync();
    std::string heard = wire.Talk();
    for (int syncs = 1; syncs < 3; ++syncs) heard += " " + wire.Talk();
    EXPECT_THAT(heard, testing::HasSubstr("C(RESET) Z(I)"));
    EXPECT_THAT(heard, testing::HasSubstr(std::string("D(") + kAcme + ")")) << kept;
    EXPECT_THAT(wire.Query("show work_mem").Talk(), testing::HasSubstr("D(4MB)")) << kept;
  }
}

TEST_F(ResetAllTest, OneThatIsOnlyPreparedDoesNothing) {
  Client client = Away(true);
  Wire wire(client);
  EXPECT_EQ(wire.Parse("", "reset all").Bind("").Sync().Query("reset enable_seqscan").Talk(), "1 2 Z(I)");
  EXPECT_EQ(wire.Talk(), "C(RESET) Z(I)");
  EXPECT_THAT(wire.Query(kWhere).Talk(), testing::HasSubstr(kGlobex));
  EXPECT_THAT(wire.Query("show work_mem").Talk(), testing::HasSubstr("D(12345kB)"));
}

TEST_F(ResetAllTest, DiscardAllOfAKeptServer) {
  Client client = Away(true);
  Wire wire(client);
  wire.Parse("", "discard all").Bind("").Execute().Sync().Query("set work_mem = '77kB'").Query(kWhere);
  std::string heard = wire.Talk();
  for (int syncs = 1; syncs < 3; ++syncs) heard += " " + wire.Talk();
  EXPECT_THAT(heard, testing::HasSubstr("C(DISCARD ALL) Z(I)"));
  EXPECT_THAT(heard, testing::HasSubstr(std::string("D(") + kAcme + ")"));
  EXPECT_THAT(wire.Query("show work_mem").Talk(), testing::HasSubstr("D(77kB)"));
  EXPECT_THAT(wire.Query("show leasehold.pinned").Talk(), testing::HasSubstr("D()"));
}

}  // namespace
}  // namespace leasehold::gateway::testing_stack
