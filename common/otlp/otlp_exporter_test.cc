// Against a real HTTP server, as a collector is one.
#include "common/otlp/otlp_exporter.h"

#include <gmock/gmock.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>
#include <httplib.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <optional>
#include <thread>

#include "absl/time/clock.h"
#include "common/localserver/localserver.h"
#include "common/status/error.h"

namespace leasehold {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::SizeIs;

std::optional<std::string> NoVariables(const char* /*name*/) { return std::nullopt; }

class Receiver {
 public:
  Receiver() {
    server_.Post("/otel/v1/traces", [this](const httplib::Request& request, httplib::Response& response) {
      const absl::MutexLock lock(&mu_);
      ++requests_;
      type_ = request.get_header_value("Content-Type");
      keys_.push_back(request.get_header_value("X-Api-Key"));
      teams_.push_back(request.get_header_value("x-team"));
      response.status = status_;
      response.set_content(std::string(answer_bytes_, ' '), "application/json");
      if (status_ == 200) bodies_.push_back(request.body);
    });
    port_ = server_.bind_to_any_port("127.0.0.1");
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    server_.wait_until_ready();
  }
  ~Receiver() {
    server_.stop();
    thread_.join();
  }

  HttpUrl url() const { return *ParseHttpUrl("", std::format("http://127.0.0.1:{}/otel/", port_)); }
  void AnswerWith(int status, size_t bytes = 2) {
    const absl::MutexLock lock(&mu_);
    status_ = status;
    answer_bytes_ = bytes;
  }
  // Waits.
  void AwaitRequests(int count) {
    const absl::MutexLock lock(&mu_);
    const auto came = [this, count]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return requests_ >= count; };
    ASSERT_TRUE(mu_.AwaitWithTimeout(absl::Condition(&came), absl::Seconds(30)));
  }
  std::vector<std::string> AwaitBodies(size_t count) {
    const absl::MutexLock lock(&mu_);
    const auto came = [this, count]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return bodies_.size() >= count; };
    EXPECT_TRUE(mu_.AwaitWithTimeout(absl::Condition(&came), absl::Seconds(30)));
    return bodies_;
  }
  std::string type() {
    const absl::MutexLock lock(&mu_);
    return type_;
  }
  // Of the last request.
  std::string key() {
    const absl::MutexLock lock(&mu_);
    return keys_.back();
  }
  std::string team() {
    const absl::MutexLock lock(&mu_);
    return teams_.back();
  }

 private:
  httplib::Server server_;
  int port_ = 0;
  std::thread thread_;
  absl::Mutex mu_;
  int status_ ABSL_GUARDED_BY(mu_) = 200;
  size_t answer_bytes_ ABSL_GUARDED_BY(mu_) = 2;
  int requests_ ABSL_GUARDED_BY(mu_) = 0;
  std::string type_ ABSL_GUARDED_BY(mu_);
  std::vector<std::string> keys_ ABSL_GUARDED_BY(mu_);
  std::vector<std::string> teams_ ABSL_GUARDED_BY(mu_);
  std::vector<std::string> bodies_ ABSL_GUARDED_BY(mu_);
};

SpanRecord Made(std::string name) {
  const absl::Time now = absl::Now();
  return {.name = std::move(name), .trace = NewTrace(true), .start = now, .end = now};
}

OtlpExporter::Options To(const HttpUrl& url) {
  return {.endpoint = url,
          .source = {.service = "leasehold-test", .instance = "here", .version = "1"},
          .pause = absl::Milliseconds(10),
          .longest_pause = absl::Milliseconds(50)};
}

// Those of all requests, in their order.
std::vector<std::string> NamesOf(const std::vector<std::string>& bodies) {
  std::vector<std::string> names;
  for (const std::string& body : bodies) {
    google::protobuf::Struct json;
    EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(body, &json).ok()) << body;
    const auto& resource = json.fields().at("resourceSpans").list_value().values(0).struct_value();
    const auto& scope = resource.fields().at("scopeSpans").list_value().values(0).struct_value();
    for (const auto& span : scope.fields().at("spans").list_value().values()) {
      names.push_back(span.struct_value().fields().at("name").string_value());
    }
  }
  return names;
}

