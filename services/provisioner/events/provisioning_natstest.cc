// An event in, databases up, a status out: the consumer, the reconciler and the reporter on real servers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <format>
#include <map>

#include "common/status/error.h"
#include "services/provisioner/events/status_reporter.h"
#include "services/provisioner/events/tenant_events.h"
#include "services/provisioner/reconcile/reconciler.h"
#include "services/provisioner/testing/instance_suite.h"
#include "services/provisioner/testing/reconciler_ground.h"

namespace leasehold::provisioner {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr absl::Duration kPatience = absl::Seconds(60);

class ProvisioningTest : public InstanceSuite, protected ReconcilerGround<SystemClock> {
 protected:
  ProvisioningTest() : ReconcilerGround(*test_, /*connections=*/5) {}

  void SetUp() override {
    auto nats = localserver::NatsServer::Start({.data_dir = directory_.path() + "/nats"});
    ASSERT_TRUE(nats.ok()) << nats.status();
    nats_ = *std::move(nats);
    auto client =
        jetstream::Client::Connect({.url = nats_->Url(), .name = "test", .on_state = [](const absl::Status&) {}});
    ASSERT_TRUE(client.ok()) << client.status();
    client_ = *std::move(client);
    Eventually("the streams", [&] {
      return client_->EnsureStream(jetstream::TenantsStream(1)).ok() &&
             client_->EnsureStream(jetstream::ProvisioningStream(1)).ok();
    });
    StartDaemon();
  }
  void TearDown() override { StopDaemon(); }

  void StartDaemon() {
    auto migrations = MigrationsOf({{"0001_note.sql", "CREATE TABLE note (text text);"}});
    ASSERT_TRUE(migrations.ok());
    reconciler_ = std::make_unique<Reconciler>(Reconciler::Options{.resync_interval = absl::Seconds(2),
                                                                   .min_backoff = absl::Milliseconds(50),
                                                                   .max_backoff = absl::Milliseconds(400),
                                                                   .parallelism = 2,
                                                                   .tenant_migrations = *migrations,
                                                                   .central_migrations = {}},
                                               PartsWith([this] { reporter_->Wake(); }));
    reporter_ = std::make_unique<StatusReporter>(*client_, records_, test_->instance().service(), metrics_);
    events_ = std::make_unique<TenantEvents>(
        *client_, test_->instance().service(), 1,
        [this](const TenantId& id, const Desire& desire) { return reconciler_->Want(id, desire); },
        [this] { reconciler_->RequestPass(); }, metrics_);
    reconciler_->Start();
    reporter_->Start();
    events_->Start();
  }
  void StopDaemon() {
    if (events_ != nullptr) events_->Stop();
    if (reconciler_ != nullptr) reconciler_->Stop();
    if (reporter_ != nullptr) reporter_->Stop();
  }

  template <typename Condition>
  static void Eventually(std::string_view what, Condition condition) {
    const absl::Time end = absl::Now() + kPatience;
    while (!condition()) {
      ASSERT_LT(absl::Now(), end) << "waited in vain for " << what;
      absl::SleepFor(absl::Milliseconds(10));
    }
  }

  // As the gateway says it; generation 0: as another service does.
  void Announce(const std::string& id, std::string_view what, int64_t generation, v1::DesiredState desired) {
    v1::EventEnvelope envelope;
    envelope.set_id(std::format("{}-{}", id, ++published_));
    envelope.set_source("test");
    envelope.set_type(std::format("leasehold.tenant.{}.v1", what));
    envelope.set_subject(id);
    v1::TenantEvent data;
    data.set_id(id);
    data.set_name("A tenant");
    if (generation > 0) {
      data.set_generation(generation);
      data.set_desired(desired);
    }
    const events::Encoded encoded = events::EncodeTenantEvent(envelope, what, data);
    Eventually("the event to be stored", [&] {
      return client_->Publish(encoded.subject, encoded.payload, encoded.headers, encoded.message_id).ok();
    });
  }

