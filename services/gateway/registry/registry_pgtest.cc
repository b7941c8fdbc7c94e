// The registry as the gateway runs it, on a real PostgreSQL and a real NATS server.
#include "services/gateway/registry/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <format>
#include <fstream>
#include <functional>
#include <iterator>
#include <optional>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "common/config/config.h"
#include "common/events/events.h"
#include "common/localserver/localserver.h"
#include "common/status/error.h"
#include "services/gateway/audit/testing_config.h"
#include "services/gateway/audit/testing_events.h"
#include "services/gateway/registry/database_suite.h"
#include "services/gateway/registry/store.h"

namespace leasehold::gateway {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr absl::Duration kPatience = absl::Seconds(30);

TenantId Id(std::string_view text) { return *TenantId::Parse(text); }

bool Eventually(const std::function<bool()>& true_now) {
  const absl::Time end = absl::Now() + kPatience;
  while (absl::Now() < end) {
    if (true_now()) return true;
    absl::SleepFor(absl::Milliseconds(20));
  }
  return false;
}

class RegistryTest : public NatsDatabaseSuite {
 protected:
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(NatsDatabaseSuite::SetUp());
    health_.Require("registry");
    health_.Require("nats");
    Registry::Options options = RegistryOptions();
    options.audit = &audit_;
    registry_.emplace(options, *client_, clock_, metrics_, health_);
  }

  void TearDown() override { registry_.reset(); }

  void StartAndWait() {
    registry_->Start();
    ASSERT_TRUE(Eventually([this] { return health_.Ready(); })) << health_.Json();
  }

  v1::TenantState StateOf(const std::string& id) {
    const auto tenant = registry_->store().Get(Id(id));
    return tenant.ok() ? tenant->state() : v1::TENANT_STATE_UNSPECIFIED;
  }

  void PublishTenant(const std::string& id, std::string_view what, const std::string& event_id,
                     const std::function<void(v1::TenantEvent&)>& edit = nullptr, std::string message_id = "") {
    v1::EventEnvelope envelope;
    envelope.set_id(event_id);
    envelope.set_source("identity-service");
    envelope.set_type(std::format("leasehold.tenant.{}.v1", what));
    envelope.set_subject(id);
    *envelope.mutable_time() = FromTime(clock_.Now());
    v1::TenantEvent data;
    data.set_id(id);
    data.set_name("Tenant " + id);
    if (edit) edit(data);
    const events::Encoded event = events::EncodeTenantEvent(envelope, what, data);
    if (message_id.empty()) message_id = event.message_id;
    const absl::Status sent = client_->Publish(event.subject, event.payload, event.headers, message_id);
    ASSERT_TRUE(sent.ok()) << sent;
  }

  void PublishReport(const std::string& tenant, const std::string& service, v1::ServiceState state,
                     std::string_view what, int64_t generation) {
    v1::EventEnvelope envelope;
    envelope.set_id(std::format("{}.{}.{}.{}", tenant, service, what, generation));
    envelope.set_source("leasehold-provisioner/" + service);
    envelope.set_type(std::format("leasehold.provisioning.{}.v1", what));
    envelope.set_subject(tenant);
    *envelope.mutable_time() = FromTime(clock_.Now());
    v1::ProvisioningEvent data;
    data.set_tenant(tenant);
    data.mutable_status()->set_service(service);
    data.mutable_status()->set_state(state);
    data.mutable_status()->set_generation(generation);
    data.mutable_status()->set_database(std::format("tenant_{}_{}", tenant, service));
    data.mutable_status()->set_database_id("0011223344556677");
    const events::Encoded event = events::EncodeProvisioningEvent(envelope, what, data);
    const absl::Status sent = client_->Publish(event.subject, event.payload, event.headers, event.message_id);
    ASSERT_TRUE(sent.ok()) << sent;
  }
  void PublishAll(const std::string& tenant, v1::ServiceState state, std::string_view what, int64_t generation) {
    for (const char* service : {"core", "identity"}) PublishReport(tenant, service, state, what, generation);
  }

