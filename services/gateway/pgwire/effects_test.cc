#include "services/gateway/pgwire/effects.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <format>

namespace leasehold::gateway::pgwire {
namespace {

using testing::ElementsAre;

TEST(EffectsTest, MostStatementsHaveNone) {
  for (const char* sql : {
           "SELECT abalance FROM pgbench_accounts WHERE aid = 1;",
           "select count(*), max(lower(name)) from t where a in (1, 2) and exists (select 1)",
           "insert into t (a, b) values (1, 'listen; set x = 1') on conflict (a) do update set b = excluded.b",
           "with x (a) as (select 1) select * from x",
           "update t set a = coalesce(a, 0) + 1 returning *",
           "BEGIN",
           "commit; begin",
           "set local timezone = 'UTC'",
           "set transaction isolation level serializable",
           "set transaction_read_only = on",
           "select set_config('app.user', 'x', true)",
           "select pg_advisory_xact_lock(1)",
           "create temp table t (a int) on commit drop",
           "prepare transaction 'x'",
           "copy t from stdin",
           "declare c cursor for select 1",
           "/* set x = 1 */ select 1 -- listen y",
           "select $$ do $$",
           "",
           ";;",
       }) {
    EXPECT_TRUE(EffectsOf(sql).none()) << sql;
  }
}

TEST(EffectsTest, Settings) {
  EXPECT_THAT(EffectsOf("SET search_path TO a, b").sets, ElementsAre("search_path"));
  EXPECT_THAT(EffectsOf("set session app.user = 'x'; SET TIME ZONE 'UTC'").sets, ElementsAre("app.user", "timezone"));
  EXPECT_THAT(EffectsOf("set transaction_timeout = 5").sets, ElementsAre("transaction_timeout"));
  EXPECT_THAT(EffectsOf("set names 'utf8'").sets, ElementsAre("client_encoding"));
  EXPECT_THAT(EffectsOf("select set_config('app.user', $1, false)").sets, ElementsAre("app.user"));
  EXPECT_THAT(EffectsOf("select pg_catalog.set_config('a.b', f('x', 'y'), 'f')").sets, ElementsAre("a.b"));
  EXPECT_THAT(EffectsOf("set session characteristics as transaction read only").sets.size(), 3u);
  EXPECT_THAT(EffectsOf("reset search_path").resets, ElementsAre("search_path"));
  EXPECT_THAT(EffectsOf("set \"Odd Name\" to default").resets, ElementsAre("odd name"));
  EXPECT_THAT(EffectsOf("select set_config('DateStyle', 'German', false)").sets, ElementsAre("datestyle"));
  EXPECT_TRUE(EffectsOf("reset all").resets_all);
  EXPECT_TRUE(EffectsOf("discard all").resets_all);
  EXPECT_EQ(EffectsOf("select set_config($1, $2, false)").bound_sets, 1u << 1);
  EXPECT_EQ(EffectsOf("select set_config($2::text, $1, $3), set_config($4, '', false)").bound_sets, 1u << 2 | 1u << 4);
  EXPECT_EQ(EffectsOf("select set_config($1, $2, true)").bound_sets, 0u);
  EXPECT_FALSE(EffectsOf("select set_config($1, $2, false)").unknown);
  EXPECT_TRUE(EffectsOf("select set_config($32, $2, false)").unknown);
  EXPECT_TRUE(EffectsOf("select set_config(name, value, false) from t").unknown);
  // What it is now, nobody tells.
  EXPECT_TRUE(EffectsOf("set seed = 0.5").unknown);
  EXPECT_TRUE(EffectsOf("set session authorization default").unknown);
  EXPECT_TRUE(EffectsOf("reset session authorization").unknown);
}

TEST(EffectsTest, NamesThatAreBoundCountAsThoseThatAreWritten) {
  Effects effects;
  NoteSet(effects, "TimeZone");
  NoteSet(effects, "Transaction_Isolation");
  EXPECT_THAT(effects.sets, ElementsAre("timezone"));
  EXPECT_FALSE(effects.unknown);
  NoteSet(effects, "Seed");
  EXPECT_THAT(effects.sets, ElementsAre("timezone"));
  EXPECT_TRUE(effects.unknown);
}

// PostgreSQL cuts them, so that another parameter is set than is written.
TEST(EffectsTest, NamesThatAreTooLongAreNotFollowed) {
  const std::string long_one(64, 'a');
  for (const std::string& sql :
       {std::format("set app.{} = 1", long_one), std::format("set {}.b = 1", long_one),
        std::format("reset app.{}", long_one), std::format("set app.{} to default", std::string(1'000, 'a')),
        std::format("select set_config('{}', 'x', false)", std::string(200, 'a'))}) {
    EXPECT_TRUE(EffectsOf(sql).unknown) << sql;
  }
  const Effects effects = EffectsOf(std::format("set app.{} = 1", std::string(63, 'a')));
  EXPECT_FALSE(effects.unknown);
  EXPECT_EQ(effects.sets.size(), 1U);
  EXPECT_TRUE(EffectsOf(std::format("set {} = 1", std::string(1'000, 'a'))).sets.empty());
}

TEST(EffectsTest, Pins) {
  EXPECT_EQ(EffectsOf("LISTEN news").pins, kPinListen);
  EXPECT_TRUE(EffectsOf("unlisten *").none()) << "its command tag says so";
  EXPECT_EQ(EffectsOf("create temp table t as select 1").pins, kPinTemporary);
  EXPECT_EQ(EffectsOf("create local temporary view v as select 1").pins, kPinTemporary);
  EXPECT_EQ(EffectsOf("select 1 as a into temp t").pins, kPinTemporary);
  EXPECT_EQ(EffectsOf("select temp from t").pins, 0);
  EXPECT_EQ(EffectsOf("explain analyze create temp table t as select 1").pins, kPinTemporary);
  EXPECT_EQ(EffectsOf("create table pg_temp.t (i int)").pins, kPinTemporary);
  EXPECT_EQ(EffectsOf("select 1 as a into \"pg_temp\".t").pins, kPinTemporary);
  EXPECT_EQ(EffectsOf("select a from pg_temp.t").unpins, kPinTemporary) << "asked";
  EXPECT_EQ(EffectsOf("declare c cursor with hold for select 1").pins, kPinCursor);
  EXPECT_TRUE(EffectsOf("close all").none());
  EXPECT_EQ(EffectsOf("select pg_try_advisory_lock(1, 2)").pins, kPinAdvisoryLock);
  EXPECT_EQ(EffectsOf("select pg_advisory_unlock(1)").pins, 0);
  EXPECT_EQ(EffectsOf("select pg_advisory_unlock(1)").unpins, kPinAdvisoryLock);
  EXPECT_EQ(EffectsOf("select pg_advisory_unlock_all()").unpins, kPinAdvisoryLock);
  EXPECT_EQ(EffectsOf("create function pg_temp.f() returns int language sql as 'select 1'").pins, kPinTemporary);
  EXPECT_EQ(EffectsOf("select 1 into pg_temp.t").pins, kPinTemporary);
  EXPECT_EQ(EffectsOf("select * from pg_temp.t").unpins, kPinTemporary);
  EXPECT_EQ(EffectsOf("prepare p as select 1").pins, kPinPrepare);
  EXPECT_THAT(EffectsOf("PREPARE P (int) as select $1").prepares,
              ElementsAre(testing::Pair("p", "PREPARE P (int) as select $1")));
  EXPECT_THAT(EffectsOf("select 1; /* a; */ prepare \"P q\" as select ';' ; prepare r as select 2 -- r").prepares,
              ElementsAre(testing::Pair("P q", "prepare \"P q\" as select ';' "),
                          testing::Pair("r", "prepare r as select 2 -- r")));
}

TEST(EffectsTest, FunctionsNamedLikeKeywords) {
  for (const char* sql : {"select add(1)", "select key()", "select filter(1)", "select over(1)", "select by(1)",
                          "select next(1), first(2)", "select list(1)", "select option(1)"}) {
    EXPECT_TRUE(EffectsOf(sql).unknown) << sql;
  }
  for (const char* sql :
       {"select count(*) filter (where a > 1) over (partition by (a) order by (b)) from t group by (a)",
        "insert into t (a) values (1) on conflict (a) do nothing",
        "with x as materialized (select 1), y as not materialized (select 2) select * from x, y",
        "create table t (i int, primary key (i))", "select '1'::character varying (3)",
        "select * from a join (select 1) b on a.i like ('x')"}) {
    EXPECT_FALSE(EffectsOf(sql).unknown) << sql;
  }
}

TEST(EffectsTest, NamesThatAreWrittenWithEscapesAreNotRead) {
  EXPECT_TRUE(EffectsOf("set U&\"w\\006frk_mem\" = '9MB'").unknown);
  EXPECT_TRUE(EffectsOf("set u&\"lease\\0068old\".tenant = 'x'").unknown);
  EXPECT_TRUE(EffectsOf("select set_config(U&'w\\006frk_mem', '9MB', false)").unknown);
  EXPECT_FALSE(EffectsOf("select u & 'x'").unknown);
}

TEST(EffectsTest, OfTheTemporarySchemaTheServerIsAsked) {
  for (const char* sql :
       {"set local search_path = pg_temp", "set search_path to \"PG_TEMP\"", "select 1 into table pg_temp.x",
        "create table pg_temp.x (i int)", "select set_config('search_path', ' pg_temp', true)",
        "select set_config('search_path', $1, true)"}) {
    EXPECT_EQ(EffectsOf(sql).pins & kPinTemporary, kPinTemporary) << sql;
    EXPECT_EQ(EffectsOf(sql).unpins & kPinTemporary, kPinTemporary) << sql;
  }
  EXPECT_TRUE(EffectsOf("select set_config('search_path', 'own', true)").none());
  EXPECT_TRUE(EffectsOf("set local search_path = own").none());
}

TEST(EffectsTest, WhatIsMadeWhereTheSearchPathSays) {
  for (const char* sql :
       {"create table t (i int)", "CREATE TABLE t AS SELECT 1", "select 1 into t", "SELECT a INTO t FROM b",
        "explain analyze create table t as select 1", "with x as (select 1) select * into t from x"}) {
    EXPECT_TRUE(EffectsOf(sql).creates) << sql;
  }
  for (const char* sql :
       {"insert into t values (1)", "select 1", "merge into t using s on true when matched then delete",
        "update t set i = 1", "insert into t select * from s"}) {
    EXPECT_FALSE(EffectsOf(sql).creates) << sql;
  }
}

TEST(EffectsTest, WhatCannotBeToldIsUnknown) {
  EXPECT_TRUE(EffectsOf("select my_function(1)").unknown);
  EXPECT_TRUE(EffectsOf("select \"where\"(1)").unknown) << "a function of somebody's own";
  EXPECT_TRUE(EffectsOf("select app.my_function(1)").unknown);
  EXPECT_TRUE(EffectsOf("select 1 from a join b on my_function(a.i)").unknown);
  EXPECT_TRUE(EffectsOf("create table t as select 1 from a join b on my_function(a.i)").unknown);
  EXPECT_FALSE(EffectsOf("create index on my_table (a)").unknown);
  EXPECT_TRUE(EffectsOf("do $$ begin perform 1; end $$").unknown);
  EXPECT_TRUE(EffectsOf("call p()").unknown);
  EXPECT_TRUE(EffectsOf("select \"Count\"(1)").unknown);
  EXPECT_FALSE(EffectsOf("select COUNT(1)").unknown);
  EXPECT_FALSE(EffectsOf("select pg_catalog.count(1)").unknown);
  EXPECT_TRUE(EffectsOf("select mine.count(1)").unknown);
}

TEST(EffectsTest, ConcernsTheGateway) {
  EXPECT_TRUE(EffectsOf("set leasehold.tenant = 'a'").concerns_gateway);
  EXPECT_TRUE(EffectsOf("select 1; deallocate p").concerns_gateway);
  EXPECT_TRUE(EffectsOf("discard plans").concerns_gateway);
  EXPECT_FALSE(EffectsOf("set search_path = a").concerns_gateway);
}

TEST(EffectsTest, TransactionBlocks) {
  EXPECT_EQ(EffectsOf("select 1").last_block, Block::kNone);
  EXPECT_EQ(EffectsOf("BEGIN").first_block, Block::kBegins);
  EXPECT_EQ(EffectsOf("start transaction read only").last_block, Block::kBegins);
  EXPECT_EQ(EffectsOf("Commit;").first_block, Block::kCommits);
  EXPECT_EQ(EffectsOf("end work").last_block, Block::kCommits);
  EXPECT_EQ(EffectsOf("rollback").first_block, Block::kRollsBack);
  EXPECT_EQ(EffectsOf(" abort and no chain").last_block, Block::kRollsBack);
  EXPECT_EQ(EffectsOf("rollback and chain").last_block, Block::kBegins);
  for (const char* sql :
       {"rollback to s", "rollback work to savepoint s", "commit prepared 'x'", "rollback prepared 'x'"}) {
    EXPECT_EQ(EffectsOf(sql).last_block, Block::kNone) << sql;
  }
  const Effects both = EffectsOf("begin; insert into t values (1); commit");
  EXPECT_EQ(both.first_block, Block::kBegins);
  EXPECT_EQ(both.last_block, Block::kCommits);
  EXPECT_EQ(EffectsOf("select 1; commit").first_block, Block::kNone);
}

TEST(EffectsTest, NamesOfSettingsThatAreExpressions) {
  EXPECT_TRUE(EffectsOf("select set_config('a.' || 'b', 'x', false)").unknown);
  EXPECT_TRUE(EffectsOf("select set_config('a.'::text || 'b', 'x', false)").unknown);
  EXPECT_THAT(EffectsOf("select set_config('a.b'::text, 'x', false)").sets, ElementsAre("a.b"));
  EXPECT_THAT(EffectsOf("select set_config('a.b', 'x', true and false)").sets, ElementsAre("a.b"));
  EXPECT_TRUE(EffectsOf("select set_config('a.b', 'x', true)").none());
}

}  // namespace
}  // namespace leasehold::gateway::pgwire
