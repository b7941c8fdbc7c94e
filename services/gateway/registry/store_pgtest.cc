#include "services/gateway/registry/store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <format>
#include <functional>
#include <thread>

#include "services/gateway/registry/store_fixture.h"

namespace leasehold::gateway {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

TEST_F(StoreTest, SchemaIsMadeOnceAndRefusesANewerOne) {
  postgres::Connection connection(Options(database_));
  EXPECT_TRUE(MigrateSchema(connection).ok());
  const auto versions = connection.ExecAlone("SELECT count(*) FROM leasehold.schema_version");
  ASSERT_TRUE(versions.ok());
  EXPECT_EQ((*versions)[0][0].as<int>(), NewestSchemaVersion());
  ASSERT_TRUE(connection.ExecAlone("INSERT INTO leasehold.schema_version (version) VALUES (1000)").ok());
  const absl::Status newer = MigrateSchema(connection);
  EXPECT_EQ(newer.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(newer.message()), HasSubstr("1000"));
}

TEST_F(StoreTest, NobodyElseMayConnect) {
  postgres::Connection connection(Options(database_));
  const auto open = [&] {
    const auto asked = connection.ExecAlone("SELECT has_database_privilege('public', current_database(), 'CONNECT')");
    return asked.ok() && (*asked)[0][0].as<bool>();
  };
  EXPECT_FALSE(open());
  ASSERT_TRUE(connection.ExecAlone(std::format("GRANT CONNECT ON DATABASE {} TO PUBLIC", database_)).ok());
  ASSERT_TRUE(open());
  ASSERT_TRUE(MigrateSchema(connection).ok());
  EXPECT_FALSE(open()) << "nor after the next start";
}

TEST_F(StoreTest, CreateReadsBackWithItsOperationAndEvent) {
  const auto created = store_->Create(Acme());
  ASSERT_TRUE(created.ok()) << created.status();
  EXPECT_EQ(created->tenant().state(), v1::TENANT_STATE_PROVISIONING);
  EXPECT_EQ(created->tenant().generation(), 1);
  EXPECT_EQ(created->operation().id(), "acme.1");
  EXPECT_EQ(created->operation().kind(), v1::OPERATION_KIND_CREATE);
  EXPECT_EQ(created->operation().state(), v1::OPERATION_STATE_RUNNING);
  EXPECT_EQ(created->operation().total(), 2);

  const auto read = store_->Get(Id("acme"));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->DebugString(), created->tenant().DebugString());
  EXPECT_EQ(read->settings().at("plan"), "gold");
  EXPECT_EQ(absl::FromUnixSeconds(read->create_time().seconds()), clock_.Now());
  EXPECT_EQ(store_->GetByDomain("acme.example")->id(), "acme");
  EXPECT_EQ(ReasonOf(store_->Get(Id("globex")).status()), v1::REASON_TENANT_NOT_FOUND);
  EXPECT_EQ(ReasonOf(store_->GetByDomain("globex.example").status()), v1::REASON_TENANT_NOT_FOUND);
  EXPECT_THAT(Events(), testing::ElementsAre("tenants.acme.created leasehold-gateway/acme.1"));
}

TEST_F(StoreTest, IdsAndDomainsAreUnique) {
  ASSERT_TRUE(store_->Create(Acme()).ok());
  EXPECT_EQ(ReasonOf(store_->Create(Acme()).status()), v1::REASON_TENANT_EXISTS);
  NewTenant other = Acme();
  other.id = Id("other");
  EXPECT_EQ(ReasonOf(store_->Create(other).status()), v1::REASON_DOMAIN_TAKEN);
  other.domain = "";
  ASSERT_TRUE(store_->Create(other).ok());
  EXPECT_EQ(ReasonOf(store_->Update(Id("other"), {.name = {}, .domain = "acme.example", .settings = {}}).status()),
            v1::REASON_DOMAIN_TAKEN);
  EXPECT_EQ(Events().size(), 2u) << "a refused change leaves no event";
}