double DroppedFor(Metrics& metrics, const std::string& reason) {
  return metrics
      .Counter("leasehold_spans_dropped_total", "Spans that reached no collector, by reason", {{"reason", reason}})
      .Value();
}
double Exported(Metrics& metrics) {
  return metrics.Counter("leasehold_spans_exported_total", "Spans that a collector has taken").Value();
}

TEST(OtlpExporter, PostsWhatItTakes) {
  Receiver receiver;
  Metrics metrics;
  {
    OtlpExporter exporter(To(receiver.url()), metrics);
    for (const char* name : {"one", "two", "three"}) exporter.Take(Made(name));
  }  // the rest goes at the end
  const std::vector<std::string> bodies = receiver.AwaitBodies(1);
  EXPECT_THAT(NamesOf(bodies), testing::ElementsAre("one", "two", "three"));
  EXPECT_EQ(receiver.type(), "application/json");
  EXPECT_THAT(bodies, Each(HasSubstr("leasehold-test")));
  EXPECT_EQ(Exported(metrics), 3);
}

TEST(OtlpExporter, WhatIsNotTakenNowIsSentAgain) {
  Receiver receiver;
  receiver.AnswerWith(503);
  Metrics metrics;
  OtlpExporter exporter(To(receiver.url()), metrics);
  exporter.Take(Made("kept"));
  receiver.AwaitRequests(2);
  EXPECT_EQ(Exported(metrics), 0);
  receiver.AnswerWith(200);
  EXPECT_THAT(NamesOf(receiver.AwaitBodies(1)), testing::ElementsAre("kept"));
}

TEST(OtlpExporter, WhatIsRefusedIsDroppedAndTheNextGoOn) {
  Receiver receiver;
  receiver.AnswerWith(400);
  Metrics metrics;
  {
    OtlpExporter exporter(To(receiver.url()), metrics);
    exporter.Take(Made("malformed"));
    receiver.AwaitRequests(1);
    while (DroppedFor(metrics, "refused") == 0) absl::SleepFor(absl::Milliseconds(1));
    receiver.AnswerWith(200);
    exporter.Take(Made("next"));
    EXPECT_THAT(NamesOf(receiver.AwaitBodies(1)), testing::ElementsAre("next"));
  }
  EXPECT_EQ(DroppedFor(metrics, "refused"), 1);
  EXPECT_EQ(Exported(metrics), 1);
}

TEST(OtlpExporter, AFullQueueDropsAndCountsAndHoldsNobodyUp) {
  Metrics metrics;
  {
    // Nobody listens there.
    OtlpExporter::Options options = To(*ParseHttpUrl("", "http://127.0.0.1:1"));
    options.queue = 10;
    options.batch = 5;
    OtlpExporter exporter(options, metrics);
    for (int i = 0; i < 100; ++i) exporter.Take(Made("lost"));
    // Some are in the thread's hands, the rest of ten in the queue.
    EXPECT_GE(DroppedFor(metrics, "queue_full"), 85);
  }
  EXPECT_EQ(DroppedFor(metrics, "queue_full") + DroppedFor(metrics, "refused"), 100);
  EXPECT_EQ(Exported(metrics), 0);
}

TEST(OtlpExporter, SendsBatchesAndReadsNoMoreOfAnAnswerThanItMust) {
  Receiver receiver;
  receiver.AnswerWith(200, 10 << 20);
  Metrics metrics;
  {
    OtlpExporter::Options options = To(receiver.url());
    options.batch = 4;
    OtlpExporter exporter(options, metrics);
    for (int i = 0; i < 10; ++i) exporter.Take(Made("many"));
  }
  EXPECT_THAT(NamesOf(receiver.AwaitBodies(3)), SizeIs(10));
  EXPECT_EQ(Exported(metrics), 10);
}

