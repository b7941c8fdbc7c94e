// What a statement leaves behind and does not show at first sight: nobody else meets it.
#include <gmock/gmock.h>

#include "services/gateway/session/testing_stack.h"

namespace leasehold::gateway::testing_stack {
namespace {

class HiddenTest : public EndpointTest {
 protected:
  void SetUp() override {
    EndpointTest::SetUp();
    Begin({.max_connections = 2});
  }
};

TEST_F(HiddenTest, TemporaryTablesByWayOfThePath) {
  Client two = Connect();
  EXPECT_EQ(two.One("create table hid (i int)"), "CREATE TABLE");
  EXPECT_EQ(two.One("insert into hid values (1)"), "INSERT 0 1");
  for (const char* sql :
       {"begin; set local search_path = pg_temp; create table hid (i int); insert into hid values (666); commit",
        "select set_config('search_path', ' \"pg_temp\"', false); create table hid (i int)",
        "select 666 as i into table pg_temp.hid"}) {
    Client one = Connect();
    ASSERT_THAT(one.One(sql), testing::Not(testing::StartsWith("!"))) << sql << one.error();
    EXPECT_EQ(one.One("show leasehold.pinned"), "temporary tables") << sql;
    EXPECT_EQ(two.One("select i from public.hid"), "1") << sql;
    EXPECT_EQ(two.One("select i from hid"), "1") << sql;
    EXPECT_EQ(one.One("select count(*) from pg_class where relname = 'hid' and relnamespace = pg_my_temp_schema()"),
              "1")
        << sql;
  }
  EXPECT_EQ(two.One("drop table public.hid"), "DROP TABLE");
}

TEST_F(HiddenTest, SettingsByFunctionsNamedLikeKeywordsAndByEscapedNames) {
  Begin({.max_connections = 1});
  Client one = Connect();
  Client two = Connect();
  one.One(
      "create function filter(int) returns text language sql as $$ select set_config('app.leak', 'evil', false) $$");
  EXPECT_EQ(one.One("select filter(1)"), "evil");
  EXPECT_EQ(two.One("select current_setting('app.leak', true)"), "");
  EXPECT_EQ(one.One("set U&\"w\\006frk_mem\" = '77kB'"), "SET");
  EXPECT_EQ(two.One("show work_mem"), "4MB");
  EXPECT_EQ(one.One("set U&\"lease\\0068old\".tenant = 'spoofed'"), "SET");
  EXPECT_EQ(two.One("select 1 where current_setting('leasehold.tenant', true) = 'spoofed'"), "");
  EXPECT_EQ(one.One("drop function filter(int)"), "DROP FUNCTION");
}

}  // namespace
}  // namespace leasehold::gateway::testing_stack