  // The next event of `stream` on `filter`, as a new consumer reads them from the beginning.
  std::unique_ptr<jetstream::Message> Next(const std::string& stream, const std::string& filter) {
    auto& consumer = consumers_[stream + filter];
    if (!consumer) {
      auto made = client_->Subscribe(
          {.stream = stream, .durable = std::format("test{}", consumers_.size()), .filter_subject = filter});
      if (!made.ok()) return nullptr;
      consumer = *std::move(made);
    }
    auto batch = consumer->Fetch(1, absl::Seconds(10));
    if (!batch.ok() || batch->empty()) return nullptr;
    batch->front()->Ack();
    return std::move(batch->front());
  }
  std::optional<v1::TenantEvent> NextTenantEvent() {
    const auto message = Next("TENANTS", "tenants.>");
    if (!message) return std::nullopt;
    const auto event = events::DecodeTenantEvent(message->subject(), message->headers(), message->payload());
    EXPECT_TRUE(event.ok()) << event.status();
    return event.ok() ? std::optional(event->data) : std::nullopt;
  }

  FakeClock clock_;
  Metrics metrics_;
  AuditRecorder audit_{AuditConfigOf("continue"), clock_, metrics_};
  Health health_{clock_};
  std::map<std::string, std::unique_ptr<jetstream::PullConsumer>> consumers_;
  std::optional<Registry> registry_;
};

TEST_F(RegistryTest, ChangesReachTheStreamInOrder) {
  StartAndWait();
  Store& store = registry_->store();
  ASSERT_TRUE(
      store.Create({.id = Id("acme"), .name = "Acme", .domain = "acme.example", .settings = {}, .active = true}).ok());
  ASSERT_TRUE(store.Suspend(Id("acme")).ok());
  ASSERT_TRUE(store.Resume(Id("acme")).ok());
  struct Want {
    int64_t generation;
    v1::DesiredState desired;
  };
  for (const Want& want :
       {Want{1, v1::DESIRED_STATE_PRESENT}, Want{2, v1::DESIRED_STATE_CLOSED}, Want{3, v1::DESIRED_STATE_PRESENT}}) {
    const auto event = NextTenantEvent();
    ASSERT_TRUE(event);
    EXPECT_EQ(event->generation(), want.generation);
    EXPECT_EQ(event->desired(), want.desired);
    EXPECT_EQ(event->domain(), "acme.example");
  }
  EXPECT_TRUE(Eventually([&store] { return store.Count()->outbox == 0; }));
  // Its own events come back and change nothing.
  EXPECT_TRUE(Eventually([this] {
    return metrics_.Expose().find("leasehold_events_total{outcome=\"own\",stream=\"TENANTS\"} 3") != std::string::npos;
  })) << metrics_.Expose();
  EXPECT_EQ(store.Get(Id("acme"))->generation(), 3);
}

TEST_F(RegistryTest, AtAFirstStartNothingIsAskedOfTablesThatAreNotThereYet) {
  const std::string log = folder_->path() + "/pg.log";
  const auto before = static_cast<std::streamoff>(std::filesystem::file_size(log));
  postgres::Connection other(Options(database_));
  const absl::Status held = other.InTransaction([&](postgres::Transaction& tx) -> absl::Status {
    // Another gateway is making the schema.
    LH_RETURN_IF_ERROR(tx.Exec("SELECT pg_advisory_xact_lock(7450000001)").status());
    registry_->Start();
    EXPECT_TRUE(Eventually([this] { return health_.Well("nats").value_or(false); })) << health_.Json();
    postgres::Connection looking(Options(database_));
    EXPECT_TRUE(Eventually([&looking] {
      const auto waiting =
          looking.ExecAlone("SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)");
      return waiting.ok() && (*waiting)[0][0].as<bool>();
    }));
    EXPECT_FALSE(registry_->prepared());
    EXPECT_EQ(ReasonOf(registry_->store().Get(Id("acme")).status()), v1::REASON_REGISTRY_UNAVAILABLE);
    return absl::OkStatus();
  });
  ASSERT_EQ(held, absl::OkStatus());
  ASSERT_TRUE(Eventually([this] { return health_.Ready() && registry_->prepared(); })) << health_.Json();
  ASSERT_TRUE(
      registry_->store().Create({.id = Id("acme"), .name = "", .domain = "", .settings = {}, .active = true}).ok());
  EXPECT_TRUE(NextTenantEvent()) << "and then events are carried";
  std::ifstream lines(log);
  lines.seekg(before);
  const std::string said{std::istreambuf_iterator<char>(lines), {}};
  EXPECT_THAT(said, Not(HasSubstr("ERROR:"))) << said;
}

