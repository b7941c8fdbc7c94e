#include "services/provisioner/migrations/statements.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/status/error.h"

namespace leasehold::provisioner {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

std::vector<std::string> TextsOf(std::string_view sql) {
  const auto statements = SplitStatements(sql);
  std::vector<std::string> texts;
  if (!statements.ok()) return {std::string("error ") + std::string(statements.status().message())};
  for (const SqlStatement& s : *statements) texts.push_back(s.text);
  return texts;
}

TEST(SplitStatements, NothingIsNoStatement) {
  EXPECT_THAT(TextsOf(""), IsEmpty());
  EXPECT_THAT(TextsOf(" ;\n;; -- only ; a comment\n/* and ; /* nested ; */ another */ ;"), IsEmpty());
}

TEST(SplitStatements, LinesAreThoseOfTheFirstCharacter) {
  const auto statements = SplitStatements("-- first\nCREATE TABLE a (i int);\n\n  INSERT INTO a\n VALUES (1)");
  ASSERT_TRUE(statements.ok()) << statements.status();
  EXPECT_THAT(
      *statements,
      ElementsAre(AllOf(Field(&SqlStatement::text, "CREATE TABLE a (i int)"), Field(&SqlStatement::line, 2)),
                  AllOf(Field(&SqlStatement::text, "INSERT INTO a\n VALUES (1)"), Field(&SqlStatement::line, 4))));
}

TEST(SplitStatements, SemicolonsInsideOthersDoNotCount) {
  EXPECT_THAT(TextsOf("SELECT 'a;b''c;'; SELECT E'\\';'; SELECT \"x;\"\"y\"; SELECT 1"), SizeIs(4));
  EXPECT_THAT(TextsOf("DO $$ BEGIN PERFORM 1; END $$; DO $body$ x; $$ ; $body$; SELECT $1"), SizeIs(3));
  EXPECT_THAT(TextsOf("CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2); SELECT 3"), SizeIs(2));
  EXPECT_THAT(TextsOf("SELECT a$b$ FROM t; SELECT 1"), SizeIs(2)) << "a dollar inside an identifier opens nothing";
  EXPECT_THAT(TextsOf("SELECT 'a\\'; SELECT 1"), SizeIs(2)) << "a backslash means nothing in a plain string";
}

TEST(SplitStatements, AtomicBodiesAreOneStatement) {
  EXPECT_THAT(TextsOf("CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC\n"
                      "SELECT CASE WHEN true THEN 1 END; SELECT 2; END;\nSELECT 3"),
              SizeIs(2));
}

TEST(SplitStatements, RefusesWhatWouldBreakTheTransaction) {
  for (const std::string_view sql : {"BEGIN", "start transaction", "COMMIT", "END", "abort", "ROLLBACK",
                                     "prepare transaction 'x'", "Set  Transaction READ ONLY"}) {
    const auto statements = SplitStatements(std::string("SELECT 1;\n") + std::string(sql) + ";");
    EXPECT_EQ(ReasonOf(statements.status()), v1::REASON_MIGRATION_FAILED) << sql;
    EXPECT_THAT(std::string(statements.status().message()), StartsWith("line 2: ")) << sql;
  }
  EXPECT_THAT(TextsOf("SAVEPOINT a; ROLLBACK TO SAVEPOINT a; PREPARE q AS SELECT 1"), SizeIs(3));
  EXPECT_THAT(TextsOf("SET LOCAL transaction_timeout = 0; SET CONSTRAINTS ALL DEFERRED"), SizeIs(2));
}

TEST(SplitStatements, RefusesRoleChangesCopiesAndMetaCommands) {
  EXPECT_THAT(TextsOf("SET ROLE postgres"), ElementsAre(HasSubstr("changing the role")));
  EXPECT_THAT(TextsOf("reset role"), ElementsAre(HasSubstr("changing the role")));
  EXPECT_THAT(TextsOf("SET LOCAL ROLE x"), ElementsAre(HasSubstr("changing the role")));
  EXPECT_THAT(TextsOf("SET SESSION AUTHORIZATION x"), ElementsAre(HasSubstr("changing the role")));
  EXPECT_THAT(TextsOf("SET search_path = role"), SizeIs(1));
  EXPECT_THAT(TextsOf("COPY t FROM STDIN;"), ElementsAre(HasSubstr("COPY FROM STDIN")));
  EXPECT_THAT(TextsOf("SELECT 1;\n\\i other.sql"), ElementsAre(HasSubstr("line 2: psql")));
}

TEST(SplitStatements, RefusesWhatIsNeverClosed) {
  EXPECT_THAT(TextsOf("SELECT 1;\nSELECT 'a"), ElementsAre(HasSubstr("line 2: a quote")));
  EXPECT_THAT(TextsOf("/* a /* b */"), ElementsAre(HasSubstr("line 1: a comment")));
  EXPECT_THAT(TextsOf("DO $x$ BEGIN $y$"), ElementsAre(HasSubstr("a dollar quote")));
}

}  // namespace
}  // namespace leasehold::provisioner
