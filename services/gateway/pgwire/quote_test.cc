#include "services/gateway/pgwire/quote.h"

#include <gtest/gtest.h>

namespace leasehold::gateway::pgwire {
namespace {

TEST(QuoteTest, Literals) {
  EXPECT_EQ(Literal(""), "''");
  EXPECT_EQ(Literal("it's"), "'it''s'");
  EXPECT_EQ(Literal("a\\b'"), " E'a\\\\b'''");
}

TEST(QuoteTest, WhatIsNotAsciiIsSpeltInAscii) {
  EXPECT_EQ(NeutralLiteral("it's"), "'it''s'");
  EXPECT_EQ(NeutralLiteral("Zo\xc3\xab"), "pg_catalog.convert_from(pg_catalog.decode('5a6fc3ab','hex'),'UTF8')");
}

TEST(QuoteTest, NamesOfParameters) {
  EXPECT_EQ(QuotedParameter("search_path"), "\"search_path\"");
  EXPECT_EQ(QuotedParameter("app.user"), "\"app\".\"user\"");
  EXPECT_EQ(QuotedParameter("a\"b"), "\"a\"\"b\"");
}

}  // namespace
}  // namespace leasehold::gateway::pgwire
