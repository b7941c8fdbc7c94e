// psql as people and scripts use it, through the pool.
#include <gmock/gmock.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "services/gateway/session/testing_stack.h"

namespace leasehold::gateway::testing_stack {
namespace {

using testing::HasSubstr;

class PsqlTest : public EndpointTest {
 protected:
  struct Output {
    int status = 0;
    std::string text;
  };
  std::unique_ptr<localserver::ChildProcess> Start(const std::string& script, const std::string& user = "lh1.acme") {
    const std::string base = folder_.path() + "/" + std::to_string(++runs_);
    std::ofstream(base + ".sql") << script;
    auto psql = localserver::ChildProcess::Start(
        {.argv = {"psql", "-XAtq", "-h", "127.0.0.1", "-p", std::to_string(endpoint_->port()), "-U", user, "-d", user,
                  "-f", base + ".sql"},
         .environment = {"PGPASSWORD=password-of-" + user, "PGAPPNAME=psql " + std::to_string(runs_)},
         .log_path = base,
         .working_dir = folder_.path(),
         .user = ""});
    if (!psql.ok()) throw std::runtime_error(std::string(psql.status().message()));
    return *std::move(psql);
  }
  Output Await(localserver::ChildProcess& psql, int run) {
    const int status = psql.Wait();
    std::ifstream file(folder_.path() + "/" + std::to_string(run));
    return {.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1,
            .text = std::string(std::istreambuf_iterator<char>(file), {})};
  }
  Output Run(const std::string& script) {
    const auto psql = Start(script);
    return Await(*psql, runs_);
  }