TEST_F(StoreTest, ConcurrentCreatesOfOneIdLeaveOneTenant) {
  std::vector<std::thread> threads;
  std::atomic<int> created = 0, exists = 0;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      NewTenant tenant = Acme();
      tenant.name = std::format("Acme {}", i);
      const absl::Status status = store_->Create(tenant).status();
      if (status.ok()) ++created;
      if (ReasonOf(status) == v1::REASON_TENANT_EXISTS) ++exists;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(created, 1);
  EXPECT_EQ(exists, 3);
  EXPECT_EQ(Events().size(), 1u);
}

TEST_F(StoreTest, ARequestIdMakesAWriteHappenOnce) {
  const RequestKey key{.id = "r1", .fingerprint = "f1"};
  const auto first = store_->Create(Acme(), key);
  ASSERT_TRUE(first.ok()) << first.status();
  ReportAll(v1::SERVICE_STATE_READY, 1);
  const auto again = store_->Create(Acme(), key);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->SerializeAsString(), first->SerializeAsString()) << "as it was answered, not as it is now";
  EXPECT_EQ(ReasonOf(store_->Suspend(Id("acme"), {.id = "r1", .fingerprint = "f2"}).status()),
            v1::REASON_REQUEST_ID_REUSED);
  EXPECT_EQ(Events().size(), 1u);

  // A refused request claims nothing.
  const RequestKey refused{.id = "r2", .fingerprint = "f3"};
  EXPECT_FALSE(store_->Create(Acme(), refused).ok());
  EXPECT_TRUE(store_->Suspend(Id("acme"), {.id = "r2", .fingerprint = "f4"}).ok());

  clock_.Advance(absl::Hours(25));
  ASSERT_TRUE(store_->ForgetOld().ok());
  EXPECT_EQ(ReasonOf(store_->Create(Acme(), key).status()), v1::REASON_TENANT_EXISTS);
}

TEST_F(StoreTest, OnlyWhatChangesATenantIsLogged) {
  const auto logged = [](const std::function<absl::StatusOr<v1::TenantChange>()>& change) -> std::string {
    ::testing::internal::CaptureStderr();
    const absl::StatusOr<v1::TenantChange> done = change();
    const std::string log = ::testing::internal::GetCapturedStderr();
    EXPECT_TRUE(done.ok()) << done.status();
    return log;
  };
  const std::string changed = "\"message\":\"tenant changed\"";
  const RequestKey once{.id = "r1", .fingerprint = "f1"};
  const auto create = [&] { return store_->Create(Acme(), once); };
  EXPECT_THAT(logged(create), HasSubstr(changed));
  EXPECT_THAT(logged(create), Not(HasSubstr(changed))) << "said again";
  EXPECT_THAT(logged([&] { return store_->Retry(Id("acme"), {}); }), Not(HasSubstr(changed))) << "they are at it";
  const auto suspend = [&] { return store_->Suspend(Id("acme"), {}); };
  EXPECT_THAT(logged(suspend), AllOf(HasSubstr(changed), HasSubstr("\"operation\":\"acme.2\"")));
  EXPECT_THAT(logged(suspend), Not(HasSubstr(changed)));
  const auto remove = [&] { return store_->Delete(Id("acme"), absl::ZeroDuration(), {}); };
  EXPECT_THAT(logged(remove), HasSubstr(changed));
  ASSERT_EQ(store_->PurgeDue(10)->size(), 1u);
  EXPECT_THAT(logged(remove), Not(HasSubstr(changed))) << "it is being purged";
}

