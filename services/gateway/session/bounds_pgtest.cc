// How much a transaction may leave to be kept count of.
#include <gmock/gmock.h>

#include <format>
#include <string>

#include "services/gateway/session/testing_stack.h"

namespace leasehold::gateway::testing_stack {
namespace {

class BoundsTest : public EndpointTest {};

TEST_F(BoundsTest, SettingsOfOneTransaction) {
  Client client = Connect();
  std::string many;
  for (int i = 0; i < 4'000; ++i) many += "set app.one = 1; ";
  ASSERT_EQ(client.One("begin"), "BEGIN");
  EXPECT_EQ(client.One(many), "SET");
  EXPECT_EQ(client.One(many), "SET");
  const auto refused = client.Exec(many);
  EXPECT_EQ(Client::Show(refused), "!54000");
  EXPECT_THAT(PQresultErrorMessage(refused.get()), testing::HasSubstr("a transaction may set 10000 settings"));
  EXPECT_EQ(client.One("select 1"), "!25P02");
  EXPECT_EQ(client.One("rollback"), "ROLLBACK");
  EXPECT_EQ(client.One(many), "SET");
  EXPECT_EQ(client.One("show app.one"), "1");
}

TEST_F(BoundsTest, StatementsPreparedUnderNamesThatWereInUse) {
  Client client = Connect();
  for (int i = 0; i < 10; ++i) ASSERT_EQ(client.One(std::format("prepare p{} as select 1", i)), "PREPARE");
  const std::string text(900'000, 'x');
  ASSERT_EQ(client.One("begin"), "BEGIN");
  for (int i = 0; i < 10; ++i) {
    ASSERT_EQ(client.One(std::format("deallocate p{}", i)), "DEALLOCATE");
    EXPECT_EQ(client.One(std::format("prepare p{} as select '{}'", i, text)), i < 9 ? "PREPARE" : "!54000") << i;
  }
  EXPECT_EQ(client.One("rollback"), "ROLLBACK");
  EXPECT_EQ(client.One("select 1"), "1");
}

}  // namespace
}  // namespace leasehold::gateway::testing_stack
