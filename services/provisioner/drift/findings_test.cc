#include "services/provisioner/drift/findings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace leasehold::provisioner {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

constexpr std::string_view kId = "0123456789abcdef";
constexpr std::string_view kName = "tenant_acme_identity";

TenantId Acme() { return *TenantId::Parse("acme"); }

TenantRecord Ready() {
  TenantRecord record{.id = Acme()};
  record.generation = record.state_generation = 3;
  record.desired = v1::DESIRED_STATE_PRESENT;
  record.confirmed = true;
  record.state = v1::SERVICE_STATE_READY;
  record.database_id = kId;
  record.schema_version = 1;
  return record;
}

class FindingsTest : public ::testing::Test {
 protected:
  FindingsTest() {
    const ObservedRole role{.mark = MarkOf(kId), .can_login = true};
    seen_.tenants["acme"] = {
        .database = ObservedDatabase{.mark = MarkOf(kId), .owner_mark = MarkOf(kId)}, .owner = role, .read_only = role};
    records_.emplace(Acme(), Ready());
  }

  Diagnosis Run() {
    return Diagnose({.service = service_, .seen = seen_, .records = records_, .listed = listed_, .in_use = in_use_});
  }
  // "KIND tenant object REMEDY" each.
  std::vector<std::string> Found() {
    std::vector<std::string> found;
    for (const v1::Finding& finding : Run().findings) {
      EXPECT_EQ(finding.service(), "identity");
      EXPECT_NE(finding.message(), "");
      found.push_back(v1::FindingKind_Name(finding.kind()).substr(sizeof("FINDING_KIND_") - 1) + " " +
                      finding.tenant() + " " + finding.object() + " " +
                      v1::FindingRemedy_Name(finding.remedy()).substr(sizeof("FINDING_REMEDY_") - 1));
    }
    return found;
  }
  ObservedTenant& acme() { return seen_.tenants["acme"]; }
  TenantRecord& record() { return records_.at(Acme()); }

  const ServiceName service_ = *ServiceName::Parse("identity");
  ObservedInstance seen_;
  std::map<TenantId, TenantRecord> records_;
  std::optional<std::set<std::string>> listed_ = std::set<std::string>{"acme"};
  std::set<std::string> in_use_;
};

TEST_F(FindingsTest, NothingIsAmissWhereAllIsAsItShouldBe) {
  EXPECT_THAT(Found(), IsEmpty());
  seen_.other_roles["identity_central"] = {.mark = MarkOf("central")};
  listed_.reset();
  EXPECT_THAT(Found(), IsEmpty());
}

TEST_F(FindingsTest, ADatabaseThatIsGone) {
  acme().database.reset();
  EXPECT_THAT(Found(), ElementsAre("DATABASE_MISSING acme tenant_acme_identity REPAIRED"));
  record().schema_version.reset();
  EXPECT_THAT(Found(), IsEmpty()) << "it was never finished";
}

TEST_F(FindingsTest, ADatabaseUnderAnotherName) {
  acme().database.reset();
  seen_.other_databases["old"] = {.mark = MarkOf(kId), .owner_mark = MarkOf(kId)};
  EXPECT_THAT(Found(), ElementsAre("DATABASE_RENAMED acme old REPAIRED"));
  acme().database = ObservedDatabase{.other_owner = "postgres"};
  EXPECT_THAT(Found(),
              UnorderedElementsAre("FOREIGN acme tenant_acme_identity REPORTED", "DATABASE_RENAMED acme old REPORTED"));
  acme().database.reset();
  seen_.other_databases["old"].mark.clear();
  EXPECT_THAT(Found(), ElementsAre("DATABASE_RENAMED acme old REPORTED")) << "its owner alone says so";
}

TEST_F(FindingsTest, WhatTheLoginMayNotChangeIsForSomebody) {
  acme().database->other_owner = "postgres";
  acme().database->surplus = "PUBLIC, alice";
  acme().database->lacking = "tenant_acme_identity_ro";
  acme().owner->powers = "CREATEDB";
  acme().read_only->members = "alice";
  acme().read_only->belongs_to = "pg_read_all_data";
  EXPECT_THAT(Found(), UnorderedElementsAre("WRONG_OWNER acme tenant_acme_identity REPAIRED",
                                            "GRANT_WIDENED acme tenant_acme_identity REPAIRED",
                                            "GRANT_REDUCED acme tenant_acme_identity REPAIRED",
                                            "ROLE_CHANGED acme tenant_acme_identity REPAIRED",
                                            "GRANT_WIDENED acme tenant_acme_identity_ro REPAIRED",
                                            "GRANT_WIDENED acme tenant_acme_identity_ro REPAIRED"));
  acme().database->may_alter = acme().owner->may_restore = acme().read_only->may_restore = false;
  for (const v1::Finding& finding : Run().findings) EXPECT_EQ(finding.remedy(), v1::FINDING_REMEDY_REPORTED);
  acme().database->may_alter = acme().owner->may_restore = acme().read_only->may_restore = true;
  record().state = v1::SERVICE_STATE_FAILED;
  for (const v1::Finding& finding : Run().findings) {
    EXPECT_EQ(finding.remedy(), v1::FINDING_REMEDY_REPORTED) << "the last repair failed";
  }
}

