#include "services/provisioner/migrations/schema.h"

#include "services/provisioner/migrations/runner_fixture.h"

namespace leasehold::provisioner {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

constexpr std::string_view kMake =
    "CREATE EXTENSION IF NOT EXISTS plpgsql;"
    "CREATE TYPE mood AS ENUM ('glad', 'sad'); CREATE DOMAIN short AS text CHECK (length(VALUE) < 9);"
    "CREATE TABLE person (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL DEFAULT 'x', mood "
    "mood,"
    " twice int GENERATED ALWAYS AS (2) STORED, CHECK (name <> ''));"
    "CREATE INDEX person_name ON person (lower(name)); CREATE VIEW people AS SELECT name FROM person;"
    "CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM person; CREATE SEQUENCE own INCREMENT 5;"
    "CREATE FUNCTION twice(i int) RETURNS int LANGUAGE sql AS 'SELECT 2 * i';"
    "CREATE FUNCTION trap() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';"
    "CREATE TRIGGER trap BEFORE UPDATE ON person FOR EACH ROW EXECUTE FUNCTION trap();"
    "ALTER TABLE person ENABLE ROW LEVEL SECURITY; CREATE POLICY mine ON person USING (name = current_user);"
    "CREATE TABLE part (i int) PARTITION BY RANGE (i); CREATE TABLE part1 PARTITION OF part FOR VALUES FROM (1) TO (9);"
    "CREATE SCHEMA hr; CREATE TABLE hr.\"odd Name\" (i int)";

class SchemaTest : public RunnerFixture {
 protected:
  SchemaObjects Read() {
    postgres::Connection owner = Owner();
    auto objects = ReadSchema(owner);
    EXPECT_TRUE(objects.ok()) << objects.status();
    return objects.ok() ? *objects : SchemaObjects();
  }
};

auto Is(Drift drift, const std::string& object) {
  return AllOf(Field(&DriftedObject::drift, drift), Field(&DriftedObject::object, object));
}

TEST_F(SchemaTest, TwoDatabasesMadeTheSameWayAreTheSame) {
  ASSERT_EQ(Ask(kMake), "");
  const SchemaObjects first = Read();
  EXPECT_EQ(first.at("column public.person.name"), "text NOT NULL DEFAULT 'x'::text");
  EXPECT_TRUE(first.contains("table hr.\"odd Name\""));
  SetUp();
  ASSERT_EQ(Ask(kMake), "");
  ASSERT_EQ(Ask("CREATE ROLE somebody; ALTER TABLE person OWNER TO somebody; GRANT SELECT ON people TO somebody"), "");
  EXPECT_THAT(CompareSchemas(Read(), first), IsEmpty()) << "owners and grants are not compared";
}

TEST_F(SchemaTest, EachKindOfDriftIsNamed) {
  ASSERT_EQ(Ask(kMake), "");
  const SchemaObjects before = Read();
  const auto drift = [&](std::string_view change) {
    SetUp();
    EXPECT_EQ(Ask(kMake), "");
    EXPECT_EQ(Ask(change), "") << change;
    return CompareSchemas(Read(), before);
  };
  EXPECT_THAT(drift("ALTER TABLE person DROP COLUMN mood; ALTER TABLE person ADD born date"),
              UnorderedElementsAre(Is(Drift::kMissing, "column public.person.mood"),
                                   Is(Drift::kUnexpected, "column public.person.born")));
  EXPECT_THAT(drift("DROP INDEX person_name; ALTER TABLE person ALTER name DROP DEFAULT"),
              UnorderedElementsAre(Is(Drift::kMissing, "index public.person.person_name"),
                                   Is(Drift::kDiffers, "column public.person.name")));
  EXPECT_THAT(
      drift("ALTER TYPE mood ADD VALUE 'calm'; CREATE OR REPLACE FUNCTION twice(i int) RETURNS int LANGUAGE sql "
            "AS 'SELECT 3 * i'"),
      UnorderedElementsAre(Is(Drift::kDiffers, "type public.mood"),
                           Is(Drift::kDiffers, "function public.twice(integer)")));
  EXPECT_THAT(drift("ALTER TABLE person DISABLE TRIGGER trap; DROP POLICY mine ON person"),
              UnorderedElementsAre(Is(Drift::kDiffers, "trigger public.person.trap"),
                                   Is(Drift::kMissing, "policy public.person.mine")));
  EXPECT_THAT(drift("CREATE TABLE extra (i int PRIMARY KEY, j int UNIQUE)"),
              ElementsAre(Is(Drift::kUnexpected, "table public.extra")))
      << "not its columns and constraints again";
  EXPECT_THAT(drift("DROP TABLE hr.\"odd Name\""), ElementsAre(Is(Drift::kMissing, "table hr.\"odd Name\"")));
}

}  // namespace
}  // namespace leasehold::provisioner