TEST_F(StoreTest, ReportsMakeTheTenantActiveAndEndTheOperation) {
  ASSERT_TRUE(store_->Create(Acme()).ok());
  ASSERT_TRUE(*store_->Report(Id("acme"), Status("core", v1::SERVICE_STATE_READY, 1)));
  auto tenant = store_->Get(Id("acme"));
  EXPECT_EQ(tenant->state(), v1::TENANT_STATE_PROVISIONING);
  EXPECT_EQ(tenant->message(), "waiting for identity");
  EXPECT_EQ(tenant->services(0).DebugString(), Status("core", v1::SERVICE_STATE_READY, 1).DebugString());
  EXPECT_EQ(tenant->services(1).state(), v1::SERVICE_STATE_PENDING);
  EXPECT_EQ(store_->GetOperation(Id("acme"), 1)->done(), 1);

  v1::ServiceStatus failed = Status("identity", v1::SERVICE_STATE_FAILED, 1);
  failed.set_message("the disk is full");
  ASSERT_TRUE(*store_->Report(Id("acme"), failed));
  EXPECT_EQ(store_->Get(Id("acme"))->state(), v1::TENANT_STATE_DEGRADED);
  EXPECT_THAT(store_->GetOperation(Id("acme"), 1)->message(), HasSubstr("the disk is full"));

  clock_.Advance(absl::Seconds(3));
  ASSERT_TRUE(*store_->Report(Id("acme"), Status("identity", v1::SERVICE_STATE_READY, 1)));
  tenant = store_->Get(Id("acme"));
  EXPECT_EQ(tenant->state(), v1::TENANT_STATE_ACTIVE);
  EXPECT_EQ(tenant->message(), "");
  const auto operation = store_->GetOperation(Id("acme"), 1);
  EXPECT_EQ(operation->state(), v1::OPERATION_STATE_SUCCEEDED);
  EXPECT_EQ(operation->end_time().seconds() - operation->create_time().seconds(), 3);

  EXPECT_FALSE(*store_->Report(Id("acme"), Status("core", v1::SERVICE_STATE_FAILED, 0))) << "stale";
  v1::ServiceStatus overtaken = Status("core", v1::SERVICE_STATE_FAILED, 1);
  overtaken.set_version(4);
  EXPECT_FALSE(*store_->Report(Id("acme"), overtaken));
  EXPECT_EQ(ReasonOf(store_->Report(Id("globex"), failed).status()), v1::REASON_TENANT_NOT_FOUND);
  EXPECT_EQ(store_->Get(Id("acme"))->state(), v1::TENANT_STATE_ACTIVE);
}

TEST_F(StoreTest, AnUpdateEndsAtOnceAndMergesSettings) {
  ASSERT_TRUE(store_->Create(Acme()).ok());
  ReportAll(v1::SERVICE_STATE_READY, 1);
  const auto updated = store_->Update(
      Id("acme"), {.name = "Acme Inc", .domain = "", .settings = SettingsOf({{"plan", ""}, {"seats", "10"}})});
  ASSERT_TRUE(updated.ok()) << updated.status();
  EXPECT_EQ(updated->tenant().name(), "Acme Inc");
  EXPECT_EQ(updated->tenant().domain(), "");
  EXPECT_EQ(updated->tenant().settings_size(), 1);
  EXPECT_EQ(updated->tenant().state(), v1::TENANT_STATE_ACTIVE);
  EXPECT_EQ(updated->tenant().generation(), 2);
  EXPECT_EQ(updated->operation().state(), v1::OPERATION_STATE_SUCCEEDED);
  EXPECT_EQ(updated->operation().done(), updated->operation().total());

  TenantEdit many;
  for (int i = 0; i < 64; ++i) many.settings[std::format("k{}", i)] = "v";
  EXPECT_EQ(ReasonOf(store_->Update(Id("acme"), many).status()), v1::REASON_INVALID_FIELD) << "65 with the present one";
}

TEST_F(StoreTest, ANewerChangeAbortsTheOperation) {
  ASSERT_TRUE(store_->Create(Acme()).ok());
  const auto suspended = store_->Suspend(Id("acme"));
  ASSERT_TRUE(suspended.ok());
  EXPECT_EQ(suspended->tenant().state(), v1::TENANT_STATE_SUSPENDED);
  const auto create = store_->GetOperation(Id("acme"), 1);
  EXPECT_EQ(create->state(), v1::OPERATION_STATE_ABORTED);
  EXPECT_EQ(create->error().reason(), v1::REASON_SUPERSEDED);
  EXPECT_THAT(create->message(), HasSubstr("acme.2"));

  const auto again = store_->Suspend(Id("acme"));
  EXPECT_EQ(again->tenant().generation(), 2) << "nothing changed";
  EXPECT_EQ(again->operation().id(), "acme.2") << "the one to wait for";
  ReportAll(v1::SERVICE_STATE_CLOSED, 2);
  EXPECT_EQ(store_->GetOperation(Id("acme"), 2)->state(), v1::OPERATION_STATE_SUCCEEDED);

  ASSERT_TRUE(store_->Resume(Id("acme")).ok());
  EXPECT_EQ(store_->Get(Id("acme"))->state(), v1::TENANT_STATE_PROVISIONING);
  ReportAll(v1::SERVICE_STATE_READY, 3);
  EXPECT_EQ(store_->Get(Id("acme"))->state(), v1::TENANT_STATE_ACTIVE);
}

