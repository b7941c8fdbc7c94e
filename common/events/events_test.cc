#include "common/events/events.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <format>
#include <functional>
#include <vector>

#include "common/events/events_fixture.h"

namespace leasehold::events {
namespace {

using ::google::protobuf::util::MessageDifferencer;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

constexpr char kSubject[] = "tenants.acme.created";
// DESIGN §3, with the id written out.
constexpr char kContractExample[] =
    R"({"specversion":"1.0","id":"6c0f","source":"identity-service","type":"leasehold.tenant.created.v1",
 "subject":"acme","time":"2026-01-01T00:00:00Z","datacontenttype":"application/json",
 "data":{"id":"acme","name":"Acme Corporation","domain":"acme.hrms.local","isActive":true,"settings":{}}})";

// A good event around `data`.
std::string WithData(std::string_view data) {
  return std::format(R"({{"specversion":"1.0","id":"1","source":"s","type":"leasehold.tenant.created.v1","data":{}}})",
                     data);
}

absl::StatusOr<TenantEvent> DecodeData(std::string_view data) {
  return DecodeTenantEvent(kSubject, {}, WithData(data));
}

v1::TenantEvent Tenant() {
  v1::TenantEvent tenant;
  tenant.set_id("acme");
  tenant.set_name("Ac\"me \\ Größe");
  tenant.set_domain("acme.example");
  tenant.set_is_active(false);
  tenant.set_generation((int64_t{1} << 60) + 1);  // more than a double holds
  tenant.set_desired(v1::DESIRED_STATE_CLOSED);
  (*tenant.mutable_settings())["locale"] = "de\n\t\"";
  (*tenant.mutable_settings())["empty"] = "";
  tenant.set_create_generation(7);
  tenant.mutable_origin()->set_backup("globex.12");
  tenant.mutable_origin()->set_generation(9);
  tenant.set_backup(true);
  return tenant;
}