TEST_F(RegistryTest, ReportsMakeATenantActiveAndFollowersHearIt) {
  StartAndWait();
  ASSERT_TRUE(
      registry_->store().Create({.id = Id("acme"), .name = "", .domain = "", .settings = {}, .active = true}).ok());
  absl::Mutex mu;
  v1::TenantState heard = v1::TENANT_STATE_UNSPECIFIED;
  const auto handle = registry_->directory().Follow(Id("acme"), [&](const absl::StatusOr<TenantViewPtr>& view) {
    absl::MutexLock lock(&mu);
    heard = view.ok() ? (*view)->state : v1::TENANT_STATE_UNSPECIFIED;
  });
  const auto hears = [&](v1::TenantState state) {
    return Eventually([&] {
      absl::MutexLock lock(&mu);
      return heard == state;
    });
  };
  EXPECT_TRUE(hears(v1::TENANT_STATE_PROVISIONING));
  PublishAll("acme", v1::SERVICE_STATE_READY, "ready", 1);
  EXPECT_TRUE(hears(v1::TENANT_STATE_ACTIVE));

  ASSERT_TRUE(registry_->store().Suspend(Id("acme")).ok());
  EXPECT_TRUE(hears(v1::TENANT_STATE_SUSPENDED));
  ASSERT_TRUE(registry_->store().Resume(Id("acme")).ok());
  // A report on an older generation, late: it must not make the tenant ready.
  PublishReport("acme", "core", v1::SERVICE_STATE_CLOSED, "closed", 2);
  PublishReport("acme", "core", v1::SERVICE_STATE_READY, "ready", 3);
  EXPECT_TRUE(Eventually([this] { return registry_->store().GetOperation(Id("acme"), 3)->done() == 1; }));
  EXPECT_TRUE(hears(v1::TENANT_STATE_PROVISIONING));
  PublishReport("acme", "identity", v1::SERVICE_STATE_READY, "ready", 3);
  EXPECT_TRUE(hears(v1::TENANT_STATE_ACTIVE));
}

TEST_F(RegistryTest, WhoSawATenantReadyIsNotRefusedForWhatACacheStillSays) {
  StartAndWait();
  Metrics metrics;
  Health health(clock_);
  // A gateway that never hears a notification.
  Registry deaf(RegistryOptions(), *client_, clock_, metrics, health);
  deaf.store().Open();
  const ServiceName service = *ServiceName::Parse("core");
  const auto usable = [&service](const TenantView& view) { return view.Usable(service).ok(); };
  const auto refusal = [&] {
    absl::Notification done;
    absl::Status status;
    deaf.directory().Lookup(Id("acme"), usable, [&](const absl::StatusOr<TenantViewPtr>& view) {
      status = view.ok() ? (*view)->Usable(service) : view.status();
      done.Notify();
    });
    return done.WaitForNotificationWithTimeout(kPatience) ? ReasonOf(status) : v1::REASON_DEADLINE_EXCEEDED;
  };
  EXPECT_EQ(refusal(), v1::REASON_TENANT_NOT_FOUND);
  ASSERT_TRUE(
      registry_->store().Create({.id = Id("acme"), .name = "", .domain = "", .settings = {}, .active = true}).ok());
  EXPECT_EQ(refusal(), v1::REASON_TENANT_NOT_READY);
  PublishAll("acme", v1::SERVICE_STATE_READY, "ready", 1);
  ASSERT_TRUE(Eventually([this] { return StateOf("acme") == v1::TENANT_STATE_ACTIVE; }));
  clock_.Advance(absl::Milliseconds(100));
  EXPECT_EQ(refusal(), v1::REASON_UNSPECIFIED);

  ASSERT_TRUE(registry_->store().Suspend(Id("acme")).ok());
  clock_.Advance(absl::Milliseconds(100));
  EXPECT_EQ(refusal(), v1::REASON_UNSPECIFIED) << "usable is taken from the cache";
  postgres_->Kill();
  EXPECT_EQ(refusal(), v1::REASON_UNSPECIFIED) << "and needs no registry";
  deaf.Stop();
}