TEST_F(StoreTest, DeletedTenantsArePurgedWhenTheirTimeHasComeAndTheIdGoesOn) {
  ASSERT_TRUE(store_->Create(Acme()).ok());
  ReportAll(v1::SERVICE_STATE_READY, 1);
  const auto deleted = store_->Delete(Id("acme"), std::nullopt);
  ASSERT_TRUE(deleted.ok());
  EXPECT_EQ(deleted->tenant().state(), v1::TENANT_STATE_DELETED);
  EXPECT_EQ(absl::FromUnixSeconds(deleted->tenant().purge_time().seconds()), clock_.Now() + absl::Hours(24 * 7));
  EXPECT_EQ(ReasonOf(store_->Resume(Id("acme")).status()), v1::REASON_TENANT_DELETED);
  EXPECT_EQ(ReasonOf(store_->Create(Acme()).status()), v1::REASON_TENANT_EXISTS);
  EXPECT_EQ(store_->Delete(Id("acme"), std::nullopt)->tenant().generation(), 2) << "nothing changed";

  clock_.Advance(absl::Hours(24 * 7 - 1));
  EXPECT_EQ(store_->PurgeDue(10)->size(), 0U);
  clock_.Advance(absl::Hours(1));
  EXPECT_EQ(store_->PurgeDue(10)->size(), 1U);
  EXPECT_EQ(store_->PurgeDue(10)->size(), 0U) << "once";
  EXPECT_EQ(store_->Get(Id("acme"))->state(), v1::TENANT_STATE_PURGING);
  EXPECT_EQ(store_->ListDesired(*ServiceName::Parse("core"), "", 10)->at(0).desired(), v1::DESIRED_STATE_ABSENT);
  ReportAll(v1::SERVICE_STATE_REMOVED, 3);

  EXPECT_EQ(ReasonOf(store_->Get(Id("acme")).status()), v1::REASON_TENANT_NOT_FOUND);
  EXPECT_TRUE(store_->List("", 10, {})->empty());
  EXPECT_TRUE(store_->ListDesired(*ServiceName::Parse("core"), "", 10)->empty());
  EXPECT_EQ(store_->GetOperation(Id("acme"), 3)->state(), v1::OPERATION_STATE_SUCCEEDED);
  EXPECT_FALSE(*store_->Report(Id("acme"), Status("core", v1::SERVICE_STATE_REMOVED, 3))) << "known, but gone";
  EXPECT_EQ(store_->ListIds("", 10)->size(), 1u);

  const auto again = store_->Create(Acme());
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->tenant().generation(), 4);
  EXPECT_EQ(again->tenant().services(0).database_id(), "") << "nothing of the tenant before";
}

TEST_F(StoreTest, AServiceThatWasAwayDuringAPurgeIsStillAskedToRemove) {
  const auto listed = [this](const char* service) {
    const auto tenants = store_->ListDesired(*ServiceName::Parse(service), "", 10);
    EXPECT_TRUE(tenants.ok()) << tenants.status();
    return *tenants;
  };
  ASSERT_TRUE(store_->Create(Acme()).ok());
  ReportAll(v1::SERVICE_STATE_READY, 1);
  EXPECT_EQ(listed("core").at(0).create_generation(), 1);
  Store without_identity(*pool_, clock_, {"core"}, absl::Hours(1));
  ASSERT_TRUE(without_identity.Delete(Id("acme"), absl::ZeroDuration()).ok());
  ASSERT_EQ(without_identity.PurgeDue(10)->size(), 1U);
  ASSERT_TRUE(*without_identity.Report(Id("acme"), Status("core", v1::SERVICE_STATE_REMOVED, 3)));
  ASSERT_EQ(ReasonOf(store_->Get(Id("acme")).status()), v1::REASON_TENANT_NOT_FOUND);

  EXPECT_TRUE(listed("core").empty());
  for (const char* service : {"identity", "payroll"}) {
    ASSERT_EQ(listed(service).size(), 1u) << service << ", also one that never said anything";
    EXPECT_EQ(listed(service)[0].desired(), v1::DESIRED_STATE_ABSENT);
    EXPECT_EQ(listed(service)[0].generation(), 3);
  }
  EXPECT_FALSE(*store_->Report(Id("acme"), Status("identity", v1::SERVICE_STATE_READY, 3)));
  EXPECT_TRUE(*store_->Report(Id("acme"), Status("identity", v1::SERVICE_STATE_REMOVED, 3)));
  EXPECT_TRUE(listed("identity").empty());
  EXPECT_EQ(ReasonOf(store_->Get(Id("acme")).status()), v1::REASON_TENANT_NOT_FOUND);

  ASSERT_TRUE(store_->Create(Acme()).ok());
  ASSERT_EQ(listed("payroll").size(), 1u);
  EXPECT_EQ(listed("payroll")[0].desired(), v1::DESIRED_STATE_PRESENT);
  EXPECT_EQ(listed("payroll")[0].create_generation(), 4) << "what it made before is not this tenant's";
  EXPECT_EQ(listed("core")[0].reported_generation(), 0) << "nor is what was reported";
}

