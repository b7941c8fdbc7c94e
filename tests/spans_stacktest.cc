// What a collector hears of a tenant's way through the daemons: a real HTTP server in its place.
#include <gmock/gmock.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>
#include <httplib.h>

#include <format>
#include <fstream>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/telemetry/trace.h"
#include "tests/stack/outputs.h"
#include "tests/stack/stack.h"

namespace leasehold::testing {
namespace {

using ::testing::HasSubstr;

struct Seen {
  std::string daemon;
  std::string id;
  std::string parent;
};

class Collector {
 public:
  Collector() {
    server_.Post("/v1/traces", [this](const httplib::Request& request, httplib::Response& response) {
      Take(request.body);
      response.set_content("{}", "application/json");
    });
    port_ = server_.bind_to_any_port("127.0.0.1");
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    server_.wait_until_ready();
  }
  ~Collector() {
    server_.stop();
    thread_.join();
  }

  std::string endpoint() const { return std::format("http://127.0.0.1:{}", port_); }
  // Of one trace, by name.
  std::multimap<std::string, Seen> Of(const Trace& trace) {
    const absl::MutexLock lock(&mu_);
    return spans_[TraceId(trace)];
  }
  // The first of that name, which may be still to come.
  Seen Await(const Trace& trace, const std::string& name, const std::string& daemon) {
    Seen found;
    EXPECT_TRUE(Eventually([&] {
      const auto spans = Of(trace);
      const auto [begin, end] = spans.equal_range(name);
      for (auto it = begin; it != end; ++it) {
        if (it->second.daemon != daemon) continue;
        found = it->second;
        return true;
      }
      return false;
    })) << daemon
        << ": " << name;
    return found;
  }

 private:
  static const google::protobuf::Struct& Object(const google::protobuf::Value& value) { return value.struct_value(); }
  static std::string Text(const google::protobuf::Struct& object, const std::string& field) {
    const auto found = object.fields().find(field);
    return found == object.fields().end() ? "" : found->second.string_value();
  }

  void Take(const std::string& body) {
    google::protobuf::Struct request;
    ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(body, &request).ok()) << body;
    const absl::MutexLock lock(&mu_);
    for (const auto& resource : request.fields().at("resourceSpans").list_value().values()) {
      const auto& attributes = Object(Object(resource).fields().at("resource")).fields().at("attributes").list_value();
      const std::string daemon = Text(Object(Object(attributes.values(0)).fields().at("value")), "stringValue");
      for (const auto& scope : Object(resource).fields().at("scopeSpans").list_value().values()) {
        for (const auto& value : Object(scope).fields().at("spans").list_value().values()) {
          const auto& span = Object(value);
          spans_[Text(span, "traceId")].emplace(
              Text(span, "name"),
              Seen{.daemon = daemon, .id = Text(span, "spanId"), .parent = Text(span, "parentSpanId")});
        }
      }
    }
  }

  httplib::Server server_;
  int port_ = 0;
  std::thread thread_;
  absl::Mutex mu_;
  std::map<std::string, std::multimap<std::string, Seen>> spans_ ABSL_GUARDED_BY(mu_);
};

class SpansTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    collector_ = new Collector;
    directory_ = new localserver::TemporaryDirectory;
    const std::string config = directory_->path() + "/leasehold.yaml";
    std::ofstream(config) << std::format(
        "tracing: {{otlp_endpoint: '{}'}}\n"
        "provisioner: {{resync_interval: 2s, min_spares: 0, max_spares: 0}}\n"
        "services: [{{name: alpha}}]\n",
        collector_->endpoint());
    stack_ = new Stack({}, config);
  }
  static void TearDownTestSuite() {
    delete stack_;
    delete directory_;
    delete collector_;
  }

  static void Create(const std::string& id, const Trace& trace) {
    auto context = Deadline();
    context->AddMetadata("traceparent", ToTraceparent(trace));
    v1::CreateTenantRequest request;
    request.mutable_tenant()->set_id(id);
    v1::TenantChange change;
    ASSERT_TRUE(stack_->tenants().CreateTenant(context.get(), request, &change).ok());
    ASSERT_TRUE(stack_->AwaitState(id, v1::TENANT_STATE_ACTIVE));
  }

  static inline Collector* collector_ = nullptr;
  static inline localserver::TemporaryDirectory* directory_ = nullptr;
  static inline Stack* stack_ = nullptr;
};

TEST_F(SpansTest, ATenantsWayIsOneTreeUnderItsCallers) {
  constexpr char kGateway[] = "leasehold-gateway";
  constexpr char kProvisioner[] = "leasehold-provisioner-alpha";
  const Trace trace = NewTrace(true);
  Create(FreshTenantId(), trace);
  const Seen call = collector_->Await(trace, "leasehold.v1.TenantService/CreateTenant", kGateway);
  EXPECT_EQ(call.parent, std::format("{:016x}", trace.span));
  EXPECT_EQ(collector_->Await(trace, "registry transaction", kGateway).parent, call.id);
  EXPECT_FALSE(collector_->Await(trace, "publish event", kGateway).parent.empty());
  EXPECT_FALSE(collector_->Await(trace, "take event", kProvisioner).parent.empty());
  const Seen work = collector_->Await(trace, "work on tenant", kProvisioner);
  for (const char* step : {"making the roles", "creating the database", "moving the database into place"}) {
    EXPECT_EQ(collector_->Await(trace, step, kProvisioner).parent, work.id) << step;
  }
  const Seen told = collector_->Await(trace, "publish status", kProvisioner);
  EXPECT_EQ(collector_->Await(trace, "take report", kGateway).parent, told.id);
  EXPECT_THAT(MetricsOf(ConfigOf(*stack_).gateway().http_listen()), HasSubstr("leasehold_spans_exported_total"));
}

TEST_F(SpansTest, ATraceThatItsCallerDoesNotRecordHasNone) {
  const Trace quiet = NewTrace(false);
  Create(FreshTenantId(), quiet);
  // Behind it, and through the same queues.
  const Trace heard = NewTrace(true);
  Create(FreshTenantId(), heard);
  collector_->Await(heard, "take report", "leasehold-gateway");
  collector_->Await(heard, "publish status", "leasehold-provisioner-alpha");
  EXPECT_TRUE(collector_->Of(quiet).empty());
}

TEST_F(SpansTest, AnAnswerOfAProvisionerIsAPartOfTheCall) {
  const Stack::Output shown = stack_->Run({"instances", "--trace"});
  ASSERT_EQ(shown.exit_code, 0) << shown.err;
  ASSERT_TRUE(shown.err.starts_with("trace ")) << shown.err;
  const Trace trace = ParseTraceparent("00-" + shown.err.substr(6, 32) + "-0000000000000001-01");
  ASSERT_TRUE(trace);
  const Seen asked = collector_->Await(trace, "ask provisioner", "leasehold-gateway");
  EXPECT_EQ(collector_->Await(trace, "looking at the instance", "leasehold-provisioner-alpha").parent, asked.id);
}

}  // namespace
}  // namespace leasehold::testing