TEST(SpanExport, IsOffWithoutAnEndpointAndSamplesAsIsSaid) {
  Metrics metrics;
  v1::TracingConfig config;
  config.set_sample_percent(100);
  const auto none = SpanExport::Start(config, {}, NoVariables, metrics);
  ASSERT_TRUE(none.ok());
  EXPECT_EQ(*none, nullptr);
  EXPECT_FALSE(SpansAreCollected());
  EXPECT_FALSE(BeginTrace().sampled);

  Receiver receiver;
  config.set_otlp_endpoint(receiver.url().origin + receiver.url().path);
  {
    const auto started =
        SpanExport::Start(config, {.service = "leasehold-test", .instance = "", .version = ""}, NoVariables, metrics);
    ASSERT_TRUE(started.ok()) << started.status();
    EXPECT_TRUE(SpansAreCollected());
    const TraceScope scope(BeginTrace());
    EXPECT_TRUE(CurrentTrace().sampled);
    const Span span("through the whole");
  }
  EXPECT_FALSE(SpansAreCollected());
  EXPECT_FALSE(BeginTrace().sampled);
  EXPECT_THAT(NamesOf(receiver.AwaitBodies(1)), testing::ElementsAre("through the whole"));

  config.set_otlp_endpoint("collector");
  EXPECT_EQ(ReasonOf(SpanExport::Start(config, {}, NoVariables, metrics).status()), v1::REASON_INVALID_FIELD);
}

TEST(SpanExport, ShowsTheCollectorItsHeadersAndReadsThemAgain) {
  const localserver::TemporaryDirectory directory;
  const std::string path = directory.path() + "/headers";
  const auto write = [&path](const std::string& text) {
    std::ofstream(path + ".new") << text;
    std::filesystem::rename(path + ".new", path);
  };
  write("# of the collector\nX-Api-Key: first\nX-Team: overruled\n");
  const Environment environment = [&path](const char* name) -> std::optional<std::string> {
    if (std::string_view(name) == "OTEL_EXPORTER_OTLP_HEADERS") return "x-team=blue%20green";
    if (std::string_view(name) == "LEASEHOLD_OTLP_HEADERS_FILE") return path;
    return std::nullopt;
  };
  Receiver receiver;
  Metrics metrics;
  v1::TracingConfig config;
  config.set_sample_percent(100);
  config.set_otlp_endpoint(receiver.url().origin + receiver.url().path);
  const auto started = SpanExport::Start(config, {}, environment, metrics);
  ASSERT_TRUE(started.ok()) << started.status();
  size_t spans = 0;
  const auto send = [&] {
    Collect(Made("one more"));
    receiver.AwaitBodies(++spans);
  };
  send();
  EXPECT_EQ(receiver.key(), "first");
  EXPECT_EQ(receiver.team(), "blue green");

  auto& taken =
      metrics.Counter("leasehold_reloads_total", "Files of policy, tokens and keys that changed and were taken",
                      {{"file", "OTLP headers"}});
  auto& refused = metrics.Counter("leasehold_reload_failures_total",
                                  "Changed files of policy, tokens and keys that could not be used; the old ones stay",
                                  {{"file", "OTLP headers"}});
  const absl::Time give_up = absl::Now() + absl::Seconds(30);
  write("X-Api-Key second\n");
  while (refused.Value() < 1 && absl::Now() < give_up) absl::SleepFor(absl::Milliseconds(5));
  send();
  EXPECT_EQ(receiver.key(), "first") << "what was read before stays";
  write("X-Api-Key: second\n");
  while (taken.Value() < 1 && absl::Now() < give_up) absl::SleepFor(absl::Milliseconds(5));
  send();
  EXPECT_EQ(receiver.key(), "second");
  EXPECT_EQ(receiver.team(), "blue green");
}

}  // namespace
}  // namespace leasehold
