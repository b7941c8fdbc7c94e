#include "services/gateway/registry/tenant_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "common/status/error.h"

namespace leasehold::gateway {
namespace {

using testing::HasSubstr;

const std::vector<std::string> kServices = {"core", "employee", "identity"};

v1::ServiceStatus Report(const std::string& service, v1::ServiceState state, int64_t generation,
                         const std::string& message = "") {
  v1::ServiceStatus status;
  status.set_service(service);
  status.set_state(state);
  status.set_generation(generation);
  status.set_message(message);
  return status;
}

Source OfTenant(const std::string& tenant) {
  return {.tenant = tenant, .backup = "", .generation = 0, .in_place = false};
}
Source OfBackup(const std::string& backup) {
  return {.tenant = "", .backup = backup, .generation = 0, .in_place = false};
}

Standing Make(std::initializer_list<Change> changes) {
  Standing standing;
  for (const Change change : changes) {
    const absl::StatusOr<bool> changed = ApplyChange(standing, "acme", change, kServices);
    EXPECT_TRUE(changed.ok() && *changed) << changed.status();
  }
  return standing;
}

void ReportAll(Standing& standing, v1::ServiceState state) {
  for (const std::string& service : kServices) {
    EXPECT_TRUE(ApplyReport(standing, Report(service, state, standing.generation), kServices));
  }
}

TEST(TenantStateTest, EveryChangeFromEveryState) {
  const Standing absent;
  const Standing provisioning = Make({Change::kCreate});
  Standing active = provisioning;
  ReportAll(active, v1::SERVICE_STATE_READY);
  Standing degraded = provisioning;
  ApplyReport(degraded, Report("core", v1::SERVICE_STATE_FAILED, 1), kServices);
  const Standing suspended = Make({Change::kCreate, Change::kSuspend});
  const Standing deleted = Make({Change::kCreate, Change::kDelete});
  const Standing purging = Make({Change::kCreate, Change::kDelete, Change::kPurge});

  constexpr v1::Reason kChanges = v1::REASON_UNSPECIFIED;
  constexpr v1::Reason kNothing = v1::Reason(-1);
  constexpr v1::Reason kIllegal = v1::REASON_INTERNAL;
  struct Row {
    const char* name;
    const Standing& from;
    v1::TenantState state;
    // kCreate, kUpdate, kSuspend, kResume, kDelete, kDeleteFor, kPurge, kUndelete, kRestore, kAbandon
    std::vector<v1::Reason> want;
  };
  const std::vector<Change> columns = {Change::kCreate,  Change::kUpdate,    Change::kSuspend, Change::kResume,
                                       Change::kDelete,  Change::kDeleteFor, Change::kPurge,   Change::kUndelete,
                                       Change::kRestore, Change::kAbandon};
  constexpr v1::Reason kExists = v1::REASON_TENANT_EXISTS;
  constexpr v1::Reason kGone = v1::REASON_TENANT_NOT_FOUND;
  constexpr v1::Reason kIsDeleted = v1::REASON_TENANT_DELETED;
  const std::vector<Row> rows = {
      {"absent",
       absent,
       v1::TENANT_STATE_UNSPECIFIED,
       {kChanges, kGone, kGone, kGone, kGone, kGone, kGone, kGone, kGone, kGone}},
      {"provisioning",
       provisioning,
       v1::TENANT_STATE_PROVISIONING,
       {kExists, kChanges, kChanges, kNothing, kChanges, kChanges, kIllegal, kNothing, kChanges, kChanges}},
      {"active",
       active,
       v1::TENANT_STATE_ACTIVE,
       {kExists, kChanges, kChanges, kNothing, kChanges, kChanges, kIllegal, kNothing, kChanges, kIsDeleted}},
      {"degraded",
       degraded,
       v1::TENANT_STATE_DEGRADED,
       {kExists, kChanges, kChanges, kNothing, kChanges, kChanges, kIllegal, kNothing, kChanges, kChanges}},
      {"suspended",
       suspended,
       v1::TENANT_STATE_SUSPENDED,
       {kExists, kChanges, kNothing, kChanges, kChanges, kChanges, kIllegal, kNothing, kChanges, kIsDeleted}},
      {"deleted",
       deleted,
       v1::TENANT_STATE_DELETED,
       {kExists, kIsDeleted, kIsDeleted, kIsDeleted, kNothing, kChanges, kChanges, kChanges, kIsDeleted, kIsDeleted}},
      {"purging",
       purging,
       v1::TENANT_STATE_PURGING,
       {kExists, kIsDeleted, kIsDeleted, kIsDeleted, kNothing, kNothing, kNothing, kIsDeleted, kIsDeleted, kNothing}},
  };
  for (const Row& row : rows) {
    ASSERT_EQ(row.from.state, row.state) << row.name;
    for (size_t i = 0; i < columns.size(); ++i) {
      Standing standing = row.from;
      const absl::StatusOr<bool> changed = ApplyChange(standing, "acme", columns[i], kServices);
      const v1::Reason got = !changed.ok() ? ReasonOf(changed.status()) : *changed ? kChanges : kNothing;
      EXPECT_EQ(got, row.want[i]) << row.name << ", column " << i;
      EXPECT_EQ(standing.generation, row.from.generation + (got == kChanges ? 1 : 0)) << row.name << ", column " << i;
      if (got != kChanges) {
        EXPECT_EQ(standing.state, row.from.state) << row.name << ", column " << i;
      }
    }
  }
}

TEST(TenantStateTest, ActiveOnlyWhenEveryServiceIsReady) {
  Standing standing = Make({Change::kCreate});
  EXPECT_EQ(MessageOf(standing, kServices), "waiting for core, employee, identity");
  EXPECT_TRUE(ApplyReport(standing, Report("core", v1::SERVICE_STATE_READY, 1), kServices));
  EXPECT_TRUE(ApplyReport(standing, Report("employee", v1::SERVICE_STATE_READY, 1), kServices));
  EXPECT_EQ(standing.state, v1::TENANT_STATE_PROVISIONING);
  EXPECT_EQ(ProgressOf(standing, kServices).done, 2);
  EXPECT_TRUE(ApplyReport(standing, Report("identity", v1::SERVICE_STATE_FAILED, 1, "no disk"), kServices));
  EXPECT_EQ(standing.state, v1::TENANT_STATE_DEGRADED);
  EXPECT_EQ(MessageOf(standing, kServices), "identity failed: no disk; another attempt follows");
  EXPECT_TRUE(ApplyReport(standing, Report("identity", v1::SERVICE_STATE_READY, 1), kServices));
  EXPECT_EQ(standing.state, v1::TENANT_STATE_ACTIVE);
  EXPECT_EQ(MessageOf(standing, kServices), "");
  EXPECT_TRUE(ProgressOf(standing, kServices).settled());
}

TEST(TenantStateTest, ReportsAreFencedByGeneration) {
  Standing standing = Make({Change::kCreate});
  ReportAll(standing, v1::SERVICE_STATE_READY);
  ASSERT_TRUE(ApplyChange(standing, "acme", Change::kSuspend, kServices).ok());
  ASSERT_TRUE(ApplyChange(standing, "acme", Change::kResume, kServices).ok());
  ASSERT_EQ(standing.provision_generation, 3);

  // READY was said of generation 1; it says nothing about 3.
  EXPECT_EQ(standing.state, v1::TENANT_STATE_PROVISIONING);
  EXPECT_EQ(CurrentStatus(standing, "core").state(), v1::SERVICE_STATE_PENDING);
  for (const int64_t generation : {1, 2, 4}) {
    EXPECT_FALSE(ApplyReport(standing, Report("core", v1::SERVICE_STATE_READY, generation), kServices)) << generation;
  }
  EXPECT_TRUE(ApplyReport(standing, Report("core", v1::SERVICE_STATE_READY, 3), kServices));
  EXPECT_FALSE(ApplyReport(standing, Report("core", v1::SERVICE_STATE_READY, 3), kServices)) << "the same again";
  EXPECT_FALSE(ApplyReport(standing, Report("payroll", v1::SERVICE_STATE_READY, 3), kServices)) << "not configured";
  EXPECT_FALSE(ApplyReport(standing, Report("core", v1::SERVICE_STATE_PENDING, 3), kServices)) << "not a report";
  EXPECT_EQ(standing.state, v1::TENANT_STATE_PROVISIONING);
}

TEST(TenantStateTest, AReportThatWasOvertakenOnItsWayCountsForNothing) {
  const auto made = [](v1::ServiceState state, int64_t version, int64_t seconds) {
    v1::ServiceStatus report = Report("core", state, 1);
    report.set_version(version);
    report.mutable_update_time()->set_seconds(seconds);
    return report;
  };
  constexpr v1::ServiceState kFailed = v1::SERVICE_STATE_FAILED;
  constexpr v1::ServiceState kReady = v1::SERVICE_STATE_READY;
  Standing standing = Make({Change::kCreate});
  ASSERT_TRUE(ApplyReport(standing, made(kReady, 7, 100), kServices));
  EXPECT_FALSE(ApplyReport(standing, made(kFailed, 6, 99), kServices));
  EXPECT_FALSE(ApplyReport(standing, made(kFailed, 6, 100), kServices)) << "within one tick of the clock";
  EXPECT_FALSE(ApplyReport(standing, made(kFailed, 7, 99), kServices)) << "of a provisioner that says no versions";
  EXPECT_EQ(standing.state, v1::TENANT_STATE_PROVISIONING);
  EXPECT_TRUE(ApplyReport(standing, made(kFailed, 8, 99), kServices)) << "its clock was set back";
  EXPECT_EQ(standing.state, v1::TENANT_STATE_DEGRADED);
  EXPECT_TRUE(ApplyReport(standing, made(kReady, 3, 101), kServices)) << "its records were restored";
  EXPECT_EQ(standing.state, v1::TENANT_STATE_PROVISIONING);
  ASSERT_TRUE(ApplyChange(standing, "acme", Change::kUpdate, kServices).ok());
  v1::ServiceStatus newer = made(kFailed, 1, 1);
  newer.set_generation(2);
  EXPECT_TRUE(ApplyReport(standing, newer, kServices)) << "a newer generation needs neither";
}

TEST(TenantStateTest, UpdatesNeedNoWork) {
  Standing standing = Make({Change::kCreate});
  ReportAll(standing, v1::SERVICE_STATE_READY);
  ASSERT_TRUE(ApplyChange(standing, "acme", Change::kUpdate, kServices).ok());
  EXPECT_EQ(standing.generation, 2);
  EXPECT_EQ(standing.provision_generation, 1);
  EXPECT_EQ(standing.state, v1::TENANT_STATE_ACTIVE);
  EXPECT_TRUE(ApplyReport(standing, Report("core", v1::SERVICE_STATE_READY, 2), kServices));
  EXPECT_FALSE(ApplyReport(standing, Report("core", v1::SERVICE_STATE_FAILED, 1), kServices)) << "older than reported";
  EXPECT_EQ(standing.state, v1::TENANT_STATE_ACTIVE);
}

TEST(TenantStateTest, SuspendDeletePurgeAndTheIdAgain) {
  Standing standing = Make({Change::kCreate, Change::kSuspend});
  EXPECT_EQ(standing.state, v1::TENANT_STATE_SUSPENDED);
  EXPECT_EQ(standing.desired, v1::DESIRED_STATE_CLOSED);
  EXPECT_THAT(MessageOf(standing, kServices), HasSubstr("suspended; waiting for core"));
  ReportAll(standing, v1::SERVICE_STATE_CLOSED);
  EXPECT_EQ(MessageOf(standing, kServices), "suspended");

  ASSERT_TRUE(ApplyChange(standing, "acme", Change::kDelete, kServices).ok());
  EXPECT_EQ(standing.state, v1::TENANT_STATE_DELETED);
  ReportAll(standing, v1::SERVICE_STATE_CLOSED);
  EXPECT_EQ(standing.state, v1::TENANT_STATE_DELETED);

  ASSERT_TRUE(ApplyChange(standing, "acme", Change::kPurge, kServices).ok());
  EXPECT_EQ(standing.desired, v1::DESIRED_STATE_ABSENT);
  EXPECT_EQ(standing.state, v1::TENANT_STATE_PURGING);
  EXPECT_FALSE(ApplyReport(standing, Report("core", v1::SERVICE_STATE_CLOSED, 3), kServices)) << "of the deletion";
  ReportAll(standing, v1::SERVICE_STATE_REMOVED);
  EXPECT_EQ(standing.state, v1::TENANT_STATE_UNSPECIFIED);
  EXPECT_FALSE(ApplyReport(standing, Report("core", v1::SERVICE_STATE_FAILED, 4), kServices)) << "nobody is there";

  ASSERT_TRUE(ApplyChange(standing, "acme", Change::kCreate, kServices).ok());
  EXPECT_EQ(standing.generation, 5) << "goes on from the tenant before";
  EXPECT_EQ(standing.create_generation, 5);
  EXPECT_TRUE(standing.reports.empty());
  EXPECT_EQ(standing.state, v1::TENANT_STATE_PROVISIONING);
}

TEST(TenantStateTest, AServiceAddedToTheConfigurationIsWaitedFor) {
  Standing standing = Make({Change::kCreate});
  ReportAll(standing, v1::SERVICE_STATE_READY);
  const std::vector<std::string> more = {"core", "employee", "identity", "payroll"};
  EXPECT_TRUE(Reconsider(standing, more));
  EXPECT_EQ(standing.state, v1::TENANT_STATE_PROVISIONING);
  EXPECT_EQ(MessageOf(standing, more), "waiting for payroll");
  EXPECT_TRUE(Reconsider(standing, kServices));
  EXPECT_EQ(standing.state, v1::TENANT_STATE_ACTIVE);
}

TEST(TenantStateTest, AServiceThatMissedThePurgeRemovesAfterwards) {
  Standing standing = Make({Change::kCreate});
  ReportAll(standing, v1::SERVICE_STATE_READY);
  ASSERT_TRUE(ApplyChange(standing, "acme", Change::kDelete, kServices).ok());
  ASSERT_TRUE(ApplyChange(standing, "acme", Change::kPurge, kServices).ok());
  const std::vector<std::string> fewer = {"core", "employee"};
  for (const std::string& service : fewer) {
    EXPECT_TRUE(ApplyReport(standing, Report(service, v1::SERVICE_STATE_REMOVED, 3), fewer));
  }
  ASSERT_EQ(standing.state, v1::TENANT_STATE_UNSPECIFIED);
  EXPECT_FALSE(ApplyReport(standing, Report("identity", v1::SERVICE_STATE_REMOVED, 3), fewer)) << "still away";
  EXPECT_FALSE(ApplyReport(standing, Report("identity", v1::SERVICE_STATE_READY, 3), kServices));
  EXPECT_FALSE(ApplyReport(standing, Report("identity", v1::SERVICE_STATE_REMOVED, 2), kServices))
      << "before the purge";
  EXPECT_TRUE(ApplyReport(standing, Report("identity", v1::SERVICE_STATE_REMOVED, 3), kServices));
  EXPECT_EQ(standing.state, v1::TENANT_STATE_UNSPECIFIED);
}

TEST(TenantStateTest, ARefusedAnnouncementLeavesWhatAPurgedTenantLeaves) {
  Standing standing;
  EXPECT_TRUE(RefuseAnnouncement(standing));
  EXPECT_EQ(standing.state, v1::TENANT_STATE_UNSPECIFIED);
  EXPECT_EQ(standing.desired, v1::DESIRED_STATE_ABSENT);
  EXPECT_FALSE(RefuseAnnouncement(standing)) << "once";
  EXPECT_TRUE(ApplyReport(standing, Report("core", v1::SERVICE_STATE_REMOVED, 1), kServices));
  ASSERT_TRUE(*ApplyChange(standing, "acme", Change::kCreate, kServices));
  EXPECT_EQ(standing.generation, 2);
  EXPECT_EQ(standing.create_generation, 2);
  EXPECT_FALSE(RefuseAnnouncement(standing)) << "a tenant";
}

TEST(TenantStateTest, CreatedSuspended) {
  Standing standing = Make({Change::kCreateSuspended});
  EXPECT_EQ(standing.state, v1::TENANT_STATE_SUSPENDED);
  ReportAll(standing, v1::SERVICE_STATE_CLOSED);
  EXPECT_EQ(standing.state, v1::TENANT_STATE_SUSPENDED);
  EXPECT_TRUE(ProgressOf(standing, kServices).settled());
}

TEST(TenantStateTest, ARetryOfWhatIsAsWantedIsANewGenerationForTheInstancesToLookAt) {
  Standing standing = Make({Change::kCreate});
  EXPECT_FALSE(*ApplyChange(standing, "acme", Change::kRetry, kServices)) << "they are at it";
  ReportAll(standing, v1::SERVICE_STATE_READY);
  ASSERT_TRUE(*ApplyChange(standing, "acme", Change::kRetry, kServices));
  EXPECT_EQ(standing.generation, 2);
  EXPECT_EQ(standing.state, v1::TENANT_STATE_ACTIVE);
  EXPECT_EQ(CurrentStatus(standing, "core").state(), v1::SERVICE_STATE_READY) << "leasable meanwhile";
  EXPECT_TRUE(ProgressOf(standing, kServices).settled());
  EXPECT_EQ(ProgressOf(standing, kServices, 2).done, 0) << "none has looked yet";

  EXPECT_TRUE(ApplyReport(standing, Report("core", v1::SERVICE_STATE_FAILED, 2, "the disk is full"), kServices));
  EXPECT_EQ(standing.state, v1::TENANT_STATE_DEGRADED);
  for (const char* service : {"employee", "identity"}) {
    EXPECT_TRUE(ApplyReport(standing, Report(service, v1::SERVICE_STATE_READY, 2), kServices));
  }
  EXPECT_EQ(ProgressOf(standing, kServices, 2).done, 2);

  Standing suspended = Make({Change::kCreateSuspended});
  ReportAll(suspended, v1::SERVICE_STATE_CLOSED);
  EXPECT_TRUE(*ApplyChange(suspended, "acme", Change::kRetry, kServices));
  EXPECT_EQ(suspended.state, v1::TENANT_STATE_SUSPENDED);
}

TEST(TenantStateTest, ARetryLeavesWhatIsReadyLeasableAndCountsAnew) {
  Standing standing = Make({Change::kCreate});
  ApplyReport(standing, Report("core", v1::SERVICE_STATE_READY, 1), kServices);
  v1::ServiceStatus failed = Report("identity", v1::SERVICE_STATE_FAILED, 1, "the disk is full");
  failed.set_attempts(7);
  failed.mutable_next_attempt_time()->set_seconds(1'800'000'000);
  ApplyReport(standing, failed, kServices);
  EXPECT_THAT(MessageOf(standing, kServices), HasSubstr("identity failed: the disk is full (attempt 7, the next at "));

  const absl::StatusOr<bool> changed = ApplyChange(standing, "acme", Change::kRetry, kServices);
  ASSERT_TRUE(changed.ok() && *changed);
  EXPECT_EQ(standing.generation, 2);
  EXPECT_EQ(standing.provision_generation, 2);
  EXPECT_EQ(standing.state, v1::TENANT_STATE_DEGRADED);
  EXPECT_EQ(CurrentStatus(standing, "core").state(), v1::SERVICE_STATE_READY);
  EXPECT_EQ(CurrentStatus(standing, "identity").attempts(), 0);
  EXPECT_FALSE(CurrentStatus(standing, "identity").has_next_attempt_time());
  EXPECT_EQ(CurrentStatus(standing, "employee").state(), v1::SERVICE_STATE_PENDING);

  EXPECT_FALSE(ApplyReport(standing, failed, kServices)) << "of the attempts before";
  for (const char* service : {"employee", "identity"}) {
    EXPECT_TRUE(ApplyReport(standing, Report(service, v1::SERVICE_STATE_READY, 2), kServices));
  }
  EXPECT_EQ(standing.state, v1::TENANT_STATE_ACTIVE) << "core was ready all the time";
  Standing none;
  EXPECT_EQ(ReasonOf(ApplyChange(none, "acme", Change::kRetry, kServices).status()), v1::REASON_TENANT_NOT_FOUND);
}

TEST(TenantStateTest, ACloneNeedsItsOriginUntilItIsThere) {
  Standing standing;
  ASSERT_TRUE(*ApplyChange(standing, "copy", Change::kClone, kServices, OfTenant("acme")));
  EXPECT_EQ(standing.origin, (Source{.tenant = "acme", .backup = "", .generation = 1, .in_place = false}));
  for (const Change change : {Change::kSuspend, Change::kResume, Change::kDelete, Change::kUndelete, Change::kUpdate}) {
    ASSERT_TRUE(*ApplyChange(standing, "copy", change, kServices));
    EXPECT_EQ(standing.origin.generation, 1) << "it must not begin empty, whatever happened meanwhile";
  }
  ReportAll(standing, v1::SERVICE_STATE_READY);
  EXPECT_EQ(standing.state, v1::TENANT_STATE_ACTIVE);
  EXPECT_EQ(standing.origin, Source());
}

TEST(TenantStateTest, ARestoreInPlaceIsForgottenOnceOvertaken) {
  Standing standing = Make({Change::kCreate});
  ReportAll(standing, v1::SERVICE_STATE_READY);
  const Standing active = standing;
  for (const Change change : {Change::kSuspend, Change::kDelete, Change::kKeep}) {
    standing = active;
    ASSERT_TRUE(*ApplyChange(standing, "acme", Change::kRestore, kServices, OfBackup("acme.2")));
    EXPECT_EQ(standing.state, v1::TENANT_STATE_PROVISIONING);
    EXPECT_TRUE(standing.origin.in_place);
    EXPECT_EQ(CurrentStatus(standing, "core").state(), v1::SERVICE_STATE_PENDING) << "refused to leases";
    ASSERT_TRUE(*ApplyChange(standing, "acme", change, kServices));
    EXPECT_EQ(standing.origin, Source());
  }
  ReportAll(standing, v1::SERVICE_STATE_READY);
  EXPECT_EQ(standing.state, v1::TENANT_STATE_ACTIVE) << "cancelled: back with what it has";
}

TEST(TenantStateTest, ABackupNeedsADatabaseInEachService) {
  Standing standing = Make({Change::kCreate});
  ApplyReport(standing, Report("core", v1::SERVICE_STATE_READY, 1), kServices);
  EXPECT_EQ(ReasonOf(ApplyChange(standing, "acme", Change::kBackup, kServices).status()), v1::REASON_TENANT_NOT_READY);
  EXPECT_EQ(standing.generation, 1) << "refused: nothing changes";
  for (const char* service : {"employee", "identity"}) {
    EXPECT_TRUE(ApplyReport(standing, Report(service, v1::SERVICE_STATE_READY, 1), kServices));
  }
  ASSERT_TRUE(*ApplyChange(standing, "acme", Change::kBackup, kServices));
  EXPECT_EQ(standing.generation, 2);
  EXPECT_EQ(standing.provision_generation, 1) << "the instances have nothing to follow";
  EXPECT_EQ(standing.state, v1::TENANT_STATE_ACTIVE);

  ASSERT_TRUE(*ApplyChange(standing, "acme", Change::kSuspend, kServices));
  EXPECT_TRUE(*ApplyChange(standing, "acme", Change::kBackup, kServices)) << "of a suspended tenant too";
  ASSERT_TRUE(*ApplyChange(standing, "acme", Change::kRestore, kServices, OfBackup("acme.2")));
  EXPECT_EQ(ReasonOf(CheckComplete(standing, "acme", kServices)), v1::REASON_TENANT_NOT_READY)
      << "about to be replaced";
  ASSERT_TRUE(*ApplyChange(standing, "acme", Change::kDelete, kServices));
  EXPECT_EQ(ReasonOf(ApplyChange(standing, "acme", Change::kBackup, kServices).status()), v1::REASON_TENANT_DELETED);
}

TEST(TenantStateTest, AnAbandonedCloneGoesForGood) {
  Standing standing;
  ASSERT_TRUE(*ApplyChange(standing, "copy", Change::kClone, kServices, OfTenant("acme")));
  ApplyReport(standing, Report("core", v1::SERVICE_STATE_READY, 1), kServices);
  ASSERT_TRUE(*ApplyChange(standing, "copy", Change::kAbandon, kServices));
  EXPECT_EQ(standing.desired, v1::DESIRED_STATE_ABSENT);
  EXPECT_FALSE(ApplyReport(standing, Report("identity", v1::SERVICE_STATE_READY, 1), kServices)) << "overtaken";
  ReportAll(standing, v1::SERVICE_STATE_REMOVED);
  EXPECT_EQ(standing.state, v1::TENANT_STATE_UNSPECIFIED);
}

}  // namespace
}  // namespace leasehold::gateway