TEST(TenantEventTest, TheContractsExampleDecodes) {
  const auto event = DecodeTenantEvent(kSubject, {}, kContractExample);
  ASSERT_TRUE(event.ok()) << event.status();
  EXPECT_EQ(event->what, "created");
  EXPECT_EQ(event->envelope.id(), "6c0f");
  EXPECT_EQ(event->envelope.source(), "identity-service");
  EXPECT_EQ(event->envelope.type(), "leasehold.tenant.created.v1");
  EXPECT_EQ(event->envelope.subject(), "acme");
  EXPECT_EQ(event->envelope.time().seconds(), 1'767'225'600);
  EXPECT_EQ(event->data.id(), "acme");
  EXPECT_EQ(event->data.name(), "Acme Corporation");
  EXPECT_EQ(event->data.domain(), "acme.hrms.local");
  EXPECT_TRUE(event->data.has_is_active());
  EXPECT_TRUE(event->data.is_active());
  EXPECT_EQ(event->data.generation(), 0);
  EXPECT_EQ(event->data.desired(), v1::DESIRED_STATE_UNSPECIFIED);
}

TEST(TenantEventTest, TheContentTypeChoosesTheMode) {
  const std::string json = WithData(R"({"id":"acme"})");
  EXPECT_TRUE(
      DecodeTenantEvent(kSubject, {{"Content-Type", "Application/CloudEvents+JSON; charset=utf-8"}}, json).ok());
  EXPECT_TRUE(DecodeTenantEvent(kSubject, {{"x-unrelated", "1"}, {"Nats-Msg-Id", "2"}}, json).ok());
  for (const jetstream::Headers& headers :
       {jetstream::Headers{{"content-type", "application/json"}}, jetstream::Headers{{"content-type", ""}},
        jetstream::Headers{{"ce-specversion", "1.0"}}}) {
    EXPECT_EQ(Refusal(DecodeTenantEvent(kSubject, headers, json).status()).field(), "content-type");
  }
}

TEST(TenantEventTest, BinaryModeDecodesWithAnyCaseOfHeaderNames) {
  v1::TenantEvent data;
  data.set_id("acme");
  data.set_name("Acme");
  const auto event = DecodeTenantEvent(kSubject,
                                       {{"Content-Type", "application/protobuf"},
                                        {"CE-SpecVersion", "1.0"},
                                        {"Ce-Id", "6c%200f"},
                                        {"ce-source", "100%"},
                                        {"ce-type", "leasehold.tenant.created.v1"},
                                        {"ce-subject", "acme"},
                                        {"ce-time", "2026-01-01T00:00:00Z"}},
                                       data.SerializeAsString());
  ASSERT_TRUE(event.ok()) << event.status();
  EXPECT_EQ(event->envelope.id(), "6c 0f");
  EXPECT_EQ(event->envelope.source(), "100%");
  EXPECT_EQ(event->data.name(), "Acme");
}

TEST(TenantEventTest, NothingIsCalledNothing) {
  for (const std::string_view payload : {"", " ", "\r\n\t"}) {
    const absl::Status refused = DecodeTenantEvent(kSubject, {}, payload).status();
    EXPECT_EQ(refused.message(), "event is empty; allowed: a JSON object: CloudEvents 1.0 in structured mode");
    EXPECT_EQ(Refusal(refused).field(), "event");
  }
}

TEST(TenantEventTest, BinaryModeIsCheckedLikeJson) {
  const jetstream::Headers headers = {{"content-type", "application/protobuf"},
                                      {"ce-specversion", "1.0"},
                                      {"ce-id", "1"},
                                      {"ce-source", "s"},
                                      {"ce-type", "leasehold.tenant.created.v1"}};
  EXPECT_EQ(Refusal(DecodeTenantEvent(kSubject, headers, "\xff\xff").status()).field(), "data");
  EXPECT_EQ(Refusal(DecodeTenantEvent(kSubject, headers, "").status()).field(), "data.id");
  v1::TenantEvent data = Tenant();
  EXPECT_TRUE(DecodeTenantEvent(kSubject, headers, data.SerializeAsString()).ok());
  data.set_generation(-1);
  EXPECT_EQ(Refusal(DecodeTenantEvent(kSubject, headers, data.SerializeAsString()).status()).field(),
            "data.generation");
  data = Tenant();
  data.set_desired(static_cast<v1::DesiredState>(9));
  EXPECT_EQ(Refusal(DecodeTenantEvent(kSubject, headers, data.SerializeAsString()).status()).field(), "data.desired");
  for (const char* name : {"ce-specversion", "ce-id", "ce-source", "ce-type"}) {
    jetstream::Headers fewer = headers;
    fewer.erase(name);
    EXPECT_EQ(Refusal(DecodeTenantEvent(kSubject, fewer, Tenant().SerializeAsString()).status()).field(), name);
  }
}

TEST(TenantEventTest, EachRequiredAttributeIsAskedFor) {
  for (const char* name : {"specversion", "id", "source", "type", "data"}) {
    std::string json = kContractExample;
    json.replace(json.find(std::format("\"{}\"", name)), 2, "\"_");
    const v1::ErrorDetail refusal = Refusal(DecodeTenantEvent(kSubject, {}, json).status());
    EXPECT_EQ(refusal.field(), name);
    EXPECT_NE(refusal.allowed(), "");
  }
}

TEST(TenantEventTest, AttributesAreChecked) {
  struct {
    const char* from;
    const char* to;
    const char* field;
    const char* value;
  } const cases[] = {
      {R"("1.0")", R"("0.3")", "specversion", "0.3"},
      {R"("1.0")", R"(1.0)", "specversion", "1"},
      {R"("6c0f")", R"("")", "id", ""},
      {R"("6c0f")", R"("a\nb")", "id", "a\\x0ab"},
      {R"("6c0f")", R"(["6c0f"])", "id", "[…]"},
      {"leasehold.tenant.created.v1", "leasehold.tenant.deleted.v1", "type", "leasehold.tenant.deleted.v1"},
      {"leasehold.tenant.created.v1", "leasehold.tenant.created.v2", "type", "leasehold.tenant.created.v2"},
      {R"("subject":"acme")", R"("subject":"globex")", "subject", "globex"},
      {R"("subject":"acme")", R"("subject":7)", "subject", "7"},
      {"2026-01-01T00:00:00Z", "yesterday", "time", "yesterday"},
      {R"("application/json")", R"("text/xml")", "datacontenttype", "text/xml"},
      {R"("data":{)", R"("data":"x","data2":{)", "data", "x"},
  };
  for (const auto& c : cases) {
    std::string json = kContractExample;
    json.replace(json.find(c.from), std::string_view(c.from).size(), c.to);
    const v1::ErrorDetail refusal = Refusal(DecodeTenantEvent(kSubject, {}, json).status());
    EXPECT_EQ(refusal.field(), c.field) << json;
    EXPECT_EQ(refusal.value(), c.value) << json;
    EXPECT_NE(refusal.allowed(), "") << json;
  }
}

TEST(TenantEventTest, DataIsChecked) {
  struct {
    const char* data;
    const char* field;
    const char* value;
  } const cases[] = {
      {R"({})", "data.id", ""},
      {R"({"id":null})", "data.id", ""},
      {R"({"id":42})", "data.id", "42"},
      {R"({"id":"Bad_Id!"})", "data.id", "Bad_Id!"},
      {R"({"id":"globex"})", "data.id", "globex"},
      {R"({"id":"acme","name":7.5})", "data.name", "7.5"},
      {R"({"id":"acme","name":"a\u0007b"})", "data.name", "a\\x07b"},
      {R"({"id":"acme","domain":"not a domain"})", "data.domain", "not a domain"},
      {R"({"id":"acme","domain":{"x":1}})", "data.domain", "{…}"},
      {R"({"id":"acme","isActive":"yes"})", "data.isActive", "yes"},
      {R"({"id":"acme","is_active":1})", "data.is_active", "1"},
      {R"({"id":"acme","isActive":true,"is_active":false})", "data.is_active", "false"},
      {R"({"id":"acme","settings":[]})", "data.settings", "[…]"},
      {R"({"id":"acme","settings":{"k":{}}})", "data.settings.k", "{…}"},
      {R"({"id":"acme","settings":{"k":[1]}})", "data.settings.k", "[…]"},
      {R"({"id":"acme","settings":{"k":"a\u0000b"}})", "data.settings.k", "a\\x00b"},
      {R"({"id":"acme","settings":{"k":9007199254740993}})", "data.settings.k", "9007199254740992"},
      {R"({"id":"acme","settings":{"a b":"x"}})", "data.settings", "a b"},
      {R"({"id":"acme","settings":{"":"x"}})", "data.settings", ""},
      {R"({"id":"acme","generation":-1})", "data.generation", "-1"},
      {R"({"id":"acme","generation":1.5})", "data.generation", "1.5"},
      {R"({"id":"acme","generation":"3x"})", "data.generation", "3x"},
      {R"({"id":"acme","generation":"99999999999999999999"})", "data.generation", "99999999999999999999"},
      {R"({"id":"acme","generation":true})", "data.generation", "true"},
      {R"({"id":"acme","desired":"PRESENT"})", "data.desired", "PRESENT"},
      {R"({"id":"acme","desired":1})", "data.desired", "1"},
      {R"({"id":"acme","createGeneration":"x"})", "data.createGeneration", "x"},
      {R"({"id":"acme","backup":"acme.3"})", "data.backup", "acme.3"},
      {R"({"id":"acme","origin":"globex"})", "data.origin", "globex"},
      {R"({"id":"acme","origin":{"generation":1}})", "data.origin", "{…}"},
      {R"({"id":"acme","origin":{"tenant":"a","backup":"b.1","generation":1}})", "data.origin", "{…}"},
      {R"({"id":"acme","origin":{"tenant":7,"generation":1}})", "data.origin.tenant", "7"},
      {R"({"id":"acme","origin":{"backup":"b.1","generation":[]}})", "data.origin.generation", "[…]"},
      {R"([])", "data", "[…]"},
  };
  for (const auto& c : cases) {
    const v1::ErrorDetail refusal = Refusal(DecodeData(c.data).status());
    EXPECT_EQ(refusal.field(), c.field) << c.data;
    EXPECT_EQ(refusal.value(), c.value) << c.data;
    EXPECT_NE(refusal.allowed(), "") << c.data;
  }
}

TEST(TenantEventTest, TheRefusalSaysItInOneLine) {
  const absl::Status status = DecodeData(R"({"id":"acme","isActive":"yes"})").status();
  EXPECT_EQ(status.message(), "data.isActive is 'yes'; allowed: true or false");
  EXPECT_EQ(DecodeTenantEvent(kSubject, {}, "{}").status().message(), "specversion is missing; allowed: 1.0");
}

TEST(TenantEventTest, SubjectsAreChecked) {
  for (const char* subject : {"", "tenants", "tenants.acme", "tenants.acme.renamed", "tenants.acme.created.x",
                              "tenants..created", "tenants.Acme.created", "other.acme.created"}) {
    EXPECT_EQ(Refusal(DecodeTenantEvent(subject, {}, kContractExample).status()).field(), "subject") << subject;
  }
}

TEST(TenantEventTest, WhatIsNoJsonObjectIsRefused) {
  for (const char* payload : {"", "not json at all", "[]", "null", "1", "\"x\"", "{", "{}}", "{\"a\":}", "{\"a\":1}x",
                              "{'specversion':'1.0'}", "{\"a\":\"\xff\"}", "\xef\xbb\xbf{", "{\"a\":nan}"}) {
    const v1::ErrorDetail refusal = Refusal(DecodeTenantEvent(kSubject, {}, payload).status());
    EXPECT_EQ(refusal.field(), "event") << payload;
  }
}

TEST(TenantEventTest, SizeAndDepthAreBounded) {
  const auto nested = [](int depth) {
    return WithData(std::format(R"({{"id":"acme","x":{}{}}})", std::string(depth, '['), std::string(depth, ']')));
  };
  EXPECT_TRUE(DecodeTenantEvent(kSubject, {}, nested(30)).ok());  // two levels are the event and its data
  EXPECT_THAT(Refusal(DecodeTenantEvent(kSubject, {}, nested(31)).status()).allowed(), HasSubstr("32 levels"));
  EXPECT_THAT(Refusal(DecodeTenantEvent(kSubject, {}, nested(200'000)).status()).allowed(), HasSubstr("32 levels"));
  // Brackets inside strings do not count, whatever is escaped there.
  EXPECT_TRUE(DecodeData(std::format(R"({{"id":"acme","x":"\\\"{}"}})", std::string(100, '['))).ok());

  const std::string padding(kMaxEventBytes, ' ');
  EXPECT_THAT(Refusal(DecodeTenantEvent(kSubject, {}, WithData(R"({"id":"acme"})") + padding).status()).allowed(),
              HasSubstr("524288 bytes"));
}

TEST(TenantEventTest, SettingsAreBounded) {
  const auto with = [](int entries, size_t value_bytes) {
    std::string settings;
    for (int i = 0; i < entries; ++i) {
      settings += std::format("{}\"k{}\":\"{}\"", i == 0 ? "" : ",", i, std::string(value_bytes, 'x'));
    }
    return DecodeData(std::format(R"({{"id":"acme","settings":{{{}}}}})", settings));
  };
  EXPECT_TRUE(with(64, 4096).ok());
  EXPECT_EQ(Refusal(with(65, 1).status()).field(), "data.settings");
  EXPECT_EQ(Refusal(with(1, 4097).status()).field(), "data.settings.k0");
}

TEST(TenantEventTest, ScalarSettingsBecomeText) {
  const auto event = DecodeData(
      R"({"id":"acme","settings":{"n":5,"f":1.5,"neg":-7,"big":9007199254740991,"t":true,"z":null,"s":"x"}})");
  ASSERT_TRUE(event.ok()) << event.status();
  EXPECT_THAT(event->data.settings(),
              UnorderedElementsAre(Pair("n", "5"), Pair("f", "1.5"), Pair("neg", "-7"), Pair("big", "9007199254740991"),
                                   Pair("t", "true"), Pair("s", "x")));
}

TEST(TenantEventTest, WhatOthersAddIsIgnored) {
  const auto event = DecodeTenantEvent(
      kSubject, {},
      R"({"specversion":"1.0","id":"1","source":"s","type":"leasehold.tenant.created.v1","vendor":{"a":[1,2]},)"
      R"("traceparent":"rubbish","data":{"id":"acme","plan":{"tier":3},"tags":["x"],"createdAt":"2026"}})");
  ASSERT_TRUE(event.ok()) << event.status();
  EXPECT_EQ(event->envelope.traceparent(), "");
  EXPECT_FALSE(event->data.has_is_active());
}

TEST(TenantEventTest, ItsTraceIsTheHeadersElseTheEnvelopesElseOneOfItsOwn) {
  constexpr std::string_view kJson =
      R"({{"specversion":"1.0","id":"{}","source":"s","type":"leasehold.tenant.created.v1",)"
      R"("traceparent":"{}","data":{{"id":"acme"}}}})";
  const std::string outer = "00-11111111111111111111111111111111-2222222222222222-01";
  const std::string inner = "00-33333333333333333333333333333333-4444444444444444-00";
  const auto trace_of = [&](std::string_view id, const jetstream::Headers& headers, std::string_view traceparent) {
    const auto event =
        DecodeTenantEvent(kSubject, headers, std::vformat(kJson, std::make_format_args(id, traceparent)));
    EXPECT_TRUE(event.ok()) << event.status();
    return event.ok() ? event->trace : Trace();
  };
  EXPECT_EQ(ToTraceparent(trace_of("1", {{"Traceparent", outer}}, inner)), outer);
  EXPECT_EQ(ToTraceparent(trace_of("1", {{"traceparent", "rubbish"}}, inner)), inner);
  EXPECT_EQ(ToTraceparent(trace_of("1", {}, inner)), inner);
  const Trace own = trace_of("1", {}, "");
  EXPECT_TRUE(own);
  EXPECT_EQ(trace_of("1", {}, "rubbish"), own);
  EXPECT_NE(TraceId(trace_of("2", {}, "")), TraceId(own));
}

TEST(TenantEventTest, BothSpellingsOfIsActiveAreUnderstood) {
  EXPECT_FALSE(DecodeData(R"({"id":"acme","isActive":false})")->data.is_active());
  const auto event = DecodeData(R"({"id":"acme","is_active":false})");
  EXPECT_TRUE(event->data.has_is_active());
  EXPECT_FALSE(event->data.is_active());
  EXPECT_TRUE(DecodeData(R"({"id":"acme","isActive":true,"is_active":true})")->data.is_active());
}

TEST(TenantEventTest, GenerationIsANumberOrAString) {
  EXPECT_EQ(DecodeData(R"({"id":"acme","generation":3})")->data.generation(), 3);
  EXPECT_EQ(DecodeData(R"({"id":"acme","generation":"9223372036854775807"})")->data.generation(), INT64_MAX);
}

TEST(TenantEventTest, DomainsAreFolded) {
  EXPECT_EQ(DecodeData(R"({"id":"acme","domain":"ACME.Example"})")->data.domain(), "acme.example");
}

TEST(TenantEventTest, WhatIsEncodedDecodesToTheSame) {
  const v1::TenantEvent full = Tenant();
  std::vector<const google::protobuf::FieldDescriptor*> set;
  full.GetReflection()->ListFields(full, &set);
  ASSERT_EQ(set.size(), static_cast<size_t>(v1::TenantEvent::descriptor()->field_count())) << "a field is not tried";
  for (const char* what : {"created", "updated", "suspended", "resumed", "deleted"}) {
    const Encoded encoded = EncodeTenantEvent(Envelope(), what, Tenant());
    EXPECT_EQ(encoded.subject, std::format("tenants.acme.{}", what));
    EXPECT_EQ(encoded.message_id, "acme.3");
    EXPECT_THAT(encoded.headers, UnorderedElementsAre(Pair("content-type", "application/cloudevents+json"),
                                                      Pair("traceparent", Envelope().traceparent())));
    EXPECT_THAT(encoded.payload, Not(HasSubstr("\n")));
    const auto event = DecodeTenantEvent(encoded.subject, encoded.headers, encoded.payload);
    ASSERT_TRUE(event.ok()) << event.status() << encoded.payload;
    EXPECT_EQ(event->what, what);
    EXPECT_TRUE(MessageDifferencer::Equals(event->data, Tenant())) << encoded.payload;
    v1::EventEnvelope envelope = Envelope();
    envelope.set_type(std::format("leasehold.tenant.{}.v1", what));
    envelope.set_subject("acme");
    EXPECT_TRUE(MessageDifferencer::Equals(event->envelope, envelope)) << encoded.payload;
  }
}

TEST(TenantEventTest, AnEventTooLargeForJsonTravelsInBinaryMode) {
  v1::TenantEvent tenant = Tenant();
  tenant.clear_settings();
  for (int i = 0; i < 64; ++i) (*tenant.mutable_settings())[std::format("k{}", i)] = std::string(4096, '\x01');
  const Encoded encoded = EncodeTenantEvent(Envelope(), "created", tenant);
  EXPECT_THAT(encoded.headers, testing::Contains(Pair("content-type", "application/protobuf")));
  const auto event = DecodeTenantEvent(encoded.subject, encoded.headers, encoded.payload);
  ASSERT_TRUE(event.ok()) << event.status();
  EXPECT_TRUE(MessageDifferencer::Equals(event->data, tenant));
}

}  // namespace
}  // namespace leasehold::events
