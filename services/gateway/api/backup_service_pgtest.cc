// BackupService, and what else of a tenant's life goes through the API: undelete, retry, clone, cancel.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "services/gateway/api/registry_service_fixture.h"

namespace leasehold::gateway {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class BackupServiceTest : public RegistryServiceTest {
 protected:
  // A tenant whose two databases are there.
  void Ready(const std::string& id) {
    ASSERT_TRUE(Create(id).ok());
    for (const char* service : {"core", "identity"}) Report(id, service, v1::SERVICE_STATE_READY, 1);
  }

  absl::StatusOr<v1::BackupChange> Backup(const std::string& tenant, const std::string& request_id = "") {
    v1::CreateBackupRequest request;
    request.set_tenant(tenant);
    request.set_request_id(request_id);
    v1::BackupChange change;
    grpc::ClientContext context;
    LH_RETURN_IF_ERROR(FromGrpc(backups_->CreateBackup(&context, request, &change), "the test"));
    return change;
  }

  absl::StatusOr<v1::TenantChange> Restore(const std::string& backup, const std::string& tenant, bool in_place) {
    v1::RestoreBackupRequest request;
    request.set_backup(backup);
    request.mutable_tenant()->set_id(tenant);
    request.set_in_place(in_place);
    v1::TenantChange change;
    grpc::ClientContext context;
    LH_RETURN_IF_ERROR(FromGrpc(backups_->RestoreBackup(&context, request, &change), "the test"));
    return change;
  }

  absl::StatusOr<v1::Operation> Cancel(const std::string& id) {
    v1::CancelOperationRequest request;
    request.set_id(id);
    v1::Operation operation;
    grpc::ClientContext context;
    LH_RETURN_IF_ERROR(FromGrpc(operations_->CancelOperation(&context, request, &operation), "the test"));
    return operation;
  }

  v1::Operation OperationOf(const std::string& id) {
    v1::GetOperationRequest request;
    request.set_id(id);
    v1::Operation operation;
    grpc::ClientContext context;
    EXPECT_TRUE(operations_->GetOperation(&context, request, &operation).ok()) << id;
    return operation;
  }

  v1::Backup BackupOf(const std::string& id) {
    v1::GetBackupRequest request;
    request.set_id(id);
    v1::Backup backup;
    grpc::ClientContext context;
    EXPECT_TRUE(backups_->GetBackup(&context, request, &backup).ok()) << id;
    return backup;
  }

  v1::Tenant TenantOf(const std::string& id) {
    v1::GetTenantRequest request;
    request.set_id(id);
    v1::Tenant tenant;
    grpc::ClientContext context;
    (void)tenants_->GetTenant(&context, request, &tenant);
    return tenant;
  }

  // What `service` has still to do: "acme.2", "-acme.2" if it is to be removed.
  std::vector<std::string> WorkOf(const std::string& service) {
    v1::ListBackupWorkRequest request;
    request.set_service(service);
    v1::ListBackupWorkResponse response;
    grpc::ClientContext context;
    EXPECT_TRUE(provisioners_->ListBackupWork(&context, request, &response).ok());
    std::vector<std::string> work;
    for (const v1::BackupWork& next : response.work()) {
      work.push_back((next.cancelled() ? "-" : "") + next.backup());
    }
    return work;
  }

  bool ReportBackup(const std::string& backup, const std::string& service, v1::BackupState state, int64_t bytes = 0) {
    v1::BackupStatus status;
    status.set_backup(backup);
    status.set_service(service);
    status.set_state(state);
    status.set_bytes(bytes);
    if (state == v1::BACKUP_STATE_FAILED) status.set_message("the disk is full");
    status.set_attempts(1);
    status.mutable_update_time()->set_seconds(++reported_);
    const auto changed = registry_->store().ReportBackup(*OperationId::Parse(backup), status);
    EXPECT_TRUE(changed.ok()) << changed.status();
    return changed.ok() && *changed;
  }
  bool ReportCopy(const std::string& tenant, const std::string& service, int64_t generation, int64_t bytes,
                  int64_t total) {
    v1::CopyStatus status;
    status.set_service(service);
    status.set_generation(generation);
    status.set_bytes(bytes);
    status.set_total_bytes(total);
    const auto changed = registry_->store().ReportCopy(*TenantId::Parse(tenant), status);
    EXPECT_TRUE(changed.ok()) << changed.status();
    return changed.ok() && *changed;
  }
  void Complete(const std::string& backup) {
    for (const char* service : {"core", "identity"}) {
      EXPECT_TRUE(ReportBackup(backup, service, v1::BACKUP_STATE_COMPLETE));
    }
  }