TEST_F(StoreTest, ARefusedAnnouncementIsListedUntilEveryServiceHasRemovedIt) {
  const ServiceName core = *ServiceName::Parse("core");
  ASSERT_EQ(store_->Refuse(Id("acme")), absl::OkStatus());
  ASSERT_EQ(store_->Refuse(Id("acme")), absl::OkStatus());
  EXPECT_THAT(Events(), testing::ElementsAre("tenants.acme.deleted leasehold-gateway/acme.1"));
  EXPECT_EQ(ReasonOf(store_->Get(Id("acme")).status()), v1::REASON_TENANT_NOT_FOUND);
  ASSERT_EQ(store_->ListDesired(core, "", 10)->size(), 1u);
  EXPECT_EQ(store_->ListDesired(core, "", 10)->at(0).desired(), v1::DESIRED_STATE_ABSENT);
  EXPECT_FALSE(*store_->Report(Id("acme"), Status("core", v1::SERVICE_STATE_READY, 0))) << "of the announcement";
  EXPECT_TRUE(*store_->Report(Id("acme"), Status("core", v1::SERVICE_STATE_REMOVED, 1)));
  EXPECT_TRUE(store_->ListDesired(core, "", 10)->empty());

  const auto created = store_->Create(Acme());
  ASSERT_TRUE(created.ok()) << created.status();
  EXPECT_EQ(created->tenant().generation(), 2);
  ASSERT_EQ(store_->Refuse(Id("acme")), absl::OkStatus());
  EXPECT_EQ(store_->Get(Id("acme"))->state(), v1::TENANT_STATE_PROVISIONING) << "no tenant is refused away";
}

TEST_F(StoreTest, ADeletedTenantTakesANewRetention) {
  ASSERT_TRUE(store_->Create(Acme()).ok());
  ASSERT_TRUE(store_->Delete(Id("acme"), std::nullopt).ok());
  const auto sooner = store_->Delete(Id("acme"), absl::ZeroDuration());
  ASSERT_TRUE(sooner.ok());
  EXPECT_EQ(sooner->tenant().generation(), 3);
  EXPECT_EQ(store_->PurgeDue(10)->size(), 1U);
}

TEST_F(StoreTest, ListsArePagedAndFiltered) {
  for (const char* id : {"a", "b", "c"}) {
    clock_.Advance(absl::Seconds(1));
    ASSERT_TRUE(store_->Create({.id = Id(id), .name = "", .domain = "", .settings = {}, .active = id[0] != 'b'}).ok());
  }
  EXPECT_EQ(store_->List("", 2, {})->size(), 2u);
  EXPECT_EQ(store_->List("b", 2, {})->at(0).id(), "c");
  const std::vector<v1::TenantState> suspended = {v1::TENANT_STATE_SUSPENDED};
  ASSERT_EQ(store_->List("", 10, suspended)->size(), 1u);
  EXPECT_EQ(store_->List("", 10, suspended)->at(0).id(), "b");
  EXPECT_EQ(store_->List("", 10, {})->at(0).name(), "a") << "the id if no name is given";

  const auto newest = store_->ListOperations("", 2, std::nullopt);
  ASSERT_EQ(newest->size(), 2u);
  EXPECT_EQ(newest->at(0).id(), "c.1");
  EXPECT_EQ(store_->ListOperations("", 2, newest->at(1))->at(0).id(), "a.1");
  EXPECT_EQ(store_->ListOperations("b", 10, std::nullopt)->size(), 1u);

  const auto counts = store_->Count();
  EXPECT_EQ(counts->tenants.at(v1::TENANT_STATE_PROVISIONING), 2);
  EXPECT_EQ(counts->outbox, 3);
  EXPECT_EQ(counts->outbox_age, absl::Seconds(2)) << "a's";
}