TEST_F(FindingsTest, RolesThatAreGoneOrForeignOrShut) {
  acme().owner.reset();
  acme().read_only->can_login = false;
  EXPECT_THAT(Found(), UnorderedElementsAre("ROLE_MISSING acme tenant_acme_identity REPAIRED",
                                            "ROLE_CHANGED acme tenant_acme_identity_ro REPAIRED"));
  acme().owner = ObservedRole{.mark = MarkOf("another")};
  acme().read_only->can_login = true;
  EXPECT_THAT(Found(), ElementsAre("FOREIGN acme tenant_acme_identity REPORTED"));
}

TEST_F(FindingsTest, WhatIsBeingRemovedIsNotAmiss) {
  record().desired = v1::DESIRED_STATE_ABSENT;
  record().state = v1::SERVICE_STATE_PENDING;
  acme().database.reset();
  EXPECT_THAT(Found(), IsEmpty());
}

TEST_F(FindingsTest, ForeignThingsWithATenantsName) {
  records_.clear();
  acme().database = ObservedDatabase{};
  acme().owner = acme().read_only = ObservedRole{};
  EXPECT_THAT(Found(), UnorderedElementsAre("FOREIGN acme tenant_acme_identity REPORTED",
                                            "FOREIGN acme tenant_acme_identity REPORTED",
                                            "FOREIGN acme tenant_acme_identity_ro REPORTED"));
  EXPECT_THAT(Run().leftovers, IsEmpty());
}

TEST_F(FindingsTest, AnUnrecordedDatabaseOfOursIsKept) {
  records_.clear();
  EXPECT_THAT(Found(), UnorderedElementsAre("UNLISTED acme tenant_acme_identity REPORTED",
                                            "LEFTOVER acme tenant_acme_identity REPORTED",
                                            "LEFTOVER acme tenant_acme_identity_ro REPORTED"));
  EXPECT_THAT(Run().leftovers, IsEmpty());
}

TEST_F(FindingsTest, AnUnlistedTenantIsKept) {
  listed_->clear();
  EXPECT_THAT(Found(), ElementsAre("UNLISTED acme tenant_acme_identity REPORTED"));
  EXPECT_THAT(Run().leftovers, IsEmpty());
}

TEST_F(FindingsTest, RolesWithoutATenantAreLeftOver) {
  record().database_id.clear();
  record().state = v1::SERVICE_STATE_REMOVED;
  acme().database.reset();
  EXPECT_THAT(Found(), UnorderedElementsAre("LEFTOVER acme tenant_acme_identity REPAIRED",
                                            "LEFTOVER acme tenant_acme_identity_ro REPAIRED"));
  EXPECT_THAT(Run().leftovers, ElementsAre(Leftover{.tenant = Acme(), .database_id = std::string(kId)}));
  in_use_.insert(std::string(kId));
  EXPECT_THAT(Run().leftovers, IsEmpty()) << "somebody works with it";
}

TEST_F(FindingsTest, AHalfMadeDatabaseIsLeftOverOnceNobodyWorksOnIt) {
  const std::string staging = StagingName(kId);
  seen_.other_databases[staging] = {.owner_mark = MarkOf(kId), .other_owner = std::string(kName)};
  EXPECT_THAT(Run().leftovers,
              ElementsAre(Leftover{.tenant = Acme(), .database_id = std::string(kId), .database = staging}))
      << "the tenant's is in place";
  acme().database.reset();
  record().schema_version.reset();
  EXPECT_THAT(Found(), IsEmpty()) << "being made";
  record().database_id = "fedcba9876543210";
  EXPECT_THAT(Run().leftovers, ::testing::SizeIs(1)) << "of an id that nobody has";
  seen_.other_databases[staging].owner_mark.clear();
  EXPECT_THAT(Run().leftovers, IsEmpty()) << "a name alone is no proof";
}

TEST_F(FindingsTest, MarkedThingsUnderStrangeNames) {
  seen_.other_databases["strange"] = {.mark = MarkOf("feed")};
  seen_.other_databases["leasehold_drop_17"] = {.mark = MarkOf(kId)};
  seen_.other_roles["renamed"] = {.mark = MarkOf(kId)};
  seen_.other_roles["unknown"] = {.mark = MarkOf("feed")};
  EXPECT_THAT(Found(), UnorderedElementsAre("LEFTOVER  strange REPORTED", "LEFTOVER  leasehold_drop_17 REPORTED",
                                            "LEFTOVER acme renamed REPORTED", "LEFTOVER  unknown REPORTED"));
}

TEST_F(FindingsTest, WhatAnotherServiceOfTheInstanceMadeIsNotAmiss) {
  seen_.other_databases["tenant_acme_employee"] = {.mark = MarkOf("feed"), .of_another = true};
  seen_.other_databases[StagingName("feed")] = {.owner_mark = MarkOf("feed"), .of_another = true};
  seen_.other_databases["leasehold_drop_18"] = {.mark = MarkOf("feed"), .of_another = true};
  seen_.other_roles["tenant_acme_employee"] = {.mark = MarkOf("feed"), .of_another = true};
  EXPECT_THAT(Found(), IsEmpty());
  // One of our own that somebody gave away is told of all the same.
  seen_.other_roles["renamed"] = {.mark = MarkOf(kId), .of_another = true};
  EXPECT_THAT(Found(), ElementsAre("LEFTOVER acme renamed REPORTED"));
}

}  // namespace
}  // namespace leasehold::provisioner
