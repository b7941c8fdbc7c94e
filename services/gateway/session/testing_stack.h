// For tests: a PostgreSQL with the databases of a few tenants, leases that a test makes and ends at will, a SQL
// endpoint in front, and libpq as the client.
#pragma once

#include <gtest/gtest.h>
#include <postgresql/libpq-fe.h>

#include <cstring>
#include <format>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "common/localserver/localserver.h"
#include "common/scram/scram.h"
#include "common/status/error.h"
#include "common/status/view.h"
#include "services/gateway/session/endpoint.h"

namespace leasehold::gateway::testing_stack {

inline ServiceName Identity() { return *ServiceName::Parse("identity"); }
inline TenantId Tenant(std::string_view id) { return *TenantId::Parse(id); }

// Leases by user name. Knows the tenants acme, globex and initech, one that is not ready (slow), one that is suspended
// (frozen) and one whose database has gone astray (ghost).
class FakeAuthority : public LeaseAuthority {
 public:
  struct Terms {
    std::string home;  // empty: the connection "central"
    std::string start = "";
    std::vector<std::string> switch_to = {};
    bool read_only = false;
  };
  // Returns the password.
  std::string Lease(const std::string& user, const Terms& terms) {
    const uint8_t random[10] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
    Grant grant{.id = LeaseId::Make(1'800'000'000'000, random),
                .service = Identity(),
                .home_tenant = terms.home.empty() ? std::nullopt : std::optional(Tenant(terms.home)),
                .connection = terms.home.empty() ? "central" : "",
                .start_tenant = terms.start.empty() ? std::nullopt : std::optional(Tenant(terms.start)),
                .read_only = terms.read_only,
                .session = false,
                .switch_to = terms.switch_to,
                .home_database_id = "",
                .holder = "test",
                .principal = "dns:payroll",
                .password = Secret("password-of-" + user),
                .claims = {}};
    std::lock_guard lock(mu_);
    grants_[user] = std::make_shared<const Grant>(std::move(grant));
    return "password-of-" + user;
  }

  void Refuse(const std::string& user, absl::Status why) {
    std::lock_guard lock(mu_);
    refused_[user] = std::move(why);
  }

  // Ends what is attached, from a thread that is no loop's, as the real one does.
  void EndAll(const absl::Status& why) {
    std::lock_guard lock(mu_);
    for (const auto& [key, watch] : watches_) watch->on_end(why);
  }
  std::set<std::string> Whereabouts() {
    std::lock_guard lock(mu_);
    std::set<std::string> at;
    for (const auto& [key, watch] : watches_) at.insert(watch->tenant ? watch->tenant->str() : "");
    return at;
  }

  absl::StatusOr<GrantPtr> Authenticate(std::string_view user_name) override {
    std::lock_guard lock(mu_);
    if (const auto refused = refused_.find(std::string(user_name)); refused != refused_.end()) return refused->second;
    const auto found = grants_.find(std::string(user_name));
    if (found == grants_.end()) return Error(v1::REASON_BAD_CREDENTIALS, "not a lease");
    return found->second;
  }

  void Resolve(const GrantPtr& grant, const std::optional<TenantId>& tenant, RouteCallback done) override {
    absl::StatusOr<Route> route = Find(*grant, tenant);
    // Half of the answers come late and from another thread, as from the registry.
    if (tenant && tenant->str() == "globex") {
      std::jthread([done = std::move(done), route = std::move(route)]() mutable { done(std::move(route)); }).detach();
    } else {
      done(std::move(route));
    }
  }

  std::unique_ptr<Attachment> Attach(const GrantPtr&, const std::optional<TenantId>& tenant,
                                     std::function<void(absl::Status)> on_end) override {
    auto watch = std::make_unique<Watch>(*this);
    watch->tenant = tenant;
    watch->on_end = std::move(on_end);
    std::lock_guard lock(mu_);
    watches_[watch.get()] = watch.get();
    return watch;
  }

