#include "services/gateway/pgwire/command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <format>

namespace leasehold::gateway::pgwire {
namespace {

using Kind = Command::Kind;

constexpr size_t kNone = std::string_view::npos;

Command Only(std::string_view sql) {
  EXPECT_TRUE(MayConcernGateway(sql)) << sql;
  Recognition found = Recognize(sql);
  EXPECT_FALSE(found.refusal) << sql << ": " << found.refusal->message;
  EXPECT_EQ(found.commands.size(), 1u) << sql;
  EXPECT_EQ(found.rest, kNone) << sql;
  return found.commands.empty() ? Command{} : found.commands[0];
}

std::string Refusal(std::string_view sql) {
  const Recognition found = Recognize(sql);
  return found.refusal ? found.refusal->code : "";
}

TEST(CommandTest, SetInEverySpelling) {
  for (const std::string_view sql :
       {"SET leasehold.tenant = 'acme'", "set session leasehold.tenant to 'acme';",
        "SET \"leasehold\".\"tenant\" = 'acme'", "SET leasehold . tenant='acme'", "SET LEASEHOLD.TENANT = acme",
        "  -- hi\n/* a /* nested */ b */ SET leasehold.tenant = 'acme' ; ;", "SET leasehold.tenant = $$acme$$",
        "SET leasehold.tenant = $x$acme$x$", "SET leasehold.tenant = E'ac\\x6de'",
        "SET leasehold.tenant = E'\\141cm\\u0065'"}) {
    const Command command = Only(sql);
    EXPECT_EQ(command.kind, Kind::kSwitch) << sql;
    EXPECT_EQ(command.tenant.text, "acme") << sql;
    EXPECT_EQ(command.tag, "SET");
    EXPECT_FALSE(command.HasRows());
  }
  EXPECT_EQ(Only("SET leasehold.tenant = 42").tenant.text, "42");
  EXPECT_EQ(Only("SET leasehold.tenant = 'it''s'").tenant.text, "it's");
  EXPECT_EQ(Only("SET leasehold.tenant TO DEFAULT").kind, Kind::kReset);
  EXPECT_EQ(Only("RESET leasehold.tenant").kind, Kind::kReset);
}

TEST(CommandTest, SetConfig) {
  for (const std::string_view sql : {"SELECT set_config('leasehold.tenant', 'acme', false)",
                                     "select pg_catalog.set_config('Leasehold.Tenant', 'acme', 'f');",
                                     "SELECT set_config('leasehold.tenant'::text, 'acme'::text, false::bool)"}) {
    const Command command = Only(sql);
    EXPECT_EQ(command.kind, Kind::kSwitch) << sql;
    EXPECT_EQ(command.tenant.text, "acme");
    EXPECT_EQ(command.column, "set_config");
    EXPECT_EQ(command.tag, "SELECT 1");
    EXPECT_EQ(ParseBool(*command.is_local.text), false);
  }
  const Command bound = Only("SELECT set_config('leasehold.tenant', $1, $2) AS tenant");
  EXPECT_EQ(bound.tenant.parameter, 1);
  EXPECT_EQ(bound.is_local.parameter, 2);
  EXPECT_EQ(bound.column, "tenant");
  EXPECT_THAT(bound.parameter_types, testing::ElementsAre(25u, 16u));
  EXPECT_FALSE(Only("SELECT set_config('leasehold.tenant', NULL, false)").tenant.text);
}

TEST(CommandTest, SetConfigWithABoundName) {
  const std::string_view sql = "select set_config($1, $2, $3) as x";
  EXPECT_TRUE(Recognize(sql).commands.empty()) << "PostgreSQL's, as long as nobody knows the name";
  const Recognition found = RecognizeBound(sql, "Leasehold.Tenant");
  ASSERT_EQ(found.commands.size(), 1u);
  EXPECT_EQ(found.commands[0].kind, Kind::kSwitch);
  EXPECT_EQ(found.commands[0].tenant.parameter, 2);
  EXPECT_EQ(found.commands[0].is_local.parameter, 3);
  EXPECT_EQ(found.commands[0].column, "x");
  EXPECT_THAT(found.commands[0].parameter_types, testing::ElementsAre(25u, 25u, 16u));
  const Recognition literal = RecognizeBound("select set_config($1::text, 'acme', false);", "leasehold.tenant");
  ASSERT_EQ(literal.commands.size(), 1u);
  EXPECT_EQ(literal.commands[0].tenant.text, "acme");
  EXPECT_THAT(literal.commands[0].parameter_types, testing::ElementsAre(25u));

  const auto refusal = [](std::string_view text, std::string_view name) {
    const Recognition refused = RecognizeBound(text, name);
    return refused.refusal && refused.commands.empty() ? refused.refusal->code : "";
  };
  EXPECT_EQ(refusal("select 1, set_config($1, $2, false)", "leasehold.tenant"), "0A000");
  EXPECT_EQ(refusal("select set_config($1, $2, false), 1", "leasehold.tenant"), "0A000");
  EXPECT_EQ(refusal("select set_config($1, lower($2), false)", "leasehold.tenant"), "0A000");
  EXPECT_EQ(refusal("with s as (select set_config($1, $2, false)) select 1", "leasehold.tenant"), "0A000");
  EXPECT_EQ(refusal("", "leasehold.tenant"), "0A000");
  EXPECT_EQ(refusal("select set_config($1, $2, false)", "leasehold.session"), "55P02");
  EXPECT_EQ(refusal("select set_config($1, $2, false)", "leasehold.tennant"), "42704");
}

TEST(CommandTest, WhatIsCutOff) {
  const std::string_view sql = "SET leasehold.tenant = 'acme'; SELECT 'and then";
  EXPECT_TRUE(Recognize(sql).commands.empty()) << "PostgreSQL runs none of it";
  EXPECT_EQ(Recognize(sql, false).commands.size(), 1U);
}

TEST(CommandTest, Show) {
  EXPECT_EQ(Only("SHOW leasehold.tenant").column, "leasehold.tenant");
  EXPECT_EQ(Only("show leasehold.session").kind, Kind::kShowSession);
  EXPECT_EQ(Only("SELECT current_setting('leasehold.tenant')").column, "current_setting");
  EXPECT_EQ(Only("SELECT current_setting('leasehold.tenant', true) t").column, "t");
  EXPECT_TRUE(Only("SHOW leasehold.session").column.empty());
  EXPECT_EQ(Only("SELECT current_setting('leasehold.session')").kind, Kind::kShowSession);
  EXPECT_EQ(Only("SELECT current_setting('leasehold.session') as s").column, "s");
  EXPECT_EQ(Only("SELECT current_setting('Leasehold.Pinned', false)").kind, Kind::kShowPinned);
}

TEST(CommandTest, WhatIsPostgresOwn) {
  for (const std::string_view sql :
       {"select 1", "", ";", "insert into notes values ('SET leasehold.tenant = ''x''')", "SET search_path = a",
        "select $$ SET leasehold.tenant = 'x' $$", "-- SET leasehold.tenant = 'x'\nselect 1", "RESET leaseholdtenant",
        "select set_config('app.x', 'leasehold.tenant', false)", "select current_setting('leasehold.tenant') || 'x'",
        "select current_setting('leasehold.other', true)", "select current_setting('leasehold.session')::json",
        "create table leasehold.tenant(i int)", "select * from t where current_setting('leasehold.tenant') = tenant"}) {
    const Recognition found = Recognize(sql);
    EXPECT_TRUE(found.commands.empty()) << sql;
    EXPECT_FALSE(found.refusal) << sql;
  }
}

TEST(CommandTest, Refusals) {
  EXPECT_EQ(Refusal("SET LOCAL leasehold.tenant = 'x'"), "0A000");
  EXPECT_EQ(Refusal("SET leasehold.tennant = 'x'"), "42704");
  EXPECT_EQ(Refusal("SHOW leasehold.x"), "42704");
  EXPECT_EQ(Refusal("RESET leasehold.x"), "42704");
  EXPECT_EQ(Refusal("SELECT set_config('leasehold.x', 'a', false)"), "42704");
  EXPECT_EQ(Refusal("SET leasehold.session = 'x'"), "55P02");
  EXPECT_EQ(Refusal("SET leasehold.tenant = 'x', 'y'"), "42601");
  EXPECT_EQ(Refusal("SET leasehold.tenant"), "42601");
  for (const char* value : {"NULL", "null", "-1", "'x'::text", "$1", "acme-2", "FROM CURRENT", "DEFAULT, 'x'"}) {
    EXPECT_EQ(Refusal(std::format("SET leasehold.tenant = {}", value)), "42601") << value;
    EXPECT_EQ(Refusal(std::format("SET leasehold.tenant TO {}", value)), "42601") << value;
  }
  EXPECT_EQ(Refusal("SELECT set_config('leasehold.tenant', lower('X'), false)"), "0A000");
  EXPECT_EQ(Refusal("SELECT 1, set_config('leasehold.tenant', 'x', false)"), "0A000");
  EXPECT_EQ(Refusal("SELECT set_config('leasehold.tenant', t, false) FROM tenants"), "0A000");
  EXPECT_EQ(Refusal("with a as (select set_config ( 'leasehold.tenant', 'x', false)) select 1"), "0A000");
}

TEST(CommandTest, SeveralStatements) {
  const std::string_view sql = " SET leasehold.tenant = 'b'; SHOW leasehold.tenant ; select ';'; select 2";
  const Recognition found = Recognize(sql);
  ASSERT_FALSE(found.refusal);
  EXPECT_EQ(found.commands.size(), 2u);
  EXPECT_EQ(sql.substr(found.rest), "select ';'; select 2");

  EXPECT_EQ(Refusal("select 1; SET leasehold.tenant = 'b'"), "25001");
  EXPECT_EQ(Refusal("begin; SELECT set_config('leasehold.tenant', 'b', false); commit"), "25001");
  EXPECT_EQ(Refusal("select 1; show leasehold.session"), "25001");
  EXPECT_EQ(Refusal("select 1; show leasehold.tenant"), "");  // PostgreSQL can say that too
}

TEST(CommandTest, ResetAllAndDiscardAll) {
  EXPECT_TRUE(Recognize("DISCARD ALL").resets_all);
  EXPECT_TRUE(Recognize("select pg_advisory_unlock_all(); close all; unlisten *; reset all;").resets_all);
  EXPECT_FALSE(Recognize("DISCARD PLANS").resets_all);
  EXPECT_FALSE(Recognize("RESET search_path").resets_all);
  EXPECT_TRUE(MayConcernGateway("discard all"));
  EXPECT_TRUE(MayConcernGateway(" RESET all"));
  EXPECT_TRUE(MayConcernGateway("deallocate x"));
  EXPECT_FALSE(MayConcernGateway("select * from lease_holders where leasehol = 'd'"));
}

TEST(CommandTest, Booleans) {
  for (const char* word : {"t", "TRUE", "y", "yes", "on", "1", " tr "}) EXPECT_EQ(ParseBool(word), true) << word;
  for (const char* word : {"f", "False", "n", "no", "off", "0"}) EXPECT_EQ(ParseBool(word), false) << word;
  for (const char* word : {"", "o", "2", "truest"}) EXPECT_EQ(ParseBool(word), std::nullopt) << word;
}

TEST(CommandTest, WhatIsNotClosedIsPostgresqlsToRefuse) {
  for (const char* sql :
       {"set leasehold.tenant = 'globexx", "set leasehold.tenant = \"acme_", "reset leasehold.tenant /* home",
        "set leasehold.tenant = 'globex'; select 'x", "set leasehold.tenant = $a$globex$b$"}) {
    const Recognition found = Recognize(sql);
    EXPECT_TRUE(found.commands.empty()) << sql;
    EXPECT_FALSE(found.refusal) << sql;
    EXPECT_EQ(found.rest, 0u) << sql;
  }
}

}  // namespace
}  // namespace leasehold::gateway::pgwire