TEST_F(StoreTest, TenantsAreCountedByWhatEachServiceHasMadeOfThem) {
  for (const char* id : {"acme", "globex"}) {
    ASSERT_TRUE(store_->Create({.id = Id(id), .name = "", .domain = "", .settings = {}, .active = true}).ok());
  }
  ReportAll(v1::SERVICE_STATE_READY, 1);
  ASSERT_TRUE(store_->Report(Id("globex"), Status("core", v1::SERVICE_STATE_FAILED, 1)).ok());
  auto counts = store_->CountByService();
  ASSERT_TRUE(counts.ok()) << counts.status();
  using Counts = std::map<v1::ServiceState, int64_t>;
  EXPECT_EQ(counts->at("core").tenants, (Counts{{v1::SERVICE_STATE_READY, 1}, {v1::SERVICE_STATE_FAILED, 1}}));
  EXPECT_EQ(counts->at("identity").tenants, (Counts{{v1::SERVICE_STATE_READY, 1}, {v1::SERVICE_STATE_PENDING, 1}}));
  EXPECT_EQ(counts->at("identity").last_pass, absl::InfinitePast());

  ASSERT_TRUE(store_->Suspend(Id("acme")).ok());
  v1::ReportFindingsRequest pass;
  pass.set_service("core");
  ASSERT_TRUE(store_->ReportFindings(pass).ok());
  counts = store_->CountByService();
  EXPECT_EQ(counts->at("core").tenants, (Counts{{v1::SERVICE_STATE_PENDING, 1}, {v1::SERVICE_STATE_FAILED, 1}}))
      << "what is wanted is newer than what was reported";
  EXPECT_EQ(counts->at("core").last_pass, clock_.Now());
}

TEST_F(StoreTest, AServiceAddedToTheConfigurationIsWaitedFor) {
  ASSERT_TRUE(store_->Create(Acme()).ok());
  ReportAll(v1::SERVICE_STATE_READY, 1);
  Store more(*pool_, clock_, {"core", "identity", "payroll"}, absl::Hours(1));
  EXPECT_EQ(*more.Reconsider(), 1);
  EXPECT_EQ(more.Get(Id("acme"))->state(), v1::TENANT_STATE_PROVISIONING);
  EXPECT_EQ(*more.Reconsider(), 0);
  EXPECT_TRUE(*more.Report(Id("acme"), Status("payroll", v1::SERVICE_STATE_READY, 1)));
  EXPECT_EQ(more.Get(Id("acme"))->state(), v1::TENANT_STATE_ACTIVE);
}

TEST_F(StoreTest, AnUnreachableRegistryIsSaidWithoutItsAddress) {
  postgres_->Stop();
  const absl::Status status = store_->Create(Acme()).status();
  EXPECT_EQ(ReasonOf(status), v1::REASON_REGISTRY_UNAVAILABLE);
  EXPECT_THAT(std::string(status.message()), testing::Not(HasSubstr("127.0.0.1")));
  ASSERT_TRUE(postgres_->Restart().ok());
  EXPECT_TRUE(store_->Create(Acme()).ok());
}

TEST_F(StoreTest, WithoutItsSchemaTheRegistryIsUnavailable) {
  postgres::Connection connection(Options(database_));
  ASSERT_TRUE(connection.ExecAlone("DROP SCHEMA leasehold CASCADE").ok());
  EXPECT_EQ(ReasonOf(store_->Get(Id("acme")).status()), v1::REASON_REGISTRY_UNAVAILABLE);
}

}  // namespace
}  // namespace leasehold::gateway
