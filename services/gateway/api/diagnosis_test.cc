#include "services/gateway/api/diagnosis.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "common/config/config.h"

namespace leasehold::gateway {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);
constexpr absl::Duration kResync = absl::Seconds(30);

v1::ServiceHealth JudgedOf(const v1::ServiceHealth& health) {
  v1::DiagnoseResponse diagnosis;
  *diagnosis.add_services() = health;
  Judge(diagnosis, kNow, kResync);
  return diagnosis.services(0);
}

v1::ServiceHealth Well() {
  v1::ServiceHealth health;
  health.set_service("core");
  *health.mutable_last_pass_time() = FromTime(kNow - absl::Seconds(20));
  return health;
}

TEST(Judge, AServiceThatIsWellNeedsNobody) {
  const v1::ServiceHealth judged = JudgedOf(Well());
  EXPECT_THAT(judged.message(), IsEmpty());
  EXPECT_THAT(judged.advice(), IsEmpty());
}

TEST(Judge, WhateverIsAmissHasAdvice) {
  v1::ServiceHealth silent = Well();
  *silent.mutable_last_pass_time() = FromTime(kNow - 3 * kResync - kDiagnosisPatience - absl::Seconds(1));
  EXPECT_THAT(JudgedOf(silent).message(), HasSubstr("no provisioner of it has looked at its instance for 2m31s"));
  EXPECT_THAT(JudgedOf(silent).advice(), HasSubstr("leasehold-provisioner --service core"));
  v1::ServiceHealth never = Well();
  never.clear_last_pass_time();
  EXPECT_THAT(JudgedOf(never).advice(), HasSubstr("leasehold-provisioner --service core"));
  v1::ServiceHealth troubled = Well();
  troubled.set_trouble("the instance does not answer");
  EXPECT_THAT(JudgedOf(troubled).advice(), HasSubstr("look at the instance"));
  troubled.set_trouble("comparing all tenants: the instance's disk is full");
  EXPECT_THAT(JudgedOf(troubled).advice(), HasSubstr("make room on the instance's disk"));
  v1::ServiceHealth failed = Well();
  failed.set_failed(1);
  failed.set_message("acme: no space");
  EXPECT_THAT(JudgedOf(failed).message(), HasSubstr("tenant acme: no space"));
  EXPECT_THAT(JudgedOf(failed).advice(), HasSubstr("leasehold tenant retry acme"));
  failed.set_failed(2);
  EXPECT_THAT(JudgedOf(failed).advice(), HasSubstr("leasehold tenant retry TENANT"));
  v1::ServiceHealth pending = Well();
  pending.set_pending(2);
  EXPECT_THAT(JudgedOf(pending).advice(), HasSubstr("leasehold operation list"));
}

TEST(Judge, EveryKindOfFindingHasARemedy) {
  const auto* kinds = v1::FindingKind_descriptor();
  for (int i = 0; i < kinds->value_count(); ++i) {
    for (const auto remedy : {v1::FINDING_REMEDY_REPAIRED, v1::FINDING_REMEDY_REPORTED}) {
      v1::DiagnoseResponse diagnosis;
      v1::Finding& finding = *diagnosis.add_findings();
      finding.set_kind(static_cast<v1::FindingKind>(kinds->value(i)->number()));
      finding.set_remedy(remedy);
      Judge(diagnosis, kNow, kResync);
      EXPECT_THAT(diagnosis.findings(0).advice(), Not(IsEmpty())) << kinds->value(i)->name();
    }
  }
}

}  // namespace
}  // namespace leasehold::gateway
