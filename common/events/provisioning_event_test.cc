#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "common/events/events.h"
#include "common/events/events_fixture.h"

namespace leasehold::events {
namespace {

using ::google::protobuf::util::MessageDifferencer;

v1::ProvisioningEvent Ready() {
  v1::ProvisioningEvent event;
  event.set_tenant("acme");
  v1::ServiceStatus& status = *event.mutable_status();
  status.set_service("identity");
  status.set_state(v1::SERVICE_STATE_READY);
  status.set_generation(3);
  status.set_database("tenant_acme_identity");
  status.set_database_id("0123456789abcdef");
  status.set_schema_version(2);
  return event;
}

absl::StatusOr<v1::ProvisioningEvent> Decode(const Encoded& encoded) {
  return DecodeProvisioningEvent(encoded.subject, encoded.headers, encoded.payload);
}

TEST(ProvisioningEventTest, WhatIsEncodedDecodesToTheSame) {
  const std::pair<const char*, v1::ServiceState> verbs[] = {{"ready", v1::SERVICE_STATE_READY},
                                                            {"failed", v1::SERVICE_STATE_FAILED},
                                                            {"closed", v1::SERVICE_STATE_CLOSED},
                                                            {"removed", v1::SERVICE_STATE_REMOVED}};
  for (const auto& [what, state] : verbs) {
    v1::ProvisioningEvent event = Ready();
    event.mutable_status()->set_state(state);
    event.mutable_status()->set_message("the instance is full");
    const Encoded encoded = EncodeProvisioningEvent(Envelope(), what, event);
    EXPECT_EQ(encoded.subject, std::format("provisioning.identity.acme.{}", what));
    const auto decoded = Decode(encoded);
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    EXPECT_TRUE(MessageDifferencer::Equals(*decoded, event));
  }
}

TEST(ProvisioningEventTest, ABackupIsReportedApart) {
  v1::ProvisioningEvent event;
  event.set_tenant("acme");
  v1::BackupStatus& backup = *event.mutable_backup();
  backup.set_service("identity");
  backup.set_backup("acme.12");
  backup.set_state(v1::BACKUP_STATE_COMPLETE);
  backup.set_bytes(4096);
  backup.set_manifest_sha256(std::string(64, 'a'));
  const Encoded encoded = EncodeProvisioningEvent(Envelope(), "backup", event);
  EXPECT_EQ(encoded.subject, "provisioning.identity.acme.backup");
  const auto decoded = Decode(encoded);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_TRUE(MessageDifferencer::Equals(*decoded, event));

  const auto refused = [&](const std::function<void(v1::BackupStatus&)>& spoil) {
    v1::ProvisioningEvent spoilt = event;
    spoil(*spoilt.mutable_backup());
    Encoded bad = encoded;
    bad.payload = spoilt.SerializeAsString();
    return Refusal(Decode(bad).status()).field();
  };
  EXPECT_EQ(refused([](v1::BackupStatus& b) { b.set_service("core"); }), "data.backup.service");
  EXPECT_EQ(refused([](v1::BackupStatus& b) { b.clear_state(); }), "data.backup.state");
  for (const char* id : {"", "acme", "acme.", "acme.0", "acme.1x", "acme.99999999999999999999", "globex.1", "../a.1"}) {
    EXPECT_EQ(refused([id](v1::BackupStatus& b) { b.set_backup(id); }), "data.backup.backup") << id;
  }
  EXPECT_EQ(refused([](v1::BackupStatus& b) { b.set_manifest_sha256("abc"); }), "data.backup.manifest_sha256");
  EXPECT_EQ(refused([](v1::BackupStatus& b) { b.set_bytes(-1); }), "data.backup");
  EXPECT_EQ(refused([](v1::BackupStatus& b) { b.set_message("two\nlines"); }), "data.backup.message");
}

TEST(ProvisioningEventTest, ACopyIsReportedApart) {
  v1::ProvisioningEvent event;
  event.set_tenant("acme");
  v1::CopyStatus& copy = *event.mutable_copy();
  copy.set_service("identity");
  copy.set_generation(3);
  copy.set_bytes(4096);
  copy.set_total_bytes(8192);
  const Encoded encoded = EncodeProvisioningEvent(Envelope(), "copying", event);
  EXPECT_EQ(encoded.subject, "provisioning.identity.acme.copying");
  const auto decoded = Decode(encoded);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_TRUE(MessageDifferencer::Equals(*decoded, event));

  const auto refused = [&](const std::function<void(v1::CopyStatus&)>& spoil) {
    v1::ProvisioningEvent spoilt = event;
    spoil(*spoilt.mutable_copy());
    Encoded bad = encoded;
    bad.payload = spoilt.SerializeAsString();
    return Refusal(Decode(bad).status()).field();
  };
  EXPECT_EQ(refused([](v1::CopyStatus& c) { c.set_service("core"); }), "data.copy.service");
  EXPECT_EQ(refused([](v1::CopyStatus& c) { c.clear_generation(); }), "data.copy.generation");
  EXPECT_EQ(refused([](v1::CopyStatus& c) { c.set_bytes(-1); }), "data.copy");
  EXPECT_EQ(refused([](v1::CopyStatus& c) { c.set_total_bytes(-1); }), "data.copy");
}

TEST(ProvisioningEventTest, HeadersCarryNothingThatBreaksALine) {
  v1::EventEnvelope envelope = Envelope();
  envelope.set_source("a\r\nNats-Msg-Id: b \"%ü");
  const Encoded encoded = EncodeProvisioningEvent(envelope, "ready", Ready());
  EXPECT_EQ(encoded.headers.at("ce-source"), "a%0D%0ANats-Msg-Id:%20b%20%22%25%C3%BC");
}

TEST(ProvisioningEventTest, ContradictionsAreRefused) {
  const auto refused = [](const char* what, const std::function<void(v1::ProvisioningEvent&)>& change) {
    v1::ProvisioningEvent event = Ready();
    Encoded encoded = EncodeProvisioningEvent(Envelope(), what, event);
    change(event);
    encoded.payload = event.SerializeAsString();
    return Refusal(Decode(encoded).status()).field();
  };
  EXPECT_EQ(refused("failed", [](auto&) {}), "data.status.state");
  EXPECT_EQ(refused("ready", [](auto& e) { e.set_tenant("globex"); }), "data.tenant");
  EXPECT_EQ(refused("ready", [](auto& e) { e.mutable_status()->set_service("core"); }), "data.status.service");
  EXPECT_EQ(refused("ready", [](auto& e) { e.mutable_status()->set_generation(-1); }), "data.status.generation");
  EXPECT_EQ(refused("ready", [](auto& e) { e.mutable_status()->set_database("tenant_globex_identity"); }),
            "data.status.database");
  EXPECT_EQ(refused("ready", [](auto& e) { e.mutable_status()->set_database_id("x"); }), "data.status.database_id");
  EXPECT_EQ(refused("ready", [](auto& e) { e.mutable_status()->set_message("a\x1b[2J"); }), "data.status.message");
  EXPECT_EQ(refused("ready", [](auto& e) { e.clear_status(); }), "data.status.service");
}

TEST(ProvisioningEventTest, SubjectsAndModesAreChecked) {
  const Encoded good = EncodeProvisioningEvent(Envelope(), "ready", Ready());
  for (const char* subject : {"", "provisioning.dead.identity", "provisioning.identity.acme", "x.identity.acme.ready",
                              "provisioning.identity.acme.gone", "provisioning.Identity.acme.ready",
                              "provisioning.identity.Acme.ready", "provisioning.identity.acme.ready.x"}) {
    EXPECT_EQ(Refusal(DecodeProvisioningEvent(subject, good.headers, good.payload).status()).field(), "subject")
        << subject;
  }
  EXPECT_EQ(Refusal(DecodeProvisioningEvent(good.subject, {}, good.payload).status()).field(), "content-type");
  EXPECT_EQ(Refusal(DecodeProvisioningEvent(good.subject, good.headers, "\xff").status()).field(), "data");
}

}  // namespace
}  // namespace leasehold::events
