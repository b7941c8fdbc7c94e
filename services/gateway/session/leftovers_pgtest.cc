// Two clients of one tenant take turns on one server: what the first has set, made, locked or left open is not there
// for the second, and is still there for the first.
#include <gmock/gmock.h>
#include <sys/socket.h>

#include <atomic>
#include <functional>
#include <thread>

#include "services/gateway/session/testing_stack.h"

namespace leasehold::gateway::testing_stack {
namespace {

class LeftoversTest : public EndpointTest {
 protected:
  void SetUp() override {
    EndpointTest::SetUp();
    Begin({.max_connections = 1});
  }

  static std::string Pid(Client& client) { return client.One("select pg_backend_pid()"); }

  // Everything but settings that a session can have; temporary objects, channels, advisory locks, cursors, statements
  // prepared by SQL, the role, an open transaction.
  static std::string Has(Client& client) {
    return client.One(
        "select concat_ws('|', (select string_agg(relname, ',') from pg_class where relnamespace = pg_my_temp_schema() "
        "and relkind in ('r', 'v')), (select string_agg(c, ',') from pg_listening_channels() c), "
        "(select string_agg(objid::text, ',') from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()), "
        "(select string_agg(name, ',') from pg_cursors where name <> ''), "
        "(select string_agg(name, ',') from pg_prepared_statements where name not like 'leasehold\\_%'), "
        "nullif(current_user, 'tenant_acme_identity'), nullif(session_user, 'tenant_acme_identity'), "
        "pg_current_xact_id_if_assigned()::text)");
  }
  static std::string Setting(Client& client, const std::string& name) {
    return client.One("select current_setting('" + name + "', true)");
  }
  static void Vanish(Client& client) { ::shutdown(PQsocket(client.get()), SHUT_RDWR); }
};

TEST_F(LeftoversTest, EverySettingThatClientsSet) {
  const std::vector<std::pair<std::string, std::string>> settings = {
      {"application_name", "set application_name = 'payroll'"},
      {"timezone", "set time zone 'Asia/Tokyo'"},
      {"timezone", "set TimeZone to 'Etc/GMT+5'"},
      {"timezone", "select set_config('TimeZone', 'Asia/Tokyo', false)"},
      {"datestyle", "set datestyle = 'German'"},
      {"intervalstyle", "set intervalstyle = 'iso_8601'"},
      {"client_encoding", "set client_encoding = 'LATIN1'"},
      {"client_encoding", "set names 'LATIN1'"},
      {"search_path", "set search_path = own, public"},
      {"search_path", "set schema 'own'"},
      {"search_path", "set search_path = own, pg_catalog"},
      {"statement_timeout", "set statement_timeout = '45s'"},
      {"lock_timeout", "set lock_timeout = 45000"},
      {"idle_in_transaction_session_timeout", "set idle_in_transaction_session_timeout = '1min'"},
      {"transaction_timeout", "set transaction_timeout = '1h'"},
      {"default_transaction_isolation", "set default_transaction_isolation = 'serializable'"},
      {"default_transaction_isolation", "set session characteristics as transaction isolation level repeatable read"},
      {"default_transaction_read_only", "set session characteristics as transaction read only"},
      {"default_transaction_deferrable", "set default_transaction_deferrable = on"},
      {"extra_float_digits", "set extra_float_digits = 3"},
      {"bytea_output", "set bytea_output = 'escape'"},
      {"standard_conforming_strings", "set standard_conforming_strings = off"},
      {"backslash_quote", "set backslash_quote = off"},
      {"escape_string_warning", "set escape_string_warning = off"},
      {"client_min_messages", "set client_min_messages = 'error'"},
      {"synchronous_commit", "set synchronous_commit = off"},
      {"work_mem", "set work_mem = '12345kB'"},
      {"maintenance_work_mem", "set maintenance_work_mem = '12345kB'"},
      {"enable_seqscan", "set enable_seqscan to off"},
      {"random_page_cost", "set random_page_cost = 1.1"},
      {"plan_cache_mode", "set plan_cache_mode = 'force_custom_plan'"},
      {"jit", "set session jit = off"},
      {"geqo", "set geqo = off"},
      {"row_security", "set row_security = off"},
      {"constraint_exclusion", "set constraint_exclusion = on"},
      {"check_function_bodies", "set check_function_bodies = off"},
      {"default_text_search_config", "set default_text_search_config = 'simple'"},
      {"lc_monetary", "set lc_monetary = 'POSIX'"},
      {"array_nulls", "set array_nulls = off"},
      {"quote_all_identifiers", "set quote_all_identifiers = on"},
      {"transform_null_equals", "set transform_null_equals = on"},
      {"xmloption", "set xml option document"},
      {"xmlbinary", "set xmlbinary = 'hex'"},
      {"app.owner", "set app.owner = 'O''Brien \\ Söhne'"},
      {"app.owner", "select set_config('App.Owner', 'ann', false)"},
      {"role", "set role 'tenant_acme_identity'"},
  };
  Client one = Connect();
  Client two = Connect();
  const std::string pid = Pid(one);
  for (const auto& [name, sql] : settings) {
    const std::string before = Setting(two, name);
    ASSERT_THAT(one.One(sql), testing::Not(testing::StartsWith("!"))) << sql << one.error();
    EXPECT_EQ(Setting(two, name), before) << sql;
    const std::string set = Setting(one, name);
    EXPECT_NE(set, before) << sql;
    EXPECT_EQ(two.One("begin"), "BEGIN");
    EXPECT_EQ(Setting(two, name), before) << sql;
    EXPECT_EQ(two.One("commit"), "COMMIT");
    EXPECT_EQ(Setting(one, name), set) << sql;
    EXPECT_EQ(one.One("reset \"" + (name == "app.owner" ? "app\".\"owner" : name) + "\""), "RESET") << one.error();
    EXPECT_EQ(Setting(one, name), before) << sql;
    EXPECT_EQ(Setting(two, name), before) << sql;
  }
  EXPECT_EQ(Pid(two), pid);
  EXPECT_EQ(Pid(one), pid);
}

TEST_F(LeftoversTest, OneNameInManySpellings) {
  Client one = Connect("options='-c TIMEZONE=Etc/GMT+1'");
  Client two = Connect();
  const std::string before = Setting(two, "timezone");
  const std::vector<std::pair<std::string, std::string>> steps = {
      {"select 1", "Etc/GMT+1"},
      {"set timezone = 'Etc/GMT+2'", "Etc/GMT+2"},
      {"select set_config('TimeZone', 'Etc/GMT+3', false)", "Etc/GMT+3"},
      {"set \"TimeZone\" = 'Etc/GMT+4'", "Etc/GMT+4"},
      {"set time zone 'Etc/GMT+5'", "Etc/GMT+5"},
      {"reset Timezone", "Etc/GMT+1"},
  };
  for (const auto& [sql, expected] : steps) {
    one.One(sql);
    EXPECT_EQ(Setting(two, "timezone"), before) << sql;
    EXPECT_EQ(Setting(one, "timezone"), expected) << sql;
  }
  EXPECT_EQ(one.OneBound("select set_config($1, $2, false)", {"TimeZone", "Etc/GMT+6"}), "Etc/GMT+6");
  EXPECT_EQ(Setting(two, "timezone"), before);
  EXPECT_EQ(Setting(one, "timezone"), "Etc/GMT+6");
  one.One("reset timezone");
  EXPECT_EQ(Setting(one, "timezone"), "Etc/GMT+1");
}

TEST_F(LeftoversTest, SettingsInAnyEncoding) {
  Client one = Connect("client_encoding=UTF8");
  Client two = Connect("client_encoding=LATIN1");
  one.One("set app.name = 'Zoë'");
  two.One("set app.name = 'Zo\xeb'");
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(Setting(one, "app.name"), "Zoë");
    EXPECT_EQ(Setting(two, "app.name"), "Zo\xeb");
    EXPECT_EQ(two.One("select length(current_setting('app.name'))"), "3");
    EXPECT_EQ(one.One("select length(current_setting('app.name'))"), "3");
  }
}

TEST_F(LeftoversTest, WhatIsRolledBackWasNotDone) {
  Client one = Connect("application_name=payroll");
  Client two = Connect();
  one.One("set search_path = own");
  one.One("set timezone = 'Asia/Tokyo'");
  const std::vector<std::vector<std::string>> attempts = {
      {"begin", "reset search_path", "rollback"},
      {"begin", "reset all", "rollback"},
      {"begin", "set search_path = other", "rollback"},
      {"begin", "set search_path = other", "select 1/0", "commit"},
      {"begin", "set session search_path to default", "rollback"},
      {"begin", "savepoint s", "set search_path = other", "rollback to s", "commit"},
      {"set search_path = other; select 1/0"},
      {"reset all; select 1/0"},
      {"begin", "set log_statement = 'all'", "rollback"},
      {"begin", "select set_config('log_statement', 'all', false)", "rollback"},
      {"set log_statement = 'all'"},
      {"begin", "listen news", "create temp table t (i int)", "rollback"},
      {"listen news; select 1/0"},
  };
  for (const auto& attempt : attempts) {
    for (const std::string& sql : attempt) one.One(sql);
    EXPECT_EQ(Setting(two, "search_path"), "\"$user\", public") << attempt.front() << attempt.back();
    EXPECT_NE(Setting(two, "timezone"), "Asia/Tokyo") << attempt.front() << attempt.back();
    EXPECT_EQ(Has(two), "") << attempt.front() << attempt.back();
    EXPECT_EQ(Setting(one, "search_path"), "own") << attempt.front() << attempt.back();
    EXPECT_EQ(Setting(one, "timezone"), "Asia/Tokyo") << attempt.front() << attempt.back();
    EXPECT_EQ(Setting(one, "application_name"), "payroll") << attempt.front() << attempt.back();
    EXPECT_EQ(one.One("show leasehold.pinned"), "");
  }
}

// What one batch does is not undone by the next one's failure, however early that was sent.
TEST_F(LeftoversTest, AFailureOfTheNextBatchTakesNothingAlong) {
  Begin({.max_connections = 2});
  Client one = Connect();
  Client two = Connect();
  const auto run = [&one](const std::vector<const char*>& batches) {
    ASSERT_EQ(PQenterPipelineMode(one.get()), 1);
    for (const char* sql : batches) {
      ASSERT_EQ(PQsendQueryParams(one.get(), sql, 0, nullptr, nullptr, nullptr, nullptr, 0), 1);
      ASSERT_EQ(PQpipelineSync(one.get()), 1);
    }
    for (size_t syncs = 0; syncs < batches.size();) {
      const Client::Result result(PQgetResult(one.get()), PQclear);
      if (PQresultStatus(result.get()) == PGRES_PIPELINE_SYNC) ++syncs;
    }
    ASSERT_EQ(PQexitPipelineMode(one.get()), 1);
  };
  run({"set search_path = own", "select 1/0"});
  EXPECT_EQ(Setting(two, "search_path"), "\"$user\", public");
  EXPECT_EQ(Setting(one, "search_path"), "own");
  run({"select 1/0", "listen news", "prepare mine as select 'mine'"});
  EXPECT_EQ(one.One("show leasehold.pinned"), "LISTEN, PREPARE");
  EXPECT_EQ(Has(two), "");
  EXPECT_EQ(one.One("select * from pg_listening_channels()"), "news");
  EXPECT_EQ(one.One("execute mine"), "mine");
  run({"prepare other as select 'other'", "select 1/0", "unlisten *"});
  EXPECT_EQ(one.One("show leasehold.pinned"), "PREPARE");
  EXPECT_EQ(one.One("execute other"), "other");
}

TEST_F(LeftoversTest, LongSettingsFollowAndLongerOnesEndTheSession) {
  Client one = Connect();
  Client two = Connect();
  EXPECT_EQ(one.One("select length(set_config('app.doc', repeat('x', 20000), false))"), "20000");
  EXPECT_EQ(Setting(two, "app.doc"), "");
  EXPECT_EQ(one.One("select length(current_setting('app.doc'))"), "20000");
  for (const char* length : {"40000", "1000000"}) {
    Client greedy = Connect();
    greedy.OneBound(
        "select set_config('app.a', repeat('x', $1::int), false), set_config('app.b', repeat('y', 40000), "
        "false)",
        {length});
    EXPECT_THAT(greedy.One("select 1"), testing::AnyOf("!54000", "!lost")) << length;
    EXPECT_THAT(greedy.error(), testing::HasSubstr("settings")) << length;
    EXPECT_EQ(Setting(two, "app.a"), "") << length;
    EXPECT_EQ(Setting(two, "app.b"), "") << length;
  }
  Client many = Connect();
  std::string answer;
  for (int i = 0; i < 300 && many.ok(); ++i) answer = many.One(std::format("set app.n{} = 'x'", i));
  EXPECT_FALSE(many.ok());
  EXPECT_EQ(two.One("select current_setting('app.n7', true)"), "");
}

TEST_F(LeftoversTest, RolesStayWithTheirClient) {
  Client admin = instance_->Admin();
  admin.One("create role helper");
  admin.One("grant helper to tenant_acme_identity");
  Client one = Connect();
  Client two = Connect();
  const std::string pid = Pid(two);
  for (const char* sql : {"set role helper", "select set_config('role', 'helper', false)"}) {
    one.One(sql);
    EXPECT_EQ(one.One("select current_user"), "helper") << sql;
    EXPECT_EQ(two.One("select current_user"), "tenant_acme_identity") << sql;
    EXPECT_EQ(one.One("select current_user"), "helper") << sql;
    one.One("reset role");
    EXPECT_EQ(one.One("select current_user"), "tenant_acme_identity") << sql;
  }
  EXPECT_EQ(Pid(two), pid);
  for (const char* sql : {"do $$ begin set role helper; end $$", "begin; set role helper; commit",
                          "set role helper; select 1/0", "set session authorization tenant_acme_identity"}) {
    Client passing = Connect();
    passing.One(sql);
    EXPECT_EQ(two.One("select current_user || session_user"), "tenant_acme_identitytenant_acme_identity") << sql;
    passing.One("set role helper");
    Vanish(passing);
    EXPECT_EQ(two.One("select current_user || session_user"), "tenant_acme_identitytenant_acme_identity") << sql;
  }
  EXPECT_EQ(one.One("set role tenant_globex_identity"), "!42501");
  EXPECT_EQ(one.One("set session authorization tenant_globex_identity"), "!42501");
  EXPECT_EQ(one.One("select current_user"), "tenant_acme_identity");
  admin.One("drop role helper");
}

TEST_F(LeftoversTest, WhatAClientThatHasGoneHadOpen) {
  Client two = Connect();
  two.One("create table kept (i int)");
  using Work = std::function<void(Client&)>;
  const auto run = [](const std::vector<std::string>& statements) -> Work {
    return [statements](Client& client) {
      for (const std::string& sql : statements) client.One(sql);
    };
  };
  const std::vector<std::pair<const char*, Work>> works = {
      {"LISTEN", run({"listen news"})},
      {"a temporary table", run({"create temp table mine (i int)"})},
      {"one made by EXPLAIN", run({"explain analyze create temp table mine as select 1"})},
      {"one by its schema", run({"create table pg_temp.mine (i int)"})},
      {"one by search_path", run({"set search_path = pg_temp", "create table mine (i int)"})},
      {"a temporary view", run({"create temp view mine as select 1"})},
      {"an advisory lock", run({"select pg_advisory_lock(7)"})},
      {"a shared one", run({"select pg_try_advisory_lock_shared(7)"})},
      {"a cursor WITH HOLD", run({"declare mine cursor with hold for select 1"})},
      {"PREPARE", run({"prepare mine as select 1"})},
      {"all of these", run({"listen news; create temp table mine (i int); select pg_advisory_lock(7); "
                            "declare mine cursor with hold for select 1",
                            "prepare mine as select 1"})},
      {"an open transaction", run({"begin", "insert into kept values (1)", "lock table kept"})},
      {"a failed one", run({"begin", "insert into kept values (1)", "select 1/0"})},
      {"one with all of these", run({"begin", "insert into kept values (1)", "listen news",
                                     "create temp table mine (i int)", "select pg_advisory_lock(7)",
                                     "declare mine cursor with hold for select 1", "set timezone = 'Asia/Tokyo'"})},
      {"a query", [](Client& client) { PQsendQuery(client.get(), "insert into kept select 1 from pg_sleep(60)"); }},
      {"a COPY",
       [](Client& client) {
         client.Exec("copy kept from stdin");
         PQputCopyData(client.get(), "1\n2\n", 4);
         PQflush(client.get());
       }},
      {"a batch without its end",
       [](Client& client) {
         PQenterPipelineMode(client.get());
         for (const char* sql : {"insert into kept values (1)", "set timezone = 'Asia/Tokyo'"}) {
           PQsendQueryParams(client.get(), sql, 0, nullptr, nullptr, nullptr, nullptr, 0);
         }
         PQsendFlushRequest(client.get());
         PQflush(client.get());
         for (int i = 0; i < 2; ++i) PQclear(PQgetResult(client.get())), PQclear(PQgetResult(client.get()));
       }},
      {"a batch that failed",
       [](Client& client) {
         PQenterPipelineMode(client.get());
         PQsendQueryParams(client.get(), "select 1/0", 0, nullptr, nullptr, nullptr, nullptr, 0);
         PQsendFlushRequest(client.get());
         PQflush(client.get());
         PQclear(PQgetResult(client.get()));
       }},
      {"statements prepared by the protocol",
       [](Client& client) {
         PQclear(PQprepare(client.get(), "mine", "select 'mine'", 0, nullptr));
         PQclear(PQprepare(client.get(), "", "select 'unnamed'", 0, nullptr));
       }},
  };
  for (const bool politely : {false, true}) {
    for (const auto& [what, work] : works) {
      {
        Client one = Connect();
        ASSERT_TRUE(one.ok()) << what << one.error();
        work(one);
        if (!politely) Vanish(one);
      }
      EXPECT_EQ(Has(two), "") << what << two.error();
      EXPECT_EQ(two.One("select count(*) from kept"), "0") << what;
      EXPECT_NE(Setting(two, "timezone"), "Asia/Tokyo") << what;
      EXPECT_EQ(two.One("execute mine"), "!26000") << what;
      for (const char* name : {"mine", ""}) {
        EXPECT_EQ(
            Client::Show(Client::Result(PQexecPrepared(two.get(), name, 0, nullptr, nullptr, nullptr, 0), PQclear)),
            "!26000")
            << what << name;
      }
      EXPECT_EQ(two.One("begin; lock table kept; commit"), "COMMIT") << what;
    }
  }
  two.One("drop table kept");
}

TEST_F(LeftoversTest, WhatIsGivenUpPieceByPiece) {
  const std::vector<std::vector<std::string>> works = {
      {"listen a; listen b", "unlisten *"},
      {"create temp table mine (i int)", "discard temp"},
      {"select pg_advisory_lock(7), pg_advisory_lock(8)", "select pg_advisory_unlock_all()"},
      {"declare mine cursor with hold for select 1", "close all"},
      {"prepare mine as select 1", "deallocate mine"},
      {"prepare mine as select 1; prepare another as select 2", "deallocate all"},
      {"prepare mine as select 1; prepare another as select 2", "begin; deallocate mine; deallocate another; commit"},
  };
  Client one = Connect();
  Client two = Connect();
  const std::string pid = Pid(two);
  for (const auto& work : works) {
    for (const std::string& sql : work) EXPECT_THAT(one.One(sql), testing::Not(testing::StartsWith("!"))) << sql;
    EXPECT_EQ(one.One("show leasehold.pinned"), "") << work.front();
    EXPECT_EQ(Has(two), "") << work.front();
  }
  EXPECT_EQ(Pid(two), pid);
}

TEST_F(LeftoversTest, WhatIsGivenUpInVain) {
  Begin({.max_connections = 2});
  Client one = Connect();
  one.One("listen news; create temp table mine (i int); prepare mine as select 'mine'");
  const std::string pinned = one.One("show leasehold.pinned");
  EXPECT_EQ(pinned, "LISTEN, temporary tables, PREPARE");
  for (const char* sql : {"begin; unlisten *; drop table mine; rollback", "unlisten *; drop table mine; select 1/0",
                          "listen other; create temp table another (i int); select 1/0"}) {
    one.One(sql);
    EXPECT_EQ(one.One("show leasehold.pinned"), pinned) << sql;
    EXPECT_EQ(one.One("select * from pg_listening_channels()"), "news") << sql;
    EXPECT_EQ(one.One("select count(*) from mine"), "0") << sql;
  }
  // With this path there will be more of what was given up.
  Client another = Connect();
  another.One("set search_path = pg_temp");
  another.One("create table mine (i int)");
  another.One("drop table mine");
  another.One("create table theirs (i int)");
  EXPECT_EQ(another.One("show leasehold.pinned"), "temporary tables");
  EXPECT_EQ(another.One("select count(*) from theirs"), "0");
}

TEST_F(LeftoversTest, SettingsWhoseNamesTheTextHides) {
  Client one = Connect();
  Client two = Connect();
  for (const char* sql :
       {"select set_config('application_name', 'leak', true and false)",
        "select set_config('application_' || 'name', 'leak', false)", "set standard_conforming_strings = off",
        "select '\\'', set_config('application_name', 'leak', false) --'"}) {
    EXPECT_THAT(one.One(sql), testing::Not(testing::StartsWith("!"))) << sql;
    EXPECT_NE(Setting(two, "application_name"), "leak") << sql;
  }
  Client with = Connect("options='-c timezone=Asia/Tokyo'");
  EXPECT_EQ(with.One("set time zone 'Etc/GMT+5'"), "SET");
  EXPECT_EQ(with.One("set time zone default"), "SET");
  EXPECT_EQ(Setting(with, "timezone"), "Asia/Tokyo");
}

TEST_F(LeftoversTest, TemporaryTablesWhereTheSearchPathEnds) {
  Begin({.max_connections = 2});
  Client client = Connect();
  client.One("set search_path = nowhere, pg_temp");
  EXPECT_EQ(client.One("show leasehold.pinned"), "");
  for (const char* sql :
       {"create table kept (i int)", "select 1 as i into kept", "create table kept as select 1 as i"}) {
    client.One(sql);
    EXPECT_EQ(client.One("show leasehold.pinned"), "temporary tables") << sql;
    Client other = Connect();
    EXPECT_EQ(Has(other), "") << sql;
    EXPECT_EQ(client.One("drop table kept"), "DROP TABLE");
    EXPECT_EQ(client.One("show leasehold.pinned"), "");
  }
}

TEST_F(LeftoversTest, NamesOfFunctionsMayBeQuoted) {
  Begin({.max_connections = 2});
  Client client = Connect();
  client.One("select \"pg_advisory_lock\"(7)");
  EXPECT_EQ(client.One("show leasehold.pinned"), "advisory locks");
  EXPECT_EQ(Connect().One("select pg_try_advisory_lock(7)"), "f");
}

TEST_F(LeftoversTest, FunctionsOfAClientsOwnAreNotTheGateways) {
  Client one = Connect();
  Client two = Connect();
  one.One("create schema evil");
  one.One("create function evil.set_config(text, text, boolean) returns text language sql as $$ select 'no' $$");
  one.One("create function evil.current_setting(text, boolean) returns text language sql as $$ select 'lies' $$");
  one.One("create function evil.pg_advisory_unlock_all() returns void language sql as $$ select $$");
  one.One("set search_path = evil, pg_catalog");
  EXPECT_EQ(two.One("set timezone = 'Asia/Tokyo'"), "SET");
  EXPECT_EQ(one.One("set app.owner = 'ann'"), "SET");
  EXPECT_EQ(two.One("show timezone"), "Asia/Tokyo");
  EXPECT_EQ(two.One("select pg_catalog.current_setting('app.owner', true)"), "");
  EXPECT_EQ(one.One("select pg_catalog.current_setting('app.owner', true)"), "ann");
  EXPECT_NE(one.One("show timezone"), "Asia/Tokyo");
  two.One("drop schema evil cascade");
}

// What a client that has gone was at is cancelled until it ends; whoever comes next is not.
TEST_F(LeftoversTest, ACancelIsForNobodyElse) {
  Client two = Connect();
  for (int i = 0; i < 4; ++i) {
    Client one = Connect();
    ASSERT_EQ(PQsendQuery(one.get(), "select pg_sleep(60)"), 1);
    Client admin = instance_->Admin();
    while (admin.One("select count(*) from pg_stat_activity where wait_event = 'PgSleep'") != "1") {
    }
    Vanish(one);
    EXPECT_EQ(two.One("select 1 from pg_sleep(0.7)"), "1") << two.error();
  }
}

// Cancels at any moment, also while the gateway has a question of its own on the server.
TEST_F(LeftoversTest, CancelsLoseNoSetting) {
  Client one = Connect();
  Client two = Connect();
  const std::string before = Setting(two, "app.turn");
  std::atomic<bool> stop = false;
  std::jthread canceller([&] {
    PGcancel* const cancel = PQgetCancel(one.get());
    char why[256];
    while (!stop) PQcancel(cancel, why, sizeof(why));
    PQfreeCancel(cancel);
  });
  std::string turn;
  int cancelled = 0;
  for (int i = 0; i < 300; ++i) {
    const std::string next = std::to_string(i);
    const std::string answer = one.One("set app.turn = '" + next + "'");
    if (answer == "SET") {
      turn = next;
    } else {
      ASSERT_EQ(answer, "!57014");
      ++cancelled;
    }
    ASSERT_EQ(Setting(two, "app.turn"), before) << i;
    const std::string now = Setting(one, "app.turn");
    if (now != "!57014") {
      ASSERT_EQ(now, turn) << i;
    }
  }
  stop = true;
  ::testing::Test::RecordProperty("cancelled", cancelled);
}

}  // namespace
}  // namespace leasehold::gateway::testing_stack
