// One trace id, from the caller's metadata to PostgreSQL's own log: on real daemons, found as an operator would find
// it.
#include <gtest/gtest.h>

#include <filesystem>
#include <format>
#include <fstream>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/jetstream/handles.h"
#include "common/telemetry/trace.h"
#include "tests/stack/outputs.h"
#include "tests/stack/stack.h"

namespace leasehold::testing {
namespace {

// Two services whose databases are made step by step, or taken from the stock; PostgreSQL logs each statement with the
// name of its session in front.
class Traced {
 public:
  explicit Traced(int spares) {
    std::filesystem::create_directories(directory_.path() + "/files/tenant");
    std::ofstream(directory_.path() + "/files/tenant/0001_notes.sql") << "CREATE TABLE notes (id int PRIMARY KEY);\n";
    const std::string config = directory_.path() + "/leasehold.yaml";
    std::ofstream(config) << std::format(
        "log: {{level: debug}}\n"
        "provisioner: {{resync_interval: 2s, min_backoff: 100ms, max_backoff: 1s, min_spares: {0}, max_spares: {0}}}\n"
        "services:\n  - {{name: alpha, migrations: files}}\n  - {{name: beta}}\n",
        spares);
    stack_ = std::make_unique<Stack>(std::vector<std::string>(), config);
    for (const char* instance : {"registry", "alpha"}) {
      for (const char* setting : {"log_line_prefix = 'app=%a|'", "log_statement = 'all'"}) {
        stack_->OnInstance(instance, absl::StrCat("ALTER SYSTEM SET ", setting));
      }
      stack_->OnInstance(instance, "SELECT pg_reload_conf()");
      EXPECT_TRUE(Eventually([&] { return stack_->OnInstance(instance, "SHOW log_statement") == "all"; }));
    }
  }
  Stack& stack() { return *stack_; }

