#include "common/otlp/otlp_json.h"

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <array>

#include "absl/time/clock.h"

namespace leasehold {
namespace {

const SpanSource kSource = {.service = "leasehold-gateway", .instance = "gw-1", .version = "1.0"};

TEST(OtlpJson, IsAnExportTraceServiceRequest) {
  const SpanRecord root{
      .name = "leasehold.v1.TenantService/CreateTenant",
      .kind = SpanKind::kServer,
      .trace = {.high = 0x4bf92f3577b34da6, .low = 0xa3ce929d0e0e4736, .span = 0x00f067aa0ba902b7, .sampled = true},
      .start = absl::FromUnixNanos(1'767'225'600'000'000'001),
      .end = absl::FromUnixNanos(1'767'225'600'250'000'000)};
  SpanRecord child = root;
  child.name = "making the roles";
  child.kind = SpanKind::kInternal;
  child.trace.span = 1;
  child.parent = root.trace.span;
  child.failed = true;
  child.error = "the name is taken";
  child.attributes = {{"tenant", "acme"}, {"step", "1"}};
  const std::array<SpanRecord, 2> spans = {root, child};
  EXPECT_EQ(
      OtlpJson(kSource, spans),
      R"({"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"leasehold-gateway"}},)"
      R"({"key":"service.instance.id","value":{"stringValue":"gw-1"}},)"
      R"({"key":"service.version","value":{"stringValue":"1.0"}}]},"scopeSpans":[{"scope":{"name":"leasehold"},"spans":[)"
      R"({"traceId":"4bf92f3577b34da6a3ce929d0e0e4736","spanId":"00f067aa0ba902b7",)"
      R"("name":"leasehold.v1.TenantService/CreateTenant","kind":2,"startTimeUnixNano":"1767225600000000001",)"
      R"("endTimeUnixNano":"1767225600250000000"},)"
      R"({"traceId":"4bf92f3577b34da6a3ce929d0e0e4736","spanId":"0000000000000001",)"
      R"("parentSpanId":"00f067aa0ba902b7","name":"making the roles","kind":1,)"
      R"("startTimeUnixNano":"1767225600000000001","endTimeUnixNano":"1767225600250000000",)"
      R"("attributes":[{"key":"tenant","value":{"stringValue":"acme"}},{"key":"step","value":{"stringValue":"1"}}],)"
      R"("status":{"message":"the name is taken","code":2}}]}]}]})");
}

TEST(OtlpJson, IsJsonWhateverAStrangerWrote) {
  SpanRecord span{
      .name = std::string("\"\\\n\0\xff", 5), .trace = NewTrace(true), .start = absl::Now(), .end = absl::Now()};
  span.attributes = {{"\"", "\x1b[2J\xc3"}};
  google::protobuf::Struct json;
  const auto parsed = google::protobuf::util::JsonStringToMessage(OtlpJson(kSource, {&span, 1}), &json);
  EXPECT_TRUE(parsed.ok()) << parsed.ToString();
}

}  // namespace
}  // namespace leasehold