  localserver::TemporaryDirectory folder_;
  int runs_ = 0;
};

TEST_F(PsqlTest, SimpleBoundAndPrepared) {
  const Output output = Run(R"(
select 1; select 2 \; select 3;
select $1::int + $2::int \bind 20 22 \g
select $1 || current_database() \bind 'in ' \g
prepare sum (int, int) as select $1 + $2;
execute sum (1, 2);
execute sum (3, 4);
select 7 as seven \gset
select :seven * 2;
select format('select %s;', i) from generate_series(1, 2) i \gexec
\echo :ROW_COUNT
)");
  EXPECT_THAT(output.text, testing::MatchesRegex("1\n2\n3\n42\nin tenant_acme_identity\n"
                                                 "psql:.*NOTICE:  this session keeps its server connection: PREPARE\n"
                                                 "HINT:.*\n3\n7\n14\n1\n2\n2\n"));
  EXPECT_EQ(output.status, 0);
}

TEST_F(PsqlTest, CopyInAndOut) {
  std::ofstream in(folder_.path() + "/in");
  for (int i = 0; i < 100'000; ++i) in << i << "\tline " << i << "\n";
  in.close();
  const Output output = Run(R"(
create table lines (number int, body text);
\copy lines from 'in'
select count(*), sum(number) from lines;
\copy (select * from lines order by number) to 'out'
\copy lines from stdin
7	seven
\.
select count(*) from lines;
copy lines from stdin;
8	eight
not a number	nine
\.
select count(*) from lines;
copy (select 'to ' || 'stdout') to stdout;
drop table lines;
)");
  EXPECT_THAT(output.text, testing::MatchesRegex("100000\\|4999950000\n100001\npsql:.*invalid input syntax.*\n"
                                                 "100001\nto stdout\n"));
  const auto slurp = [this](const std::string& name) {
    std::ifstream file(folder_.path() + "/" + name);
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  EXPECT_EQ(slurp("out"), slurp("in"));
}

TEST_F(PsqlTest, LargeRowsWholeAndInParts) {
  const Output output = Run(R"(
\o out
select repeat('x', 20000000);
\set FETCH_COUNT 100
select i, repeat('y', 1000) from generate_series(1, 20000) i;
\o
select 'done';
)");
  EXPECT_EQ(output.text, "done\n");
  EXPECT_GT(std::filesystem::file_size(folder_.path() + "/out"), 40'000'000U);
}

TEST_F(PsqlTest, ErrorsInTransactions) {
  const Output output = Run(R"(
create table kept (i int primary key);
begin;
insert into kept values (1);
select 1 / 0;
select 'ignored';
commit;
\set ON_ERROR_ROLLBACK on
begin;
insert into kept values (1);
insert into kept values (1);
insert into kept values (2);
commit;
select count(*) from kept;
drop table kept;
\set ON_ERROR_STOP on
select nonsense;
select 'never';
)");
  EXPECT_THAT(output.text, HasSubstr("division by zero"));
  EXPECT_THAT(output.text, HasSubstr("current transaction is aborted"));
  EXPECT_THAT(output.text, HasSubstr("duplicate key"));
  EXPECT_THAT(output.text, HasSubstr("\n2\n"));
  EXPECT_THAT(output.text, testing::Not(HasSubstr("never")));
  EXPECT_EQ(output.status, 3);
}

TEST_F(PsqlTest, CtrlCStopsTheQuery) {
  Begin({.max_connections = 1});
  Client client = Connect();
  const std::string pid = client.One("select pg_backend_pid()");
  const auto psql = Start("select pg_sleep(60);");
  Client admin = instance_->Admin();
  while (admin.One("select count(*) from pg_stat_activity where wait_event = 'PgSleep'") != "1") {
  }
  psql->Signal(SIGINT);
  const Output output = Await(*psql, runs_);
  EXPECT_THAT(output.text, HasSubstr("canceling statement due to user request"));
  EXPECT_EQ(output.status, 3);
  EXPECT_EQ(client.One("select pg_backend_pid()"), pid);  // the server outlived its query
}

TEST_F(PsqlTest, MovesBetweenTenants) {
  const Output output = Run(R"(
select current_database();
set leasehold.tenant = 'globex';
select current_database();
select set_config('leasehold.tenant', $1, false) \bind initech \g
select current_database();
begin;
set leasehold.tenant = 'acme';
rollback;
select current_database();
\connect tenant_globex_identity
select current_database();
reset leasehold.tenant;
select current_database();
)");
  EXPECT_THAT(output.text,
              testing::MatchesRegex("tenant_acme_identity\ntenant_globex_identity\ninitech\ntenant_initech_identity\n"
                                    "psql:.*cannot change inside a transaction\ntenant_initech_identity\n"
                                    "tenant_globex_identity\ntenant_acme_identity\n"));
}

TEST_F(PsqlTest, ManyMoveAtTheSameTimeOnFewServers) {
  Begin({.max_connections = 2});
  const std::vector<std::string> tenants = {"acme", "globex", "initech"};
  std::vector<std::unique_ptr<localserver::ChildProcess>> all;
  std::vector<std::string> expected;
  for (size_t i = 0; i < 6; ++i) {
    std::string script;
    std::string answers;
    for (size_t move = 0; move < 60; ++move) {
      const std::string& tenant = tenants[(i + move * (i + 1)) % 3];
      script += "set leasehold.tenant = '" + tenant + "';\nselect current_database(), current_setting('timezone');\n";
      script += std::format("begin; select current_database(); set timezone = 'Etc/GMT+{}'; commit;\n", move % 12 + 1);
      const std::string zone = move == 0 ? "" : std::format("Etc/GMT+{}", (move - 1) % 12 + 1);
      answers += std::format("tenant_{0}_identity|{1}\ntenant_{0}_identity\n", tenant, zone);
    }
    all.push_back(Start("set timezone = 'Etc/GMT+12';\n" + script));
    answers.replace(answers.find('|'), 1, "|Etc/GMT+12");
    expected.push_back(answers);
  }
  for (size_t i = 0; i < all.size(); ++i) EXPECT_EQ(Await(*all[i], static_cast<int>(i) + 1).text, expected[i]) << i;
  EXPECT_LE(instance_->Backends(), 2);
}

}  // namespace
}  // namespace leasehold::gateway::testing_stack