TEST_F(RegistryTest, ATenantAnnouncedByAnotherServiceEntersOnce) {
  StartAndWait();
  PublishTenant("acme", "created", "e1", [](v1::TenantEvent& data) {
    data.set_domain("acme.example");
    (*data.mutable_settings())["plan"] = "gold";
  });
  ASSERT_TRUE(Eventually([this] { return StateOf("acme") == v1::TENANT_STATE_PROVISIONING; }));
  EXPECT_EQ(registry_->store().Get(Id("acme"))->settings().at("plan"), "gold");
  PublishTenant("acme", "created", "e2");
  PublishTenant("globex", "created", "e3", [](v1::TenantEvent& data) { data.set_is_active(false); });
  ASSERT_TRUE(Eventually([this] { return StateOf("globex") == v1::TENANT_STATE_SUSPENDED; }));
  EXPECT_EQ(registry_->store().Get(Id("acme"))->generation(), 1);
  EXPECT_EQ(registry_->store().Get(Id("acme"))->domain(), "acme.example") << "the first announcement counts";
}

TEST_F(RegistryTest, WhatCannotBeAcceptedIsParkedAndBlocksNothing) {
  StartAndWait();
  PublishTenant("acme", "created", "e1", [](v1::TenantEvent& data) { data.set_domain("acme.example"); });
  ASSERT_TRUE(client_->Publish("tenants.broken.created", "{ not json", {}, "e2").ok());
  PublishTenant("thief", "created", "e3", [](v1::TenantEvent& data) { data.set_domain("acme.example"); });
  PublishTenant("acme", "suspended", "e4");
  PublishTenant("globex", "created", "e5");
  ASSERT_TRUE(Eventually([this] { return StateOf("globex") == v1::TENANT_STATE_PROVISIONING; }));
  for (const std::string subject : {"tenants.broken.created", "tenants.thief.created", "tenants.acme.suspended"}) {
    const auto message = Next("PROVISIONING", "provisioning.dead.registry");
    ASSERT_TRUE(message) << subject;
    EXPECT_THAT(std::string(message->payload()), HasSubstr(subject));
  }
  EXPECT_EQ(StateOf("thief"), v1::TENANT_STATE_UNSPECIFIED);
  const auto listed = registry_->store().ListDesired(*ServiceName::Parse("identity"), "globex", 10);
  ASSERT_TRUE(listed.ok() && listed->size() == 1) << "what the services made of the thief is to go";
  EXPECT_EQ(listed->at(0).id(), "thief");
  EXPECT_EQ(listed->at(0).desired(), v1::DESIRED_STATE_ABSENT);
  EXPECT_EQ(StateOf("acme"), v1::TENANT_STATE_PROVISIONING);
  EXPECT_THAT(metrics_.Expose(), HasSubstr("leasehold_events_parked_total 3"));
}