  absl::Time ExpiryOf(const GrantPtr&) override { return absl::FromUnixSeconds(1'800'000'900); }

 private:
  struct Watch : Attachment {
    explicit Watch(FakeAuthority& o) : owner(o) {}
    ~Watch() override {
      std::lock_guard lock(owner.mu_);
      owner.watches_.erase(this);
    }
    void MovedTo(const std::optional<TenantId>& to) override {
      std::lock_guard lock(owner.mu_);
      tenant = to;
    }
    FakeAuthority& owner;
    std::optional<TenantId> tenant;
    std::function<void(absl::Status)> on_end;
  };

  static absl::StatusOr<Route> Find(const Grant& grant, const std::optional<TenantId>& tenant) {
    if (!tenant) {
      if (grant.home_tenant) return Error(v1::REASON_SWITCH_NOT_ALLOWED, "the lease has no named connection");
      return Route{.service = grant.service,
                   .tenant = {},
                   .database = "identity_central",
                   .role = CentralRole(grant.service),
                   .database_id = "central",
                   .read_only = grant.read_only};
    }
    bool allowed = tenant == grant.home_tenant;
    for (const std::string& glob : grant.switch_to) allowed |= GlobMatches(glob, tenant->str());
    if (!allowed) return Error(v1::REASON_SWITCH_NOT_ALLOWED, "the lease may not use this tenant");
    const std::string& id = tenant->str();
    if (id == "slow") return Error(v1::REASON_TENANT_NOT_READY, "tenant slow is not ready");
    if (id == "frozen") return Error(v1::REASON_TENANT_SUSPENDED, "tenant frozen is suspended");
    if (id != "acme" && id != "globex" && id != "initech" && id != "ghost") {
      return Error(v1::REASON_TENANT_NOT_FOUND, "there is no such tenant");
    }
    return Route{.service = grant.service,
                 .tenant = tenant,
                 .database = TenantDatabaseName(*tenant, grant.service),
                 .role = grant.read_only ? TenantReadOnlyRole(*tenant, grant.service)
                                         : TenantDatabaseName(*tenant, grant.service),
                 .database_id = "id-of-" + id,
                 .read_only = grant.read_only};
  }

  std::mutex mu_;
  std::map<std::string, GrantPtr> grants_;
  std::map<std::string, absl::Status> refused_;
  std::map<const Watch*, Watch*> watches_;
};

// A libpq connection.
class Client {
 public:
  explicit Client(const std::string& dsn) : connection_(PQconnectdb(dsn.c_str()), PQfinish) {
    PQsetNoticeReceiver(
        get(),
        [](void* notices, const PGresult* notice) {
          *static_cast<std::string*>(notices) += PQresultErrorMessage(notice);
        },
        notices_.get());
  }

  bool ok() const { return PQstatus(get()) == CONNECTION_OK; }
  PGconn* get() const { return connection_.get(); }
  // libpq takes a FATAL that arrives right behind ReadyForQuery for a notice.
  std::string error() const { return *notices_ + PQerrorMessage(get()); }

  using Result = std::unique_ptr<PGresult, decltype(&PQclear)>;
  Result Exec(const std::string& sql) { return Result(PQexec(get(), sql.c_str()), PQclear); }
  Result ExecParams(const std::string& sql, const std::vector<const char*>& values, int format = 0) {
    std::vector<int> lengths;
    std::vector<int> formats;
    for (const char* value : values) {
      lengths.push_back(value == nullptr ? 0 : static_cast<int>(strlen(value)));
      formats.push_back(format);
    }
    return Result(PQexecParams(get(), sql.c_str(), static_cast<int>(values.size()), nullptr, values.data(),
                               lengths.data(), formats.data(), format),
                  PQclear);
  }

  // The first value, the command tag if there are no rows, or "!" and the SQLSTATE.
  std::string One(const std::string& sql) { return Show(Exec(sql)); }
  std::string OneBound(const std::string& sql, const std::vector<const char*>& values, int format = 0) {
    return Show(ExecParams(sql, values, format));
  }
  static std::string Show(const Result& result) {
    switch (PQresultStatus(result.get())) {
      case PGRES_TUPLES_OK:
        return PQntuples(result.get()) == 0 ? "" : PQgetvalue(result.get(), 0, 0);
      case PGRES_COMMAND_OK:
        return PQcmdStatus(result.get());
      default: {
        const char* state = PQresultErrorField(result.get(), PG_DIAG_SQLSTATE);
        return std::string("!") + (state == nullptr ? "lost" : state);
      }
    }
  }

 private:
  std::unique_ptr<std::string> notices_ = std::make_unique<std::string>();
  std::unique_ptr<PGconn, decltype(&PQfinish)> connection_;
};

// The PostgreSQL server, once for all tests of a program.
class Instance {
 public:
  static constexpr char kKey[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

  // `certificate` and `key`: for TLS, which it offers with them only.
  explicit Instance(const std::string& certificate = "", const std::string& key = "") {
    auto started = localserver::PostgresServer::Start({.data_dir = folder_.path() + "/pg",
                                                       .port = 0,
                                                       .superuser_password = Secret("super"),
                                                       .settings = {"max_connections=40"},
                                                       .durable = false,
                                                       .tls = !certificate.empty(),
                                                       .certificate_file = certificate,
                                                       .key_file = key});
    if (!started.ok()) throw std::runtime_error(std::string(started.status().message()));
    server_ = *std::move(started);
    Client admin(server_->SuperuserDsn());
    Make(admin, "identity_central", "central", "");
    for (const std::string tenant : {"acme", "globex", "initech", "ghost"}) {
      const std::string name = std::format("tenant_{}_identity", tenant);
      Make(admin, name, "id-of-" + tenant, name + "_ro");
    }
  }

  localserver::PostgresServer& server() { return *server_; }
  Client Admin(std::string_view database = "postgres") { return Client(server_->SuperuserDsn(database)); }
  // Backends of other sessions than the asker's, in all databases of Leasehold's.
  int Backends() {
    Client admin = Admin();
    return std::stoi(admin.One(
        "select count(*) from pg_stat_activity where datname like '%identity%' and backend_type = 'client backend'"));
  }
  bool BackendsReach(int count, absl::Duration patience) {
    Client admin = Admin();
    const absl::Time end = absl::Now() + patience;
    while (absl::Now() < end) {
      if (Backends() == count) return true;
      absl::SleepFor(absl::Milliseconds(5));
    }
    return Backends() == count;
  }

 private:
  static void Make(Client& admin, const std::string& name, const std::string& id, const std::string& read_only) {
    const RoleKey key = *RoleKey::Parse(kKey);
    const auto role = [&](const std::string& role_name, RoleKind kind) {
      const Secret password = key.PasswordOf(id, kind);
      admin.One(std::format("create role \"{}\" login password '{}'", role_name,
                            scram::PostgresSecret(scram::MakeVerifier(password.reveal(), "0123456789abcdef", 1))));
    };
    role(name, RoleKind::kOwner);
    if (id == "id-of-ghost") return;  // a role without a database
    admin.One(std::format("create database \"{0}\" owner \"{0}\"", name));
    admin.One(std::format("revoke connect on database \"{}\" from public", name));
    if (read_only.empty()) return;
    role(read_only, RoleKind::kReadOnly);
    admin.One(std::format("grant connect on database \"{}\" to \"{}\"", name, read_only));
  }

  localserver::TemporaryDirectory folder_;
  std::unique_ptr<localserver::PostgresServer> server_;
};

// One endpoint over the instance.
class EndpointTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (!instance_) instance_ = std::make_unique<Instance>();
  }
  static void TearDownTestSuite() { instance_.reset(); }

  void SetUp() override {
    Begin({});
    acme_ = authority_.Lease("lh1.acme", {.home = "acme", .switch_to = {"*"}});
  }
  void TearDown() override {
    endpoint_.reset();
    EXPECT_TRUE(instance_->BackendsReach(0, absl::Seconds(5))) << "server connections were left behind";
  }

  struct Tuning {
    int max_connections = 20;
    absl::Duration patience = absl::Seconds(5);
    std::shared_ptr<const tls::LiveCredentials> tls = {};
    bool require_tls = false;
    int max_clients = 100;
    DescriptorBudget descriptors = {};
    absl::Duration login_timeout = absl::Seconds(20);
    std::string tls_to_server = "prefer";
    std::string channel_binding = "prefer";
    std::shared_ptr<const tls::LiveCredentials> believes = {};
    int instance_port = 0;
    std::string instance_host = "127.0.0.1";
    int tenant_max_connections = 0;
    size_t max_prepared_statements = 500;
    size_t metrics_tenants = 100;
    bool tenant_restraint = true;
    AuditRecorder* audit = nullptr;
  };
  void Begin(const Tuning& tuning) {
    endpoint_.reset();
    SqlEndpoint::Options options;
    options.listen = {.host = "127.0.0.1", .port = 0};
    options.loops = 2;
    options.tls = tuning.tls;
    options.require_tls = tuning.require_tls;
    options.max_clients = tuning.max_clients;
    options.descriptors = tuning.descriptors;
    options.login_timeout = tuning.login_timeout;
    options.metrics_tenants = tuning.metrics_tenants;
    options.audit = tuning.audit;
    options.instances.push_back(
        {.service = Identity(),
         .address = {.host = tuning.instance_host,
                     .port = tuning.instance_port != 0 ? tuning.instance_port : instance_->server().port(),
                     .tls = *ParseTlsMode(tuning.tls_to_server),
                     .binding = *ParseChannelBinding(tuning.channel_binding),
                     .believes = tuning.believes},
         .role_keys = *RoleKey::Parse(Instance::kKey),
         .max_connections = tuning.max_connections,
         .tenant_max_connections = tuning.tenant_max_connections,
         .connection_timeout = tuning.patience,
         .max_prepared_statements = tuning.max_prepared_statements,
         .tenant_restraint = tuning.tenant_restraint});
    metrics_ = std::make_unique<Metrics>();
    endpoint_ = std::make_unique<SqlEndpoint>(std::move(options), authority_, *metrics_, clock_);
    const absl::Status started = endpoint_->Start();
    ASSERT_TRUE(started.ok()) << started;
  }

  std::string Dsn(const std::string& user, const std::string& password, const std::string& more = "") {
    return std::format("host=127.0.0.1 port={} user={} password={} dbname={} connect_timeout=20 {}", endpoint_->port(),
                       user, password, more.find("dbname=") == std::string::npos ? user : "x", more);
  }
  Client Connect(const std::string& more = "") { return Client(Dsn("lh1.acme", acme_, more)); }

  static inline std::unique_ptr<Instance> instance_;
  SystemClock clock_;
  FakeAuthority authority_;
  std::unique_ptr<Metrics> metrics_;
  std::unique_ptr<SqlEndpoint> endpoint_;
  std::string acme_;
};

}  // namespace leasehold::gateway::testing_stack
