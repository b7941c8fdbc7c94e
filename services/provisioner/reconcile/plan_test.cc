#include "services/provisioner/reconcile/plan.h"

#include <gtest/gtest.h>

namespace leasehold::provisioner {
namespace {

constexpr std::string_view kId = "0123456789abcdef";

const Standard kStandard{.schema_version = 2, .role_key = "k1"};

TenantRecord Record(v1::DesiredState desired, v1::ServiceState state) {
  TenantRecord record{.id = *TenantId::Parse("acme")};
  record.generation = record.state_generation = 3;
  record.desired = desired;
  record.confirmed = true;
  record.state = state;
  record.database_id = kId;
  record.schema_version = 2;
  record.role_key = "k1";
  return record;
}

ObservedTenant InPlace(bool may_log_in) {
  const ObservedRole role{.mark = MarkOf(kId), .can_login = may_log_in};
  return {.database = ObservedDatabase{.mark = MarkOf(kId)}, .owner = role, .read_only = role};
}

TEST(Plan, WhatIsAsItShouldBeNeedsNothing) {
  EXPECT_EQ(WorkFor(Record(v1::DESIRED_STATE_PRESENT, v1::SERVICE_STATE_READY), InPlace(true), kStandard), Work::kNone);
  EXPECT_EQ(WorkFor(Record(v1::DESIRED_STATE_CLOSED, v1::SERVICE_STATE_CLOSED), InPlace(false), kStandard),
            Work::kNone);
  EXPECT_EQ(WorkFor(Record(v1::DESIRED_STATE_ABSENT, v1::SERVICE_STATE_REMOVED), {}, kStandard), Work::kNone);
}

TEST(Plan, ANewerGenerationOfWhatIsInPlaceOnlyHasToBeSaid) {
  TenantRecord newer = Record(v1::DESIRED_STATE_PRESENT, v1::SERVICE_STATE_PENDING);
  newer.generation = 4;
  EXPECT_EQ(WorkFor(newer, InPlace(true), kStandard), Work::kSettle);
  EXPECT_EQ(WorkFor(newer, InPlace(false), kStandard), Work::kPresent);
  newer.schema_version.reset();  // a first run that was killed before it was recorded
  EXPECT_EQ(WorkFor(newer, InPlace(true), kStandard), Work::kPresent);
  newer.desired = v1::DESIRED_STATE_CLOSED;
  EXPECT_EQ(WorkFor(newer, InPlace(false), kStandard), Work::kClosed) << "sessions may be left";
}

TEST(Plan, AFailureNeedsWork) {
  EXPECT_EQ(WorkFor(Record(v1::DESIRED_STATE_PRESENT, v1::SERVICE_STATE_FAILED), InPlace(true), kStandard),
            Work::kPresent);
}

TEST(Plan, AnyDifferenceOnTheInstanceNeedsWork) {
  const TenantRecord record = Record(v1::DESIRED_STATE_PRESENT, v1::SERVICE_STATE_READY);
  std::vector<ObservedTenant> wrong(8, InPlace(true));
  wrong[0].database.reset();
  wrong[1].database->mark.clear();
  wrong[2].database->open_to_public = true;
  wrong[3].database->valid = false;
  wrong[4].owner.reset();
  wrong[5].read_only.reset();
  wrong[6].owner->can_login = false;
  wrong[7].read_only->mark = "leasehold:1:another";
  for (size_t i = 0; i < wrong.size(); ++i) EXPECT_EQ(WorkFor(record, wrong[i], kStandard), Work::kPresent) << i;
}

TEST(Plan, WhatSomebodyChangedIsRepairedWhereTheLoginMay) {
  const TenantRecord record = Record(v1::DESIRED_STATE_PRESENT, v1::SERVICE_STATE_READY);
  std::vector<ObservedTenant> changed(6, InPlace(true));
  changed[0].database->other_owner = "postgres";
  changed[1].database->surplus = "alice";
  changed[2].database->lacking = "tenant_acme_identity_ro";
  changed[3].owner->powers = "CREATEDB";
  changed[4].read_only->members = "alice";
  changed[5].owner->belongs_to = "pg_read_all_data";
  for (size_t i = 0; i < changed.size(); ++i) {
    EXPECT_EQ(WorkFor(record, changed[i], kStandard), Work::kPresent) << i;
    changed[i].database->may_alter = changed[i].owner->may_restore = changed[i].read_only->may_restore = false;
    EXPECT_EQ(WorkFor(record, changed[i], kStandard), Work::kNone) << i;
  }
}

TEST(Plan, NewMigrationsReachOpenTenantsOnly) {
  const Standard newer{.schema_version = 3, .role_key = "k1"};
  EXPECT_EQ(WorkFor(Record(v1::DESIRED_STATE_PRESENT, v1::SERVICE_STATE_READY), InPlace(true), newer), Work::kPresent);
  EXPECT_EQ(WorkFor(Record(v1::DESIRED_STATE_CLOSED, v1::SERVICE_STATE_CLOSED), InPlace(false), newer), Work::kNone);
}

TEST(Plan, ANewRoleKeyReachesAll) {
  const Standard other{.schema_version = 2, .role_key = "k2"};
  EXPECT_EQ(WorkFor(Record(v1::DESIRED_STATE_PRESENT, v1::SERVICE_STATE_READY), InPlace(true), other), Work::kPresent);
  EXPECT_EQ(WorkFor(Record(v1::DESIRED_STATE_CLOSED, v1::SERVICE_STATE_CLOSED), InPlace(false), other), Work::kClosed);
}

TEST(Plan, OnlyTheRegistryRemoves) {
  TenantRecord record = Record(v1::DESIRED_STATE_ABSENT, v1::SERVICE_STATE_PENDING);
  EXPECT_EQ(WorkFor(record, InPlace(true), kStandard), Work::kAbsent);
  record.confirmed = false;
  EXPECT_EQ(WorkFor(record, InPlace(true), kStandard), Work::kShut);
  EXPECT_EQ(WorkFor(record, InPlace(false), kStandard), Work::kNone);
  ObservedTenant foreign = InPlace(true);
  foreign.owner->mark = foreign.read_only->mark = "";
  EXPECT_EQ(WorkFor(record, foreign, kStandard), Work::kNone);
}

TEST(Plan, WhatAPurgedTenantLeftIsReplacedOnTheRegistrysWordOnly) {
  for (const v1::DesiredState desired : {v1::DESIRED_STATE_PRESENT, v1::DESIRED_STATE_CLOSED}) {
    TenantRecord record = Record(desired, v1::SERVICE_STATE_PENDING);
    record.database_generation = 1;
    record.create_generation = 3;
    EXPECT_EQ(WorkFor(record, InPlace(true), kStandard), Work::kReplace);
    record.confirmed = false;
    EXPECT_EQ(WorkFor(record, InPlace(true), kStandard), Work::kShut);
    EXPECT_EQ(WorkFor(record, InPlace(false), kStandard), Work::kNone);
    EXPECT_FALSE(IsLost(record, {})) << "dropped half-way";
    record.database_generation = 0;
    EXPECT_NE(WorkFor(record, InPlace(false), kStandard), Work::kNone) << "made for an announcement: taken over";
    record.database_generation = 3;
    EXPECT_NE(WorkFor(record, InPlace(false), kStandard), Work::kNone) << "made for this very tenant";
  }
}

TEST(Plan, LostMeansFinishedOnceAndGoneNow) {
  TenantRecord record = Record(v1::DESIRED_STATE_PRESENT, v1::SERVICE_STATE_READY);
  EXPECT_TRUE(IsLost(record, {}));
  record.state = v1::SERVICE_STATE_FAILED;
  EXPECT_TRUE(IsLost(record, {})) << "an attempt may have failed for just that";
  EXPECT_FALSE(IsLost(record, InPlace(true)));
  EXPECT_FALSE(IsLost(Record(v1::DESIRED_STATE_ABSENT, v1::SERVICE_STATE_PENDING), {}));
  record.schema_version.reset();
  EXPECT_FALSE(IsLost(record, {})) << "never finished";
}

}  // namespace
}  // namespace leasehold::provisioner
