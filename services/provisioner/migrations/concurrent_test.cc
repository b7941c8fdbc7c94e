#include "services/provisioner/migrations/concurrent.h"

#include <gtest/gtest.h>

namespace leasehold::provisioner {
namespace {

using Kind = AloneStatement::Kind;

TEST(ReadAloneStatement, KnowsWhatIsHalfDone) {
  struct Case {
    const char* sql;
    Kind kind;
    const char* schema;
    const char* index;
  };
  for (const Case& c : {
           Case{"CREATE INDEX CONCURRENTLY a_b ON a (b)", Kind::kCreateIndex, "", "a_b"},
           Case{"create unique index concurrently if not exists A_b on a (b)", Kind::kCreateIndex, "", "a_b"},
           Case{"CREATE /* c */ INDEX -- d\n CONCURRENTLY \"A \"\"b\" ON a (b)", Kind::kCreateIndex, "", "A \"b"},
           Case{"CREATE INDEX CONCURRENTLY ON a (b)", Kind::kCreateIndex, "", ""},
           Case{"DROP INDEX CONCURRENTLY IF EXISTS hr.\"X\"", Kind::kDropIndex, "hr", "X"},
           Case{"REINDEX TABLE CONCURRENTLY a", Kind::kReindex, "", ""},
           Case{"REINDEX TABLE a", Kind::kRepeatable, "", ""},
           Case{"VACUUM FULL a", Kind::kRepeatable, "", ""},
           Case{"ALTER TYPE mood ADD VALUE IF NOT EXISTS 'sad'", Kind::kRepeatable, "", ""},
           Case{"ALTER TYPE mood ADD VALUE 'sad'", Kind::kOther, "", ""},
           Case{"INSERT INTO a VALUES (1)", Kind::kOther, "", ""},
           Case{"CREATE INDEX a_b ON a (b)", Kind::kOther, "", ""},
           Case{"", Kind::kOther, "", ""},
       }) {
    const AloneStatement read = ReadAloneStatement(c.sql);
    EXPECT_EQ(read.kind, c.kind) << c.sql;
    EXPECT_EQ(read.schema, c.schema) << c.sql;
    EXPECT_EQ(read.index, c.index) << c.sql;
  }
}

TEST(RefusedInTransactions, OnlyWhatPostgresRefuses) {
  EXPECT_EQ(RefusedInTransactions("CREATE INDEX CONCURRENTLY a_b ON a (b)"), "CONCURRENTLY");
  EXPECT_EQ(RefusedInTransactions("REINDEX INDEX CONCURRENTLY a_b"), "CONCURRENTLY");
  EXPECT_EQ(RefusedInTransactions("ALTER TABLE a DETACH PARTITION b CONCURRENTLY"), "CONCURRENTLY");
  EXPECT_EQ(RefusedInTransactions("/* why */ vacuum (analyze) a"), "VACUUM");
  EXPECT_EQ(RefusedInTransactions("REFRESH MATERIALIZED VIEW CONCURRENTLY a"), "");
  EXPECT_EQ(RefusedInTransactions("CREATE INDEX a_b ON a (b)"), "");
  EXPECT_EQ(RefusedInTransactions("INSERT INTO concurrently VALUES (1)"), "");
  EXPECT_EQ(RefusedInTransactions("CREATE TABLE vacuum (i int)"), "");
}

TEST(FormForTransactions, LeavesTheKeywordOut) {
  EXPECT_EQ(FormForTransactions("CREATE UNIQUE INDEX /* x */ concurrently IF NOT EXISTS \"concurrently\" ON a (b)"),
            "CREATE UNIQUE INDEX /* x */  IF NOT EXISTS \"concurrently\" ON a (b)");
  EXPECT_EQ(FormForTransactions("DROP INDEX CONCURRENTLY a_b"), "DROP INDEX  a_b");
  EXPECT_EQ(FormForTransactions("ALTER TABLE a DETACH PARTITION b CONCURRENTLY"), "ALTER TABLE a DETACH PARTITION b ");
  EXPECT_EQ(FormForTransactions("UPDATE a SET b = 1"), "UPDATE a SET b = 1");
  EXPECT_EQ(FormForTransactions("VACUUM a"), std::nullopt);
  EXPECT_EQ(FormForTransactions("REINDEX TABLE CONCURRENTLY a"), std::nullopt);
}

}  // namespace
}  // namespace leasehold::provisioner