  std::optional<v1::Origin> OriginOf(const std::string& tenant) {
    const auto desired = registry_->store().ListDesired(*ServiceName::Parse("core"), "", 100);
    EXPECT_TRUE(desired.ok()) << desired.status();
    for (const v1::DesiredTenant& next : *desired) {
      if (next.id() == tenant && next.has_origin()) return next.origin();
    }
    return std::nullopt;
  }

 private:
  int64_t reported_ = 1'800'000'000;
};

TEST_F(BackupServiceTest, ABackupIsAnOperationThatFollowsItsServices) {
  Ready("acme");
  const auto change = Backup("acme", "r1");
  ASSERT_TRUE(change.ok()) << change.status();
  EXPECT_EQ(change->backup().id(), "acme.2");
  EXPECT_EQ(change->operation().id(), "acme.2");
  EXPECT_EQ(change->operation().subject(), "acme.2");
  EXPECT_EQ(change->operation().state(), v1::OPERATION_STATE_RUNNING);
  EXPECT_EQ(Backup("acme", "r1")->SerializeAsString(), change->SerializeAsString());
  EXPECT_EQ(TenantOf("acme").state(), v1::TENANT_STATE_ACTIVE);
  EXPECT_THAT(WorkOf("core"), ElementsAre("acme.2"));

  EXPECT_TRUE(ReportBackup("acme.2", "core", v1::BACKUP_STATE_RUNNING, 4096));
  EXPECT_EQ(OperationOf("acme.2").services(0).bytes(), 4096);
  EXPECT_TRUE(ReportBackup("acme.2", "core", v1::BACKUP_STATE_FAILED));
  EXPECT_EQ(BackupOf("acme.2").state(), v1::BACKUP_STATE_FAILED);
  EXPECT_THAT(OperationOf("acme.2").message(), testing::HasSubstr("core failed: the disk is full"));
  EXPECT_THAT(WorkOf("core"), ElementsAre("acme.2")) << "it is tried again";

  // A backup goes on whatever becomes of its tenant.
  ASSERT_TRUE(registry_->store().Suspend(*TenantId::Parse("acme")).ok());
  EXPECT_EQ(OperationOf("acme.2").state(), v1::OPERATION_STATE_RUNNING);
  Complete("acme.2");
  EXPECT_EQ(OperationOf("acme.2").state(), v1::OPERATION_STATE_SUCCEEDED);
  EXPECT_EQ(BackupOf("acme.2").state(), v1::BACKUP_STATE_COMPLETE);
  EXPECT_THAT(WorkOf("core"), IsEmpty());
  EXPECT_FALSE(ReportBackup("acme.2", "core", v1::BACKUP_STATE_RUNNING)) << "stale";
  EXPECT_FALSE(ReportBackup("acme.2", "core", v1::BACKUP_STATE_REMOVED)) << "nobody asked for that";
}

TEST_F(BackupServiceTest, ACancelledOrDeletedBackupIsRemovedByItsServices) {
  Ready("acme");
  ASSERT_TRUE(Backup("acme").ok());
  EXPECT_TRUE(ReportBackup("acme.2", "core", v1::BACKUP_STATE_COMPLETE));
  const auto cancelled = Cancel("acme.2");
  ASSERT_TRUE(cancelled.ok()) << cancelled.status();
  EXPECT_EQ(cancelled->state(), v1::OPERATION_STATE_CANCELLED);
  EXPECT_EQ(cancelled->error().reason(), v1::REASON_CANCELLED);
  EXPECT_TRUE(Cancel("acme.2").ok()) << "changes nothing";
  EXPECT_EQ(BackupOf("acme.2").state(), v1::BACKUP_STATE_REMOVED);
  EXPECT_THAT(WorkOf("core"), ElementsAre("-acme.2"));
  EXPECT_THAT(WorkOf("identity"), ElementsAre("-acme.2"));
  EXPECT_TRUE(ReportBackup("acme.2", "identity", v1::BACKUP_STATE_COMPLETE)) << "overtaken on its way";
  EXPECT_THAT(WorkOf("identity"), ElementsAre("-acme.2"));
  for (const char* service : {"core", "identity"}) {
    EXPECT_TRUE(ReportBackup("acme.2", service, v1::BACKUP_STATE_REMOVED));
    EXPECT_THAT(WorkOf(service), IsEmpty());
  }

  ASSERT_TRUE(Backup("acme").ok());
  Complete("acme.3");
  EXPECT_EQ(ReasonOf(Cancel("acme.3").status()), v1::REASON_OPERATION_NOT_CANCELLABLE) << "it has ended";
  v1::DeleteBackupRequest request;
  request.set_id("acme.3");
  v1::Backup backup;
  grpc::ClientContext context;
  ASSERT_TRUE(backups_->DeleteBackup(&context, request, &backup).ok());
  EXPECT_EQ(backup.state(), v1::BACKUP_STATE_REMOVED);
  EXPECT_EQ(OperationOf("acme.3").state(), v1::OPERATION_STATE_SUCCEEDED) << "it did, in its time";
  EXPECT_THAT(WorkOf("core"), ElementsAre("-acme.3"));
  EXPECT_EQ(ReasonOf(Restore("acme.3", "", true).status()), v1::REASON_BACKUP_INCOMPLETE);
}

TEST_F(BackupServiceTest, BackupsAreListedNewestFirstInPages) {
  Ready("acme");
  for (int i = 0; i < 3; ++i) {
    clock_.Advance(absl::Seconds(1));
    ASSERT_TRUE(Backup("acme").ok());
  }
  std::vector<std::string> ids;
  v1::ListBackupsRequest request;
  request.set_page_size(2);
  do {
    v1::ListBackupsResponse page;
    grpc::ClientContext context;
    ASSERT_TRUE(backups_->ListBackups(&context, request, &page).ok());
    for (const v1::Backup& backup : page.backups()) ids.push_back(backup.id());
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  EXPECT_THAT(ids, ElementsAre("acme.4", "acme.3", "acme.2"));
  request.set_page_token("nonsense");
  v1::ListBackupsResponse page;
  grpc::ClientContext context;
  EXPECT_EQ(ReasonOf(FromGrpc(backups_->ListBackups(&context, request, &page), "the test")), v1::REASON_BAD_PAGE_TOKEN);
}

TEST_F(BackupServiceTest, RefusalsSayWhy) {
  EXPECT_EQ(ReasonOf(Backup("nobody").status()), v1::REASON_TENANT_NOT_FOUND);
  EXPECT_EQ(ReasonOf(Backup("No").status()), v1::REASON_INVALID_FIELD);
  ASSERT_TRUE(Create("fresh").ok());
  EXPECT_EQ(ReasonOf(Backup("fresh").status()), v1::REASON_TENANT_NOT_READY);
  Ready("acme");
  ASSERT_TRUE(Backup("acme").ok());
  EXPECT_EQ(ReasonOf(Restore("acme.2", "", true).status()), v1::REASON_BACKUP_INCOMPLETE);
  Complete("acme.2");
  EXPECT_EQ(ReasonOf(Restore("acme.9", "", true).status()), v1::REASON_BACKUP_NOT_FOUND);
  EXPECT_EQ(ReasonOf(Restore("acme", "", true).status()), v1::REASON_INVALID_FIELD);
  EXPECT_EQ(ReasonOf(Restore("acme.2", "", false).status()), v1::REASON_TENANT_EXISTS);
  EXPECT_EQ(ReasonOf(Restore("acme.2", "nobody", true).status()), v1::REASON_TENANT_NOT_FOUND);
  EXPECT_EQ(ReasonOf(Cancel("acme.1").status()), v1::REASON_OPERATION_NOT_CANCELLABLE);
  EXPECT_EQ(ReasonOf(Cancel("acme.99").status()), v1::REASON_OPERATION_NOT_FOUND);
  ASSERT_TRUE(registry_->store().Delete(*TenantId::Parse("acme"), std::nullopt).ok());
  EXPECT_EQ(ReasonOf(Backup("acme").status()), v1::REASON_TENANT_DELETED);
  EXPECT_EQ(ReasonOf(Restore("acme.2", "", true).status()), v1::REASON_TENANT_DELETED);
}

TEST_F(BackupServiceTest, ARestoreTellsTheInstancesWhereTheDataComesFrom) {
  Ready("acme");
  ASSERT_TRUE(Backup("acme").ok());
  Complete("acme.2");
  const auto fresh = Restore("acme.2", "copy", false);
  ASSERT_TRUE(fresh.ok()) << fresh.status();
  EXPECT_EQ(fresh->operation().kind(), v1::OPERATION_KIND_RESTORE);
  EXPECT_EQ(fresh->operation().subject(), "acme.2");
  ASSERT_TRUE(OriginOf("copy").has_value());
  EXPECT_EQ(OriginOf("copy")->backup(), "acme.2");

  const auto in_place = Restore("acme.2", "", true);
  ASSERT_TRUE(in_place.ok()) << in_place.status();
  EXPECT_EQ(in_place->tenant().state(), v1::TENANT_STATE_PROVISIONING);
  EXPECT_EQ(OriginOf("acme")->generation(), 3);
  const auto cancelled = Cancel("acme.3");
  ASSERT_TRUE(cancelled.ok()) << cancelled.status();
  EXPECT_FALSE(OriginOf("acme").has_value()) << "it keeps what it has";
  EXPECT_EQ(OperationOf("acme.3").state(), v1::OPERATION_STATE_CANCELLED);
  for (const char* service : {"core", "identity"}) Report("acme", service, v1::SERVICE_STATE_READY, 4);
  EXPECT_EQ(TenantOf("acme").state(), v1::TENANT_STATE_ACTIVE);
  for (const char* service : {"core", "identity"}) Report("copy", service, v1::SERVICE_STATE_READY, 1);
  EXPECT_EQ(OperationOf("copy.1").state(), v1::OPERATION_STATE_SUCCEEDED);
  EXPECT_FALSE(OriginOf("copy").has_value()) << "followed";
}

TEST_F(BackupServiceTest, ABackupStaysWhileATenantIsRestoredFromIt) {
  Ready("acme");
  ASSERT_TRUE(Backup("acme").ok());
  Complete("acme.2");
  ASSERT_TRUE(Restore("acme.2", "copy", false).ok());
  v1::DeleteBackupRequest request;
  request.set_id("acme.2");
  const auto remove = [&]() -> absl::Status {
    v1::Backup backup;
    grpc::ClientContext context;
    return FromGrpc(backups_->DeleteBackup(&context, request, &backup), "the test");
  };
  const absl::Status refused = remove();
  EXPECT_EQ(ReasonOf(refused), v1::REASON_TENANT_NOT_READY);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("tenant copy is being restored from it (operation copy.1)"));
  Report("copy", "core", v1::SERVICE_STATE_READY, 1);
  EXPECT_FALSE(remove().ok()) << "the other service still reads it";
  Report("copy", "identity", v1::SERVICE_STATE_READY, 1);
  EXPECT_EQ(remove(), absl::OkStatus());
  EXPECT_EQ(ReasonOf(Restore("acme.2", "late", false).status()), v1::REASON_BACKUP_INCOMPLETE);
}

TEST_F(BackupServiceTest, ACopySaysHowManyBytesItHasCopied) {
  Ready("acme");
  ASSERT_TRUE(Backup("acme").ok());
  Complete("acme.2");
  ASSERT_TRUE(Restore("acme.2", "copy", false).ok());
  const auto bytes_of = [this](const std::string& operation, int service) {
    const v1::ServiceProgress progress = OperationOf(operation).services(service);
    return std::pair(progress.bytes(), progress.total_bytes());
  };
  using Bytes = std::pair<int64_t, int64_t>;
  EXPECT_TRUE(ReportCopy("copy", "core", 1, 10, 80));
  EXPECT_FALSE(ReportCopy("copy", "core", 1, 10, 80)) << "no news";
  EXPECT_EQ(bytes_of("copy.1", 0), Bytes(10, 80));
  EXPECT_EQ(bytes_of("copy.1", 1), Bytes(0, 0));
  EXPECT_TRUE(ReportCopy("copy", "identity", 1, 5, 40));
  Report("copy", "core", v1::SERVICE_STATE_READY, 1);
  EXPECT_TRUE(OperationOf("copy.1").services(0).done());
  EXPECT_EQ(bytes_of("copy.1", 0), Bytes(10, 80)) << "also once it is done";
  EXPECT_EQ(bytes_of("copy.1", 1), Bytes(5, 40));
  Report("copy", "identity", v1::SERVICE_STATE_READY, 1);
  EXPECT_EQ(OperationOf("copy.1").state(), v1::OPERATION_STATE_SUCCEEDED);
  EXPECT_TRUE(ReportCopy("copy", "identity", 1, 38, 38)) << "what it came to, heard late";
  EXPECT_EQ(bytes_of("copy.1", 1), Bytes(38, 38));
  EXPECT_EQ(OperationOf("copy.1").state(), v1::OPERATION_STATE_SUCCEEDED);

  ASSERT_TRUE(Restore("acme.2", "", true).ok());
  EXPECT_TRUE(ReportCopy("acme", "core", 3, 1, 80));
  EXPECT_FALSE(ReportCopy("acme", "elsewhere", 3, 1, 80)) << "no service of that name";
  EXPECT_FALSE(ReportCopy("acme", "core", 2, 1, 80)) << "a backup speaks for itself";
  EXPECT_FALSE(ReportCopy("acme", "core", 9, 1, 80));
  EXPECT_FALSE(ReportCopy("nobody", "core", 1, 1, 80));
  ASSERT_TRUE(Cancel("acme.3").ok());
  EXPECT_FALSE(ReportCopy("acme", "core", 3, 2, 80)) << "overtaken on its way";
  EXPECT_EQ(bytes_of("acme.3", 0), Bytes(1, 80));
}

TEST_F(BackupServiceTest, ACancelledCloneIsDroppedForGood) {
  Ready("acme");
  v1::CloneTenantRequest request;
  request.set_source("acme");
  request.mutable_tenant()->set_id("copy");
  v1::TenantChange change;
  {
    grpc::ClientContext context;
    ASSERT_TRUE(tenants_->CloneTenant(&context, request, &change).ok());
  }
  EXPECT_EQ(change.operation().kind(), v1::OPERATION_KIND_CLONE);
  EXPECT_EQ(change.operation().subject(), "acme");
  EXPECT_EQ(OriginOf("copy")->tenant(), "acme");
  ASSERT_TRUE(Cancel("copy.1").ok());
  EXPECT_EQ(TenantOf("copy").state(), v1::TENANT_STATE_PURGING);
  for (const char* service : {"core", "identity"}) Report("copy", service, v1::SERVICE_STATE_REMOVED, 2);
  EXPECT_EQ(TenantOf("copy").id(), "") << "gone";
  EXPECT_EQ(OperationOf("copy.1").state(), v1::OPERATION_STATE_CANCELLED);

  request.set_source("nobody");
  grpc::ClientContext context;
  EXPECT_EQ(ReasonOf(FromGrpc(tenants_->CloneTenant(&context, request, &change), "the test")),
            v1::REASON_TENANT_NOT_FOUND);
}

TEST_F(BackupServiceTest, ARetryIsOfTheWorkThatRuns) {
  ASSERT_TRUE(Create("acme").ok());
  Report("acme", "core", v1::SERVICE_STATE_READY, 1);
  Report("acme", "identity", v1::SERVICE_STATE_FAILED, 1);
  v1::RetryTenantRequest request;
  request.set_id("acme");
  v1::TenantChange change;
  {
    grpc::ClientContext context;
    ASSERT_TRUE(tenants_->RetryTenant(&context, request, &change).ok());
  }
  EXPECT_EQ(change.operation().id(), "acme.2");
  EXPECT_EQ(change.operation().done(), 1);
  EXPECT_EQ(OperationOf("acme.1").state(), v1::OPERATION_STATE_RUNNING);
  Report("acme", "identity", v1::SERVICE_STATE_READY, 2);
  EXPECT_EQ(TenantOf("acme").state(), v1::TENANT_STATE_ACTIVE) << "core was ready all the time";
  EXPECT_EQ(OperationOf("acme.1").state(), v1::OPERATION_STATE_SUCCEEDED);
  EXPECT_EQ(OperationOf("acme.2").state(), v1::OPERATION_STATE_SUCCEEDED);
}

TEST_F(BackupServiceTest, ARetryOfAnActiveTenantEndsWhenEachServiceHasLookedAgain) {
  Ready("acme");
  v1::RetryTenantRequest request;
  request.set_id("acme");
  v1::TenantChange change;
  {
    grpc::ClientContext context;
    ASSERT_TRUE(tenants_->RetryTenant(&context, request, &change).ok());
  }
  EXPECT_EQ(change.tenant().state(), v1::TENANT_STATE_ACTIVE);
  EXPECT_EQ(change.operation().id(), "acme.2");
  EXPECT_EQ(change.operation().state(), v1::OPERATION_STATE_RUNNING);
  EXPECT_EQ(change.operation().message(), "waiting for core, identity");
  const auto desired = registry_->store().ListDesired(*ServiceName::Parse("core"), "", 100);
  EXPECT_EQ(desired->at(0).generation(), 2) << "which has the provisioners look";
  Report("acme", "core", v1::SERVICE_STATE_READY, 2);
  EXPECT_EQ(OperationOf("acme.2").message(), "waiting for identity");
  EXPECT_EQ(OperationOf("acme.2").done(), 1);
  Report("acme", "identity", v1::SERVICE_STATE_READY, 2);
  EXPECT_EQ(OperationOf("acme.2").state(), v1::OPERATION_STATE_SUCCEEDED);
  EXPECT_EQ(TenantOf("acme").state(), v1::TENANT_STATE_ACTIVE);
}

TEST_F(BackupServiceTest, UndeleteBringsATenantBackUntilItsPurgeBegins) {
  Ready("acme");
  Store& store = registry_->store();
  const TenantId acme = *TenantId::Parse("acme");
  ASSERT_TRUE(store.Delete(acme, absl::Hours(1)).ok());
  v1::UndeleteTenantRequest request;
  request.set_id("acme");
  v1::TenantChange change;
  {
    grpc::ClientContext context;
    ASSERT_TRUE(tenants_->UndeleteTenant(&context, request, &change).ok());
  }
  EXPECT_EQ(change.tenant().state(), v1::TENANT_STATE_PROVISIONING);
  EXPECT_FALSE(change.tenant().has_purge_time());
  EXPECT_EQ(change.operation().kind(), v1::OPERATION_KIND_UNDELETE);
  ASSERT_TRUE(Backup("acme").ok()) << "its databases are there";
  ASSERT_TRUE(store.Delete(acme, absl::ZeroDuration()).ok());
  const absl::Time end = absl::Now() + absl::Seconds(20);
  while (TenantOf("acme").state() != v1::TENANT_STATE_PURGING && absl::Now() < end) {
    absl::SleepFor(absl::Milliseconds(10));
  }
  grpc::ClientContext context;
  EXPECT_EQ(ReasonOf(FromGrpc(tenants_->UndeleteTenant(&context, request, &change), "the test")),
            v1::REASON_TENANT_DELETED);
  EXPECT_EQ(OperationOf("acme.4").state(), v1::OPERATION_STATE_ABORTED) << "a backup of what is being dropped";
  EXPECT_EQ(BackupOf("acme.4").state(), v1::BACKUP_STATE_REMOVED);
}

class WithoutFolder : public BackupServiceTest {
  bool HasBackupFolder() const override { return false; }
};

TEST_F(WithoutFolder, NoBackupBeginsAndTheFieldAtFaultIsNamed) {
  Ready("acme");
  const absl::Status status = Backup("acme").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(DetailOf(status)->field(), "provisioner.backup_folder");
}

}  // namespace
}  // namespace leasehold::gateway
