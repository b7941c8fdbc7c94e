// What PoolService tells of pools that real clients use, on a real PostgreSQL.
#include "services/gateway/api/pool_service.h"

#include <gmock/gmock.h>

#include <functional>
#include <optional>

#include "common/status/grpc.h"
#include "services/gateway/session/testing_stack.h"

namespace leasehold::gateway::testing_stack {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

v1::Config WithServices(const std::vector<std::string>& names) {
  v1::Config config;
  for (const std::string& name : names) config.add_services()->set_name(name);
  return config;
}

// An endpoint with a gRPC server beside it, as in the daemon.
class PoolServiceTest : public EndpointTest {
 protected:
  void SetUp() override {
    EndpointTest::SetUp();
    Serve({"identity"});
  }
  void TearDown() override {
    server_->Shutdown();
    EndpointTest::TearDown();
  }

  // The endpoint anew.
  void BeginWith(const Tuning& tuning) {
    server_->Shutdown();
    Begin(tuning);
    Serve({"identity"});
  }
  void Serve(const std::vector<std::string>& names) {
    stub_.reset();
    server_.reset();
    services_ = std::make_unique<KnownServices>(WithServices(names));
    service_ = std::make_unique<PoolService>(*endpoint_, *services_);
    grpc::ServerBuilder builder;
    builder.RegisterService(service_.get());
    server_ = builder.BuildAndStart();
    stub_ = v1::PoolService::NewStub(server_->InProcessChannel({}));
  }

  absl::StatusOr<v1::ListPoolsResponse> List(const std::string& service = "") {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    v1::ListPoolsRequest request;
    request.set_service(service);
    v1::ListPoolsResponse response;
    const absl::Status status = FromGrpc(stub_->ListPools(&context, request, &response), "the test");
    if (!status.ok()) return status;
    return response;
  }
  v1::Pool Now() {
    const absl::StatusOr<v1::ListPoolsResponse> response = List();
    if (!response.ok() || response->pools_size() != 1) {
      ADD_FAILURE() << response.status();
      return {};
    }
    const v1::Pool& pool = response->pools(0);
    // What holds at any moment.
    EXPECT_LE(pool.servers(), pool.max_connections());
    int servers = pool.closing(), clients = 0, waiting = 0, idle = 0, dialling = 0;
    EXPECT_EQ(InBuckets(pool.queries()), pool.queries().count());
    for (const v1::PoolTenant& tenant : pool.tenants()) {
      EXPECT_LE(tenant.idle() + tenant.dialling(), tenant.servers());
      EXPECT_EQ(InBuckets(tenant.queries()), tenant.queries().count());
      servers += tenant.servers();
      clients += tenant.clients();
      waiting += tenant.waiting();
      idle += tenant.idle();
      dialling += tenant.dialling();
    }
    EXPECT_EQ(servers, pool.servers());
    EXPECT_EQ(clients, pool.clients());
    EXPECT_EQ(waiting, pool.waiting());
    EXPECT_EQ(idle, pool.idle());
    EXPECT_EQ(dialling, pool.dialling());
    return pool;
  }
  // As soon as `condition` holds of it, or as it is after ten seconds.
  v1::Pool Await(const std::function<bool(const v1::Pool&)>& condition) {
    const absl::Time end = absl::Now() + absl::Seconds(10);
    v1::Pool pool = Now();
    while (!condition(pool) && absl::Now() < end) {
      absl::SleepFor(absl::Milliseconds(2));
      pool = Now();
    }
    return pool;
  }
  static std::optional<v1::PoolTenant> Of(const v1::Pool& pool, const std::string& id) {
    for (const v1::PoolTenant& tenant : pool.tenants()) {
      if (tenant.tenant() == id) return tenant;
    }
    return std::nullopt;
  }
  static int64_t InBuckets(const v1::DurationHistogram& histogram) {
    int64_t count = 0;
    for (const auto& bucket : histogram.buckets()) count += bucket.count();
    return count;
  }
  static int ClientsAt(const v1::Pool& pool, const std::string& id) {
    const std::optional<v1::PoolTenant> tenant = Of(pool, id);
    return tenant ? tenant->clients() : 0;
  }