TEST_F(RegistryTest, AnAnnouncementDuringAPurgeWaitsForItsEnd) {
  StartAndWait();
  PublishTenant("acme", "created", "e1");
  ASSERT_TRUE(Eventually([this] { return StateOf("acme") == v1::TENANT_STATE_PROVISIONING; }));
  ASSERT_TRUE(registry_->store().Delete(Id("acme"), absl::ZeroDuration()).ok());
  ASSERT_TRUE(Eventually([this] { return StateOf("acme") == v1::TENANT_STATE_PURGING; }));
  PublishTenant("acme", "created", "e1", nullptr, "e1 again");  // the same event, redelivered: it made a tenant already
  PublishTenant("acme", "created", "e2", [](v1::TenantEvent& data) { data.set_name("The next one"); });
  PublishTenant("globex", "created", "e3");
  ASSERT_TRUE(Eventually([this] { return StateOf("globex") == v1::TENANT_STATE_PROVISIONING; })) << "blocks nothing";
  EXPECT_EQ(StateOf("acme"), v1::TENANT_STATE_PURGING);
  PublishAll("acme", v1::SERVICE_STATE_REMOVED, "removed", 3);
  ASSERT_TRUE(Eventually([this] { return StateOf("acme") == v1::TENANT_STATE_PROVISIONING; }));
  EXPECT_EQ(registry_->store().Get(Id("acme"))->name(), "The next one");
  EXPECT_EQ(registry_->store().Get(Id("acme"))->generation(), 4);
}

TEST_F(RegistryTest, AnEventThatMadeATenantMakesNoSecondOne) {
  StartAndWait();
  PublishTenant("acme", "created", "e1");
  ASSERT_TRUE(Eventually([this] { return StateOf("acme") == v1::TENANT_STATE_PROVISIONING; }));
  ASSERT_TRUE(registry_->store().Delete(Id("acme"), absl::ZeroDuration()).ok());
  ASSERT_TRUE(Eventually([this] { return StateOf("acme") == v1::TENANT_STATE_PURGING; }));
  PublishAll("acme", v1::SERVICE_STATE_REMOVED, "removed", 3);
  ASSERT_TRUE(Eventually([this] { return StateOf("acme") == v1::TENANT_STATE_UNSPECIFIED; }));
  PublishTenant("acme", "created", "e1", nullptr, "e1 again");
  PublishTenant("globex", "created", "e2");
  ASSERT_TRUE(Eventually([this] { return StateOf("globex") == v1::TENANT_STATE_PROVISIONING; }));
  EXPECT_EQ(StateOf("acme"), v1::TENANT_STATE_UNSPECIFIED);
}

TEST_F(RegistryTest, AnAnnouncementOfADeletedTenantIsParkedAndSaysWhy) {
  StartAndWait();
  PublishTenant("acme", "created", "e1");
  ASSERT_TRUE(Eventually([this] { return StateOf("acme") == v1::TENANT_STATE_PROVISIONING; }));
  ASSERT_TRUE(registry_->store().Delete(Id("acme"), absl::Hours(1)).ok());
  PublishTenant("acme", "created", "e2");
  const auto message = Next("PROVISIONING", "provisioning.dead.registry");
  ASSERT_TRUE(message);
  EXPECT_THAT(std::string(message->payload()), HasSubstr("tenant acme is deleted"));
  EXPECT_THAT(std::string(message->payload()), HasSubstr("2027-01-15T09:00:00+00:00")) << "when the id is free";
  EXPECT_EQ(StateOf("acme"), v1::TENANT_STATE_DELETED);
}

