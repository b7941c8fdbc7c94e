#include "services/provisioner/migrations/server_message.h"

#include <gtest/gtest.h>

#include "common/status/view.h"

namespace leasehold::provisioner {
namespace {

TEST(LineOf, CountsToThePosition) {
  const auto error = [](int position) {
    return absl::InternalError("ERROR:  no \" at character 1\" at character " + std::to_string(position) + " (42P01)");
  };
  constexpr std::string_view kStatement = "SELECT 'åäö\n'\n  FROM x";
  EXPECT_EQ(LineOf(error(1), kStatement), 1);
  EXPECT_EQ(LineOf(error(12), kStatement), 1) << "the line break itself";
  EXPECT_EQ(LineOf(error(13), kStatement), 2);
  EXPECT_EQ(LineOf(error(17), kStatement), 3);
  EXPECT_EQ(LineOf(error(22), kStatement), 3);
}

TEST(LineOf, WithoutAPositionItIsTheFirst) {
  EXPECT_EQ(LineOf(absl::InternalError("ERROR:  table exists (42P07)"), "a\nb"), 1);
  EXPECT_EQ(LineOf(absl::InternalError("ERROR:  at character "), "a\nb"), 1);
}

TEST(NamesOnlyMessage, IsWhatPostgresSaysOfObjects) {
  const auto message = [](std::string_view text, std::string_view sqlstate, std::string_view statement) {
    return NamesOnlyMessage(absl::InternalError(AbslView(text)), sqlstate, statement);
  };
  EXPECT_EQ(message("ERROR:  column \"nme\" does not exist at character 15 (42703)", "42703", "SELECT nme FROM a"),
            "column \"nme\" does not exist");
  EXPECT_EQ(message("ERROR:  relation \"a\" already exists (42P07)", "42P07", "CREATE TABLE IF NOT EXISTS b ()"),
            "relation \"a\" already exists");
  EXPECT_EQ(message("ERROR:  could not create unique index \"u\" (23505)", "23505", "CREATE UNIQUE INDEX u ON a (b)"),
            "could not create unique index \"u\"");
  EXPECT_EQ(message("ERROR:  duplicate key value violates unique constraint \"a_key\" (23505)", "23505",
                    "INSERT INTO a VALUES (1)"),
            "duplicate key value violates unique constraint \"a_key\"");
  EXPECT_EQ(message("ERROR:  syntax error at or near \"tabel\" at character 8 (42601)", "42601", "CREATE TABEL a ()"),
            "syntax error at or near \"tabel\"");
}

TEST(NamesOnlyMessage, IsEmptyWhereItMaySpeakOfRows) {
  const auto message = [](std::string_view text, std::string_view sqlstate, std::string_view statement) {
    return NamesOnlyMessage(absl::InternalError(AbslView(text)), sqlstate, statement);
  };
  EXPECT_EQ(message("ERROR:  invalid input syntax for type integer: \"4111-1111\" (22P02)", "22P02",
                    "ALTER TABLE a ALTER b TYPE int USING b::int"),
            "");
  EXPECT_EQ(message("ERROR:  no salary for Ann (P0001)", "P0001", "UPDATE a SET b = 1"), "");
  // What a trigger or a DO block made of rows, and ran.
  EXPECT_EQ(message("ERROR:  syntax error at or near \"Ann\" at character 8 (42601)", "42601", "UPDATE a SET b = 1"),
            "");
  EXPECT_EQ(message("ERROR:  syntax error at or near \"Ann\" (42601)", "42601", "DO $$ BEGIN EXECUTE r.name; END $$"),
            "");
  EXPECT_EQ(message("ERROR:  Ann may not (42501)", "42501", "UPDATE a SET b = 1"), "");
  EXPECT_EQ(message("ERROR:  an odd \" (42601)", "42601", "UPDATE a SET b = 1"), "");
}

}  // namespace
}  // namespace leasehold::provisioner