  // "ready 3" for each status of the tenant that the stream holds, in order.
  std::vector<std::string> Reported(const std::string& id) {
    auto consumer = client_->Subscribe({.stream = "PROVISIONING",
                                        .durable = std::format("reader-{}", ++readers_),
                                        .filter_subject = std::format("provisioning.identity.{}.>", id)});
    if (!consumer.ok()) return {std::string(ClientText(consumer.status()))};
    std::vector<std::string> statuses;
    const auto messages = (*consumer)->Fetch(100, absl::Milliseconds(300));
    if (!messages.ok()) return {std::string(ClientText(messages.status()))};
    for (const auto& message : *messages) {
      const auto event = events::DecodeProvisioningEvent(message->subject(), message->headers(), message->payload());
      EXPECT_TRUE(event.ok()) << event.status();
      if (!event.ok()) continue;
      EXPECT_EQ(event->tenant(), id);
      last_[id] = event->status();
      statuses.push_back(std::format("{} {}", std::string(message->subject().substr(message->subject().rfind('.') + 1)),
                                     event->status().generation()));
      message->Ack();
    }
    return statuses;
  }
  // All up to `last`: one look may end before the server has sent them all.
  std::vector<std::string> AwaitReport(const std::string& id, const std::string& last) {
    std::vector<std::string> statuses;
    Eventually(std::format("{} of {}", last, id), [&] {
      statuses = Reported(id);
      return !statuses.empty() && statuses.back() == last;
    });
    return statuses;
  }
  static std::string Exists(std::string_view id) {
    return test_->Ask("postgres",
                      std::format("SELECT count(*) FROM pg_database WHERE datname = 'tenant_{}_identity'", id));
  }