TEST_F(RegistryTest, DeleteEndsInAPurgeByTheClock) {
  StartAndWait();
  Store& store = registry_->store();
  ASSERT_TRUE(store.Create({.id = Id("acme"), .name = "", .domain = "", .settings = {}, .active = true}).ok());
  PublishAll("acme", v1::SERVICE_STATE_READY, "ready", 1);
  ASSERT_TRUE(Eventually([this] { return StateOf("acme") == v1::TENANT_STATE_ACTIVE; }));
  ASSERT_TRUE(store.Delete(Id("acme"), absl::Hours(2)).ok());
  PublishAll("acme", v1::SERVICE_STATE_CLOSED, "closed", 2);
  ASSERT_TRUE(
      Eventually([&store] { return store.GetOperation(Id("acme"), 2)->state() == v1::OPERATION_STATE_SUCCEEDED; }));
  EXPECT_EQ(StateOf("acme"), v1::TENANT_STATE_DELETED);
  EXPECT_THAT(TakeEvents(audit_), testing::IsEmpty());
  clock_.Advance(absl::Hours(2));
  ASSERT_TRUE(Eventually([this] { return StateOf("acme") == v1::TENANT_STATE_PURGING; }));
  std::vector<v1::AuditEvent> events;
  ASSERT_TRUE(Eventually([&] { return !(events = TakeEvents(audit_)).empty(); }));
  EXPECT_EQ(events[0].action(), v1::AUDIT_ACTION_TENANT_PURGE);
  EXPECT_EQ(events[0].tenant(), "acme");
  EXPECT_EQ(events.size(), 1U);
  std::optional<v1::TenantEvent> last;
  for (int i = 0; i < 3; ++i) last = NextTenantEvent();
  ASSERT_TRUE(last);
  EXPECT_EQ(last->desired(), v1::DESIRED_STATE_ABSENT);
  PublishAll("acme", v1::SERVICE_STATE_REMOVED, "removed", 3);
  EXPECT_TRUE(Eventually([&store] { return ReasonOf(store.Get(Id("acme")).status()) == v1::REASON_TENANT_NOT_FOUND; }));
}

TEST_F(RegistryTest, MetricsTellOfEachServiceAndOfWhatWaitsForIt) {
  // Stands for a provisioner that has run before, and is away.
  ASSERT_TRUE(client_->EnsureStream(jetstream::TenantsStream(1)).ok());
  ASSERT_TRUE(
      client_->Subscribe({.stream = "TENANTS", .durable = "provisioner-core", .filter_subject = "tenants.>"}).ok());
  StartAndWait();
  ASSERT_TRUE(
      registry_->store().Create({.id = Id("acme"), .name = "", .domain = "", .settings = {}, .active = true}).ok());
  PublishReport("acme", "identity", v1::SERVICE_STATE_READY, "ready", 1);
  const auto shown = [this](const std::string& line) {
    return Eventually([&] { return metrics_.Expose().contains(line + "\n"); });
  };
  EXPECT_TRUE(shown("leasehold_service_tenants{service=\"identity\",state=\"ready\"} 1"));
  EXPECT_TRUE(shown("leasehold_service_tenants{service=\"core\",state=\"pending\"} 1"));
  EXPECT_TRUE(shown("leasehold_service_tenants{service=\"core\",state=\"failed\"} 0"));
  EXPECT_TRUE(shown("leasehold_service_last_pass_timestamp_seconds{service=\"core\"} 0"));
  EXPECT_TRUE(shown("leasehold_events_pending{stream=\"TENANTS\",consumer=\"provisioner-core\"} 1"));
  EXPECT_TRUE(shown("leasehold_events_pending{stream=\"TENANTS\",consumer=\"registry\"} 0"));
  EXPECT_TRUE(shown("leasehold_events_pending{stream=\"PROVISIONING\",consumer=\"registry\"} 0"));
  // One that no provisioner has made yet is made for it.
  EXPECT_TRUE(shown("leasehold_events_pending{stream=\"TENANTS\",consumer=\"provisioner-identity\"} 1"));
  EXPECT_TRUE(shown("leasehold_event_lag_seconds_count{stream=\"PROVISIONING\"} 1"));
  EXPECT_TRUE(shown("leasehold_outbox_age_seconds 0"));
  EXPECT_EQ(health_.Well("outbox"), true);
  nats_->Kill();
  EXPECT_TRUE(Eventually([this] { return !metrics_.Expose().contains("leasehold_events_pending{"); }))
      << "what cannot be asked is not told of";
  ASSERT_TRUE(registry_->store().Suspend(Id("acme")).ok());
  clock_.Advance(absl::Seconds(90));
  EXPECT_TRUE(shown("leasehold_outbox_age_seconds 90"));
  EXPECT_TRUE(Eventually([this] { return health_.Well("outbox") == false; }));
}