  std::unique_ptr<KnownServices> services_;
  std::unique_ptr<PoolService> service_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<v1::PoolService::Stub> stub_;
};

TEST_F(PoolServiceTest, APoolThatNobodyUsesIsListed) {
  const v1::Pool pool = Now();
  EXPECT_EQ(pool.service(), "identity");
  EXPECT_EQ(pool.max_connections(), 20);
  EXPECT_EQ(pool.clients(), 0);
  EXPECT_EQ(pool.servers(), 0);
  EXPECT_EQ(pool.dials(), 0);
  EXPECT_FALSE(pool.has_hit_rate()) << "nothing was hit or missed";
  EXPECT_EQ(pool.tenants_size(), 0);
}

TEST_F(PoolServiceTest, AServerIsAtWorkInATransactionAndIdleBehindIt) {
  Client client = Connect();
  ASSERT_EQ(client.One("begin"), "BEGIN");
  v1::Pool pool = Now();
  EXPECT_EQ(pool.clients(), 1);
  EXPECT_EQ(pool.servers(), 1);
  EXPECT_EQ(pool.idle(), 0);
  EXPECT_EQ(pool.dials(), 1);
  ASSERT_EQ(client.One("commit"), "COMMIT");
  pool = Await([](const v1::Pool& now) { return now.idle() == 1; });
  EXPECT_EQ(pool.idle(), 1);
  EXPECT_EQ(pool.servers(), 1);
  ASSERT_EQ(pool.tenants_size(), 1);
  EXPECT_EQ(pool.tenants(0).tenant(), "acme");
  EXPECT_EQ(pool.tenants(0).max_connections(), 20) << "no limit of its own: the cap";

  const int64_t hits = pool.hits(), waits = pool.waits();
  ASSERT_EQ(client.One("select 1"), "1");
  pool = Now();
  EXPECT_EQ(pool.hits(), hits + 1);
  EXPECT_EQ(pool.waits(), waits);
  EXPECT_DOUBLE_EQ(pool.hit_rate(), static_cast<double>(hits + 1) / static_cast<double>(hits + 1 + waits));
}

TEST_F(PoolServiceTest, AClientIsCountedWhereItIs) {
  std::optional<Client> client = Connect();
  ASSERT_TRUE(client->ok()) << client->error();
  EXPECT_EQ(ClientsAt(Now(), "acme"), 1);
  ASSERT_EQ(client->One("set leasehold.tenant = 'globex'"), "SET");
  v1::Pool pool = Now();
  EXPECT_EQ(ClientsAt(pool, "acme"), 0);
  EXPECT_EQ(ClientsAt(pool, "globex"), 1);
  ASSERT_TRUE(Of(pool, "globex").has_value());
  EXPECT_EQ(Of(pool, "globex")->servers(), 0) << "it only passes through";
  // Home again, which DISCARD ALL implies, before any statement there.
  ASSERT_EQ(client->One("discard all"), "DISCARD ALL");
  pool = Now();
  EXPECT_EQ(ClientsAt(pool, "acme"), 1);
  EXPECT_FALSE(Of(pool, "globex").has_value());
  client.reset();
  EXPECT_EQ(Await([](const v1::Pool& now) { return now.clients() == 0; }).clients(), 0);
}

TEST_F(PoolServiceTest, TheCentralDatabaseHasNoTenant) {
  const std::string password = authority_.Lease("lh1.central", {.home = "", .switch_to = {"*"}});
  Client client(Dsn("lh1.central", password));
  ASSERT_EQ(client.One("select current_database()"), "identity_central");
  const v1::Pool pool = Now();
  ASSERT_EQ(pool.tenants_size(), 1);
  EXPECT_EQ(pool.tenants(0).tenant(), "");
  EXPECT_EQ(pool.tenants(0).clients(), 1);
  EXPECT_EQ(pool.tenants(0).servers(), 1);
}

TEST_F(PoolServiceTest, WhoWaitsIsSeenWaiting) {
  BeginWith({.max_connections = 3, .tenant_max_connections = 1});
  Client holder = Connect();
  Client late = Connect();
  ASSERT_EQ(holder.One("begin"), "BEGIN");
  std::jthread waits([&] { EXPECT_EQ(late.One("select 1"), "1"); });
  const v1::Pool pool = Await([](const v1::Pool& now) { return now.waiting() == 1; });
  EXPECT_EQ(pool.waiting(), 1);
  EXPECT_EQ(pool.clients(), 2);
  ASSERT_EQ(pool.tenants_size(), 1);
  EXPECT_EQ(pool.tenants(0).waiting(), 1);
  EXPECT_EQ(pool.tenants(0).servers(), 1);
  EXPECT_EQ(pool.tenants(0).max_connections(), 1);
  ASSERT_EQ(holder.One("commit"), "COMMIT");
  waits.join();
  EXPECT_EQ(Now().waiting(), 0);
}

TEST_F(PoolServiceTest, AnEvictionIsCounted) {
  BeginWith({.max_connections = 1});
  Client client = Connect();
  ASSERT_EQ(client.One("select current_database()"), "tenant_acme_identity");
  const v1::Pool before = Now();
  EXPECT_EQ(before.evictions(), 0);
  ASSERT_EQ(client.One("set leasehold.tenant = 'globex'"), "SET");
  ASSERT_EQ(client.One("select current_database()"), "tenant_globex_identity");
  const v1::Pool after = Now();
  EXPECT_EQ(after.evictions(), 1);
  EXPECT_EQ(after.dials(), before.dials() + 1);
  EXPECT_EQ(after.waits(), before.waits() + 1);
  EXPECT_FALSE(Of(after, "acme").has_value());
}

TEST_F(PoolServiceTest, WhatATenantHadIsCountedAsItsOwn) {
  BeginWith({.max_connections = 1});
  Client client = Connect();
  ASSERT_EQ(client.One("select 1"), "1");
  ASSERT_EQ(client.One("select length(repeat('x', 100000))"), "100000");
  const v1::Pool before = Now();
  const v1::PoolTenant acme = Of(before, "acme").value_or(v1::PoolTenant());
  EXPECT_EQ(acme.queries().count(), 2);
  EXPECT_EQ(acme.hits() + acme.waits(), before.hits() + before.waits());
  EXPECT_EQ(acme.evictions(), 0);

  ASSERT_EQ(client.One("set leasehold.tenant = 'globex'"), "SET");
  ASSERT_EQ(client.One("select repeat('x', 100000)").size(), 100'000U);
  ASSERT_EQ(client.One("select length('" + std::string(50'000, 'y') + "')"), "50000");
  const v1::Pool after = Now();
  const v1::PoolTenant globex = Of(after, "globex").value_or(v1::PoolTenant());
  EXPECT_EQ(globex.queries().count(), 2);
  EXPECT_GT(globex.bytes_out(), 100'000);
  EXPECT_LT(globex.bytes_out(), 101'000);
  EXPECT_GT(globex.bytes_in(), 50'000);
  EXPECT_LT(globex.bytes_in(), 51'000);
  EXPECT_EQ(globex.waits(), 1) << "for acme's server to go";
  EXPECT_EQ(globex.hits(), 1);
  EXPECT_DOUBLE_EQ(globex.hit_rate(), 0.5);
  // Acme has left, and what it had is in the sums.
  EXPECT_FALSE(Of(after, "acme").has_value());
  EXPECT_EQ(after.queries().count(), 4);
  EXPECT_EQ(after.evictions(), 1);
  EXPECT_GT(after.bytes_out(), globex.bytes_out());
  EXPECT_LT(after.bytes_out(), globex.bytes_out() + 5'000);
}

TEST_F(PoolServiceTest, AQueryTakesAsLongAsItsClientWaits) {
  const auto total = [this] {
    const google::protobuf::Duration all = Now().queries().total();
    return absl::Seconds(all.seconds()) + absl::Nanoseconds(all.nanos());
  };
  Client client = Connect();
  ASSERT_EQ(client.One("begin"), "BEGIN");
  const absl::Time start = absl::Now();
  ASSERT_EQ(client.One("select pg_sleep(0.2)"), "");
  const absl::Duration took = absl::Now() - start;
  EXPECT_GE(total(), absl::Milliseconds(200));
  EXPECT_LE(total(), took + absl::Milliseconds(100));
  // Between statements of a transaction time is the client's own.
  const absl::Duration before = total();
  Client other = Connect();
  const absl::Time pause = absl::Now();
  ASSERT_EQ(other.One("select pg_sleep(0.3)"), "");
  const absl::Duration paused = absl::Now() - pause;
  ASSERT_EQ(client.One("commit"), "COMMIT");
  EXPECT_EQ(Now().queries().count(), 4);
  EXPECT_LT(total() - before, (absl::Now() - pause) + paused / 2) << "the pause counts once, as the other's";
  // A pipeline's batches are one each, and none is counted twice.
  ASSERT_EQ(PQenterPipelineMode(client.get()), 1);
  for (int i = 0; i < 5; ++i) {
    ASSERT_EQ(PQsendQueryParams(client.get(), "select 1", 0, nullptr, nullptr, nullptr, nullptr, 0), 1);
    ASSERT_EQ(PQpipelineSync(client.get()), 1);
  }
  for (int synced = 0; synced < 5;) {
    const Client::Result result(PQgetResult(client.get()), PQclear);
    if (result && PQresultStatus(result.get()) == PGRES_PIPELINE_SYNC) ++synced;
  }
  EXPECT_EQ(Now().queries().count(), 9);
}

TEST_F(PoolServiceTest, PoolsOfSeveralLoopsInTheOrderOfServices) {
  server_->Shutdown();
  endpoint_.reset();
  const std::vector<std::string> names = {"payroll", "core", "identity"};
  SqlEndpoint::Options options;
  options.listen = {.host = "127.0.0.1", .port = 0};
  options.loops = 3;
  for (const std::string& name : names) {
    options.instances.push_back(
        {.service = *ServiceName::Parse(name),
         .address = {.host = "127.0.0.1", .port = instance_->server().port(), .tls = *ParseTlsMode("prefer")},
         .role_keys = *RoleKey::Parse(Instance::kKey)});
  }
  metrics_ = std::make_unique<Metrics>();
  endpoint_ = std::make_unique<SqlEndpoint>(std::move(options), authority_, *metrics_, clock_);
  const absl::Status started = endpoint_->Start();
  ASSERT_TRUE(started.ok()) << started;
  Serve(names);

  const auto all = List();
  ASSERT_TRUE(all.ok()) << all.status();
  ASSERT_EQ(all->pools_size(), 3);
  EXPECT_EQ(all->pools(0).service(), "core");
  EXPECT_EQ(all->pools(1).service(), "identity");
  EXPECT_EQ(all->pools(2).service(), "payroll");

  const auto one = List("core-service");
  ASSERT_TRUE(one.ok()) << one.status();
  ASSERT_EQ(one->pools_size(), 1);
  EXPECT_EQ(one->pools(0).service(), "core");

  const absl::Status unknown = List("nobody").status();
  EXPECT_EQ(unknown.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ReasonOf(unknown), v1::REASON_SERVICE_NOT_FOUND);
  EXPECT_THAT(std::string(unknown.message()),
              AllOf(HasSubstr("nobody"), HasSubstr("core"), HasSubstr("identity"), HasSubstr("payroll")));
}

TEST_F(PoolServiceTest, ANameThatIsNone) {
  for (const char* name : {"No_Service", "-", "identity; DROP", "a-name-that-is-far-too-long-for-one"}) {
    const absl::Status refused = List(name).status();
    EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument) << name;
    ASSERT_TRUE(DetailOf(refused).has_value()) << name;
    EXPECT_EQ(DetailOf(refused)->field(), "service") << name;
  }
}

TEST_F(PoolServiceTest, ManyAskAtOnceWhileClientsComeAndGo) {
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 10; ++i) {
        Client client = Connect();
        EXPECT_EQ(client.One(t % 2 == 0 ? "set leasehold.tenant = 'initech'" : "select 1"), t % 2 == 0 ? "SET" : "1");
      }
    });
    threads.emplace_back([&] {
      for (int i = 0; i < 100; ++i) Now();
    });
  }
  threads.clear();
  EXPECT_EQ(Await([](const v1::Pool& now) { return now.clients() == 0; }).clients(), 0);
}

}  // namespace
}  // namespace leasehold::gateway::testing_stack