  localserver::TemporaryDirectory directory_;
  std::unique_ptr<localserver::NatsServer> nats_;
  std::unique_ptr<jetstream::Client> client_;
  std::unique_ptr<Reconciler> reconciler_;
  std::unique_ptr<StatusReporter> reporter_;
  std::unique_ptr<TenantEvents> events_;
  int published_ = 0;
  int readers_ = 0;
  std::map<std::string, v1::ServiceStatus> last_;
};

TEST_F(ProvisioningTest, AnEventOfAnotherServiceMakesADatabaseAndAReport) {
  gateway_.SetDown(true);
  Announce("acme", "created", 0, v1::DESIRED_STATE_UNSPECIFIED);
  AwaitReport("acme", "ready 0");
  EXPECT_EQ(Exists("acme"), "1");
  const v1::ServiceStatus& status = last_["acme"];
  EXPECT_EQ(status.service(), "identity");
  EXPECT_EQ(status.database(), "tenant_acme_identity");
  EXPECT_EQ(status.database_id().size(), 16);
  EXPECT_EQ(status.schema_version(), 1);
  EXPECT_EQ(status.state(), v1::SERVICE_STATE_READY);
  postgres::Connection owner(
      test_->instance().AsRole("tenant_acme_identity", "tenant_acme_identity", status.database_id(), RoleKind::kOwner));
  EXPECT_TRUE(owner.Connect().ok()) << "the report is enough to log in";
}

TEST_F(ProvisioningTest, ALifeInOrder) {
  Announce("life", "created", 1, v1::DESIRED_STATE_PRESENT);
  AwaitReport("life", "ready 1");
  Announce("life", "suspended", 2, v1::DESIRED_STATE_CLOSED);
  AwaitReport("life", "closed 2");
  Announce("life", "resumed", 3, v1::DESIRED_STATE_PRESENT);
  AwaitReport("life", "ready 3");
  gateway_.Set("life", 4, v1::DESIRED_STATE_ABSENT);
  Announce("life", "deleted", 4, v1::DESIRED_STATE_ABSENT);
  EXPECT_THAT(AwaitReport("life", "removed 4"), ElementsAre("ready 1", "closed 2", "ready 3", "removed 4"));
  EXPECT_EQ(Exists("life"), "0");
}

TEST_F(ProvisioningTest, DoubledAndReorderedEventsEndTheSame) {
  Announce("mixed", "suspended", 3, v1::DESIRED_STATE_CLOSED);
  Announce("mixed", "created", 1, v1::DESIRED_STATE_PRESENT);
  Announce("mixed", "created", 1, v1::DESIRED_STATE_PRESENT);
  Announce("mixed", "updated", 2, v1::DESIRED_STATE_PRESENT);
  Announce("mixed", "suspended", 3, v1::DESIRED_STATE_CLOSED);
  AwaitReport("mixed", "closed 3");
  Announce("mixed-end", "created", 0, v1::DESIRED_STATE_UNSPECIFIED);
  AwaitReport("mixed-end", "ready 0");  // everything before it has been handled
  EXPECT_THAT(Reported("mixed"), ElementsAre("closed 3"));
}

TEST_F(ProvisioningTest, MalformedEventsAreParkedAndBlockNothing) {
  ASSERT_EQ(client_->Publish("tenants.bad.created", "not json at all", {}, ""), absl::OkStatus());
  ASSERT_EQ(client_->Publish("tenants.bad.created", R"({"specversion":"1.0","data":{"id":"Bad_Id!"}})", {}, ""),
            absl::OkStatus());
  Announce("after-bad", "created", 0, v1::DESIRED_STATE_UNSPECIFIED);
  AwaitReport("after-bad", "ready 0");
  EXPECT_THAT(metrics_.Expose(), HasSubstr("leasehold_events_parked_total 2"));
  EXPECT_THAT(metrics_.Expose(), HasSubstr("leasehold_event_lag_seconds_count{stream=\"TENANTS\"} 3"));
  // How many depends on whether the consumer before still had a request standing, which was answered in vain.
  EXPECT_THAT(metrics_.Expose(), HasSubstr("leasehold_events_redelivered_total{stream=\"TENANTS\"}"));
  auto dead =
      client_->Subscribe({.stream = "PROVISIONING", .durable = "dead", .filter_subject = "provisioning.dead.identity"});
  ASSERT_TRUE(dead.ok());
  size_t parked = 0;
  while (parked < 2) {
    const auto some = (*dead)->Fetch(10, absl::Seconds(10));
    ASSERT_TRUE(some.ok()) << some.status();
    ASSERT_FALSE(some->empty());
    parked += some->size();
  }
  EXPECT_EQ(parked, 2);
}

TEST_F(ProvisioningTest, AStatusWaitsForNatsToComeBack) {
  Announce("calm", "created", 1, v1::DESIRED_STATE_PRESENT);
  AwaitReport("calm", "ready 1");
  nats_->Kill();
  gateway_.Set("storm", 1, v1::DESIRED_STATE_PRESENT);  // learnt from the gateway alone
  Eventually("the database", [&] { return Exists("storm") == "1"; });
  ASSERT_EQ(nats_->Restart(), absl::OkStatus());
  AwaitReport("storm", "ready 1");
  Announce("after-storm", "created", 1, v1::DESIRED_STATE_PRESENT);
  AwaitReport("after-storm", "ready 1");
}

TEST_F(ProvisioningTest, EventsWaitForADaemonThatIsDown) {
  StopDaemon();
  Announce("early", "created", 1, v1::DESIRED_STATE_PRESENT);
  EXPECT_THAT(Reported("early"), IsEmpty());
  StartDaemon();
  AwaitReport("early", "ready 1");
}

TEST_F(ProvisioningTest, AFailureIsReportedAndThenTheSuccess) {
  ASSERT_EQ(test_->Ask("postgres", "CREATE DATABASE tenant_hard_identity"), "");
  Announce("hard", "created", 1, v1::DESIRED_STATE_PRESENT);
  AwaitReport("hard", "failed 1");
  EXPECT_THAT(last_["hard"].message(), HasSubstr("tenant_hard_identity exists"));
  EXPECT_GE(last_["hard"].attempts(), 1);
  EXPECT_TRUE(last_["hard"].has_next_attempt_time());
  ASSERT_EQ(test_->Ask("postgres", "DROP DATABASE tenant_hard_identity"), "");
  AwaitReport("hard", "ready 1");
}

}  // namespace
}  // namespace leasehold::provisioner