TEST_F(RegistryTest, StartsWithNothingThereAndRecovers) {
  postgres_->Stop();
  nats_->Stop();
  registry_->Start();
  EXPECT_TRUE(Eventually([this] { return health_.Json().find("failing") != std::string::npos; }));
  EXPECT_FALSE(health_.Ready());
  EXPECT_EQ(ReasonOf(registry_->store().Get(Id("acme")).status()), v1::REASON_REGISTRY_UNAVAILABLE);
  ASSERT_TRUE(postgres_->Restart().ok());
  Store& store = registry_->store();
  // NATS is still away: the change is taken, the event waits.
  ASSERT_TRUE(Eventually([&store] {
    return store.Create({.id = Id("acme"), .name = "", .domain = "", .settings = {}, .active = true}).ok();
  }));
  EXPECT_EQ(store.Count()->outbox, 1);
  ASSERT_TRUE(nats_->Restart().ok());
  EXPECT_TRUE(Eventually([this] { return health_.Ready(); })) << health_.Json();
  const auto event = NextTenantEvent();
  ASSERT_TRUE(event);
  EXPECT_EQ(event->generation(), 1);
}

TEST_F(RegistryTest, PostgresMayCrashInBetween) {
  StartAndWait();
  Store& store = registry_->store();
  ASSERT_TRUE(store.Create({.id = Id("acme"), .name = "", .domain = "", .settings = {}, .active = true}).ok());
  absl::Mutex mu;
  int64_t heard = 0;
  const auto handle = registry_->directory().Follow(Id("acme"), [&](const absl::StatusOr<TenantViewPtr>& view) {
    absl::MutexLock lock(&mu);
    if (view.ok()) heard = (*view)->generation;
  });
  const auto hears = [&](int64_t generation) {
    return Eventually([&] {
      absl::MutexLock lock(&mu);
      return heard == generation;
    });
  };
  EXPECT_TRUE(hears(1));
  postgres_->Kill();
  PublishAll("acme", v1::SERVICE_STATE_READY, "ready", 1);
  PublishTenant("globex", "created", "e1");
  ASSERT_TRUE(postgres_->Restart().ok());
  EXPECT_TRUE(Eventually([this] { return StateOf("acme") == v1::TENANT_STATE_ACTIVE; })) << "no report was lost";
  EXPECT_TRUE(Eventually([this] { return StateOf("globex") == v1::TENANT_STATE_PROVISIONING; }));
  ASSERT_TRUE(Eventually([&store] { return store.Suspend(Id("acme")).ok(); }));
  EXPECT_TRUE(hears(2));
}

TEST_F(RegistryTest, TwoGatewaysShareTheWork) {
  StartAndWait();
  Metrics metrics;
  Health health(clock_);
  auto client = jetstream::Client::Connect({.url = nats_->Url(), .name = "gateway2", .on_state = nullptr});
  ASSERT_TRUE(client.ok());
  Registry second(RegistryOptions(), **client, clock_, metrics, health);
  health.Require("registry");
  second.Start();
  ASSERT_TRUE(Eventually([&health] { return health.Ready(); }));
  // A tenant made here is known there, at once after it changed.
  ASSERT_TRUE(
      registry_->store().Create({.id = Id("acme"), .name = "", .domain = "", .settings = {}, .active = true}).ok());
  absl::Mutex mu;
  v1::TenantState heard = v1::TENANT_STATE_UNSPECIFIED;
  const auto handle = second.directory().Follow(Id("acme"), [&](const absl::StatusOr<TenantViewPtr>& view) {
    absl::MutexLock lock(&mu);
    if (view.ok()) heard = (*view)->state;
  });
  ASSERT_TRUE(registry_->store().Suspend(Id("acme")).ok());
  EXPECT_TRUE(Eventually([&] {
    absl::MutexLock lock(&mu);
    return heard == v1::TENANT_STATE_SUSPENDED;
  }));
  // Each event is in the stream once.
  EXPECT_EQ(NextTenantEvent()->generation(), 1);
  EXPECT_EQ(NextTenantEvent()->generation(), 2);
  EXPECT_TRUE(Eventually([this] { return registry_->store().Count()->outbox == 0; }));
  second.Stop();
}

}  // namespace
}  // namespace leasehold::gateway
