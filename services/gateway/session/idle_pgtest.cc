// idle_session_timeout: of a client, and of no server.
#include <gmock/gmock.h>

#include <optional>

#include "services/gateway/session/testing_stack.h"
#include "services/gateway/session/testing_wire.h"

namespace leasehold::gateway::testing_stack {
namespace {

class IdleTest : public EndpointTest {
 protected:
  // Longer than what is shorter than 200 ms, and a session's own measure.
  void AwaitAnothersEnd() {
    const Client other = Connect();
    Wire wire(other);
    EXPECT_EQ(wire.Query("set idle_session_timeout = '200ms'").Talk(), "C(SET) Z(I)");
    EXPECT_EQ(wire.Talk('E'), "E(57P05)");
  }
};

TEST_F(IdleTest, EndsItsClientAndNoServer) {
  Begin({.max_connections = 1});
  Client other = Connect();
  const std::string pid = other.One("select pg_backend_pid()");
  const Client client = Connect();
  Wire wire(client);
  EXPECT_EQ(wire.Query("set idle_session_timeout = '50ms'").Talk(), "C(SET) Z(I)");
  EXPECT_EQ(wire.Talk('E'), "E(57P05)");
  EXPECT_EQ(wire.Talk(), " lost");
  EXPECT_EQ(other.One("select pg_backend_pid()"), pid);
  EXPECT_EQ(other.One("show idle_session_timeout"), "0");
}

TEST_F(IdleTest, OfTheLogIn) {
  for (const char* spelling : {"1s", "1000", "1e3ms"}) {
    const Client client = Connect(std::format("options='-c IDLE_session_timeout={}'", spelling));
    EXPECT_EQ(Wire(client).Talk('E'), "E(57P05)") << spelling;
  }
  for (const char* spelling : {"soon", "-1", "25d"}) {
    const Client client = Connect(std::format("options='-c idle_session_timeout={}'", spelling));
    EXPECT_FALSE(client.ok());
    EXPECT_THAT(client.error(), testing::HasSubstr(std::format(
                                    "invalid value for parameter \"idle_session_timeout\": \"{}\"", spelling)));
  }
}

TEST_F(IdleTest, NotWithinATransactionNorAtWork) {
  Client in_transaction = Connect("options='-c idle_session_timeout=50ms'");
  ASSERT_EQ(in_transaction.One("begin"), "BEGIN");
  Client at_work = Connect("options='-c idle_session_timeout=50ms'");
  ASSERT_EQ(PQsendQuery(at_work.get(), "select pg_sleep(60)"), 1);
  AwaitAnothersEnd();
  EXPECT_EQ(in_transaction.One("select 1"), "1");
  char why[256];
  PGcancel* const cancel = PQgetCancel(at_work.get());
  EXPECT_EQ(PQcancel(cancel, why, sizeof(why)), 1);
  PQfreeCancel(cancel);
  EXPECT_EQ(Client::Show(Client::Result(PQgetResult(at_work.get()), PQclear)), "!57014");
}

TEST_F(IdleTest, WhatEndsIt) {
  for (const char* ends : {"set idle_session_timeout = 0", "reset idle_session_timeout", "reset all", "discard all",
                           "set idle_session_timeout to default", "select 1; reset all",
                           "select set_config('idle_session_timeout', '1h', false)"}) {
    Client client = Connect();
    ASSERT_EQ(client.One("set idle_session_timeout = '100ms'"), "SET");
    client.One(ends);
    AwaitAnothersEnd();
    EXPECT_EQ(client.One("select 1"), "1") << ends;
  }
}

TEST_F(IdleTest, ARollBackLeavesItAsItWas) {
  Client client = Connect();
  ASSERT_EQ(client.One("set idle_session_timeout = '1h'"), "SET");
  ASSERT_EQ(client.One("begin; set idle_session_timeout = '50ms'; rollback"), "ROLLBACK");
  AwaitAnothersEnd();
  EXPECT_EQ(client.One("select 1"), "1");
  const Client other = Connect();
  Wire wire(other);
  EXPECT_EQ(wire.Query("set idle_session_timeout = '50ms'").Talk(), "C(SET) Z(I)");
  EXPECT_EQ(wire.Query("begin; reset idle_session_timeout; rollback").Talk(), "C(BEGIN) C(RESET) C(ROLLBACK) Z(I)");
  EXPECT_EQ(wire.Talk('E'), "E(57P05)");
}

TEST_F(IdleTest, OfAClientThatKeepsItsServer) {
  Client client = Connect();
  ASSERT_EQ(client.One("listen news"), "LISTEN");
  Wire wire(client);
  EXPECT_EQ(wire.Query("set idle_session_timeout = '50ms'").Talk(), "C(SET) Z(I)");
  EXPECT_EQ(wire.Talk('E'), "E(57P05)");
  EXPECT_TRUE(Connect().ok());
}

}  // namespace
}  // namespace leasehold::gateway::testing_stack