 private:
  localserver::TemporaryDirectory directory_;
  std::unique_ptr<Stack> stack_;
};

Traced& WithoutSpares() {
  static Traced traced(0);
  return traced;
}

// What any NATS client sees, JetStream or not.
class Subscriber {
 public:
  Subscriber(const std::string& url, const char* subject) {
    natsConnection* connection = nullptr;
    EXPECT_EQ(natsConnection_ConnectTo(&connection, url.c_str()), NATS_OK);
    connection_.reset(connection);
    natsSubscription* subscription = nullptr;
    EXPECT_EQ(natsConnection_SubscribeSync(&subscription, connection, subject), NATS_OK);
    subscription_.reset(subscription);
    EXPECT_EQ(natsConnection_FlushTimeout(connection, 10'000), NATS_OK);
  }

  // Of the next message: its header `traceparent`.
  Trace Next() {
    natsMsg* raw = nullptr;
    EXPECT_EQ(natsSubscription_NextMsg(&raw, subscription_.get(), 20'000), NATS_OK);
    const jetstream::NatsMsgPtr message(raw);
    const char* value = nullptr;
    if (raw == nullptr || natsMsgHeader_Get(raw, "traceparent", &value) != NATS_OK) return {};
    return ParseTraceparent(value);
  }

 private:
  jetstream::NatsConnectionPtr connection_;
  jetstream::NatsSubscriptionPtr subscription_;
};

std::vector<std::string> LinesWith(const std::string& text, const std::string& all_of, const std::string& and_of = "") {
  std::vector<std::string> found;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    if (absl::StrContains(line, all_of) && absl::StrContains(line, and_of)) found.emplace_back(line);
  }
  return found;
}

std::string InLog(const Trace& trace) { return absl::StrCat("\"trace_id\":\"", TraceId(trace), "\""); }

bool Says(Stack& stack, const std::string& component, const Trace& trace, const std::string& message) {
  return Eventually([&] {
    return !LinesWith(LogOf(stack, component), InLog(trace), absl::StrCat("\"message\":\"", message, "\"")).empty();
  });
}

// Statements that hold `what`, of sessions that bear the trace's id.
size_t Statements(Stack& stack, const std::string& instance, const Trace& trace, const std::string& what) {
  return LinesWith(LogOf(stack, absl::StrCat("postgres-", instance)), absl::StrCat(" ", TraceId(trace), "|"), what)
      .size();
}

v1::TenantChange Create(Stack& stack, const std::string& id, const std::string& traceparent) {
  auto context = Deadline();
  if (!traceparent.empty()) context->AddMetadata("traceparent", traceparent);
  v1::CreateTenantRequest request;
  request.mutable_tenant()->set_id(id);
  v1::TenantChange change;
  const grpc::Status status = stack.tenants().CreateTenant(context.get(), request, &change);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return change;
}

// The trail is written behind the call.
bool IsAudited(Stack& stack, const std::string& tenant, const Trace& trace) {
  return Eventually([&] {
    const std::string events = stack.Run({"audit", "--tenant", tenant, "--action", "tenant-create", "--json"}).out;
    return absl::StrContains(events, TraceId(trace));
  });
}

TEST(Traces, OneIdFindsTheWholePathOfATenant) {
  Stack& stack = WithoutSpares().stack();
  const std::string id = FreshTenantId();
  const Trace trace = NewTrace(true);
  Subscriber created(stack.Env("LEASEHOLD_NATS"), absl::StrCat("tenants.", id, ".created").c_str());
  Subscriber ready(stack.Env("LEASEHOLD_NATS"), absl::StrCat("provisioning.alpha.", id, ".ready").c_str());
  Create(stack, id, ToTraceparent(trace));
  ASSERT_TRUE(stack.AwaitState(id, v1::TENANT_STATE_ACTIVE));

  EXPECT_TRUE(Says(stack, "gateway", trace, "tenant changed"));
  EXPECT_TRUE(Says(stack, "gateway", trace, "event published"));
  EXPECT_EQ(TraceId(created.Next()), TraceId(trace));
  for (const char* message : {"event taken", "step done", "tenant database ready", "status published"}) {
    EXPECT_TRUE(Says(stack, "provisioner-alpha", trace, message)) << message;
  }
  EXPECT_TRUE(Says(stack, "provisioner-beta", trace, "tenant database ready"));
  EXPECT_EQ(TraceId(ready.Next()), TraceId(trace));
  EXPECT_TRUE(Says(stack, "gateway", trace, "report taken"));

  const std::string name = absl::StrCat("tenant_", id, "_alpha");
  EXPECT_GE(Statements(stack, "registry", trace, "INSERT INTO leasehold.tenants"), 1u);
  EXPECT_EQ(Statements(stack, "alpha", trace, "CREATE DATABASE"), 1u);
  EXPECT_EQ(Statements(stack, "alpha", trace, absl::StrCat("RENAME TO \"", name, "\"")), 1u);
  EXPECT_GE(Statements(stack, "alpha", trace, "CREATE TABLE notes"), 1u) << "the migration, as the tenant's owner";
  EXPECT_TRUE(IsAudited(stack, id, trace));
}

TEST(Traces, SessionsAreNamedAfterTheWorkAtHand) {
  Stack& stack = WithoutSpares().stack();
  std::vector<Trace> traces;
  for (int i = 0; i < 6; ++i) {
    const std::string id = FreshTenantId();
    traces.push_back(NewTrace(false));
    Create(stack, id, ToTraceparent(traces.back()));
    ASSERT_TRUE(stack.AwaitState(id, v1::TENANT_STATE_ACTIVE));
    EXPECT_EQ(Statements(stack, "alpha", traces.back(), absl::StrCat("RENAME TO \"tenant_", id, "_alpha\"")), 1u);
  }
  for (const Trace& trace : traces) EXPECT_EQ(Statements(stack, "alpha", trace, "CREATE DATABASE"), 1u);
  // What is done for nobody in particular is not named after the last tenant: nor is who sees to silent processes.
  EXPECT_TRUE(Eventually([&] {
    return stack.OnInstance("alpha",
                            "SELECT count(*) FROM pg_stat_activity WHERE "
                            "application_name LIKE 'leasehold-provisioner/% %'") == "0";
  }));
}

TEST(Traces, WithoutAValidTraceparentTheGatewayBeginsOne) {
  Stack& stack = WithoutSpares().stack();
  std::set<std::string> ids;
  for (const std::string traceparent :
       {"", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7", "'; DROP TABLE x"}) {
    const std::string id = FreshTenantId();
    Subscriber created(stack.Env("LEASEHOLD_NATS"), absl::StrCat("tenants.", id, ".created").c_str());
    Create(stack, id, traceparent);
    const Trace begun = created.Next();
    ASSERT_TRUE(begun) << traceparent;
    EXPECT_NE(TraceId(begun), "4bf92f3577b34da6a3ce929d0e0e4736");
    ids.insert(TraceId(begun));
    EXPECT_TRUE(Says(stack, "gateway", begun, "tenant changed"));
    EXPECT_TRUE(Says(stack, "provisioner-alpha", begun, "tenant database ready"));
    EXPECT_TRUE(IsAudited(stack, id, begun));
  }
  EXPECT_EQ(ids.size(), 3u);
}

TEST(Traces, AnAnnouncementWithoutOneIsOneTraceWhereverItIsRead) {
  Stack& stack = WithoutSpares().stack();
  const std::string id = FreshTenantId();
  Subscriber ready(stack.Env("LEASEHOLD_NATS"), absl::StrCat("provisioning.alpha.", id, ".ready").c_str());
  stack.PublishCreated(id, absl::StrCat("event-", id));
  ASSERT_TRUE(stack.AwaitState(id, v1::TENANT_STATE_ACTIVE));
  const Trace trace = ready.Next();
  ASSERT_TRUE(trace);
  EXPECT_TRUE(Says(stack, "gateway", trace, "tenant changed"));
  EXPECT_TRUE(Says(stack, "provisioner-alpha", trace, "event taken"));
  EXPECT_TRUE(Says(stack, "provisioner-beta", trace, "event taken"));
}

TEST(Traces, TheCommandLineTellsItsOwn) {
  Stack& stack = WithoutSpares().stack();
  const std::string id = FreshTenantId();
  const Stack::Output made = stack.Run({"tenant", "create", id, "--trace"});
  ASSERT_EQ(made.exit_code, 0) << made.err;
  ASSERT_TRUE(absl::StartsWith(made.err, "trace ")) << made.err;
  const Trace trace = ParseTraceparent(absl::StrCat("00-", made.err.substr(6, 32), "-0000000000000001-01"));
  ASSERT_TRUE(trace) << made.err;
  EXPECT_TRUE(Says(stack, "gateway", trace, "tenant changed"));
  EXPECT_TRUE(Says(stack, "provisioner-beta", trace, "tenant database ready"));
}

TEST(Traces, ASpareIsGivenAwayUnderTheTenantsTrace) {
  Traced traced(3);
  Stack& stack = traced.stack();
  ASSERT_TRUE(Eventually([&] {
    return stack.OnInstance("alpha", "SELECT count(*) FROM leasehold.spares WHERE state = 'ready'", "alpha_central") ==
           "3";
  }));
  const std::string id = FreshTenantId();
  const Trace trace = NewTrace(true);
  Create(stack, id, ToTraceparent(trace));
  ASSERT_TRUE(stack.AwaitState(id, v1::TENANT_STATE_ACTIVE));
  EXPECT_GE(Statements(stack, "alpha", trace, "leasehold.take_spare"), 1u);
  EXPECT_EQ(Statements(stack, "alpha", trace, "CREATE DATABASE"), 0u);
  EXPECT_TRUE(Says(stack, "provisioner-alpha", trace, "tenant database ready"));
}

}  // namespace
}  // namespace leasehold::testing
