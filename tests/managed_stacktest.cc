// A PostgreSQL as managed services give it out: nobody but the vendor is a superuser, TLS is forced, roles that are
// made are granted to their makers, some names are the vendor's. A registry and two services on one such server, by
// daemons as they are everywhere.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <format>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include <pqxx/pqxx>

#include "absl/log/absl_check.h"
#include "common/localserver/localserver.h"
#include "common/tls/testing_certificates.h"
#include "tests/stack/command.h"
#include "tests/stack/outputs.h"

namespace leasehold::testing {
namespace {

using ::testing::HasSubstr;

constexpr absl::Duration kPatience = absl::Seconds(90);

// What its users cannot change.
class Vendor {
 public:
  Vendor() : certificate_(certificates_.Make("server")) {
    auto server =
        localserver::PostgresServer::Start({.data_dir = folder_.path() + "/data",
                                            .superuser_password = Secret("the vendor's own"),
                                            .settings = {"createrole_self_grant=set, inherit", "max_connections=100"},
                                            .tls = true,
                                            .certificate_file = certificate_.certificate,
                                            .key_file = certificate_.key});
    ABSL_CHECK(server.ok()) << server.status();
    server_ = *std::move(server);
    std::ofstream(folder_.path() + "/data/pg_hba.conf") << "hostnossl all all all reject\n"
                                                           "hostssl all all all scram-sha-256\n";
    for (const char* sql : {"SELECT pg_reload_conf()", "CREATE ROLE vendor_superuser NOLOGIN",
                            "GRANT pg_monitor, pg_signal_backend TO vendor_superuser WITH ADMIN OPTION",
                            "CREATE ROLE admin LOGIN CREATEDB CREATEROLE IN ROLE vendor_superuser PASSWORD 'admin'",
                            "CREATE DATABASE vendoradmin", "REVOKE ALL ON DATABASE vendoradmin FROM PUBLIC",
                            "ALTER DATABASE postgres OWNER TO admin"}) {
      Ask(sql);
    }
  }

  // One value, by the vendor's superuser.
  std::string Ask(const std::string& sql, const std::string& database = "postgres") const {
    return AskBy(server_->SuperuserDsn(database), sql);
  }
  // `parameters`: more of libpq's, TLS among them.
  std::string Dsn(const std::string& user, const std::string& password, const std::string& database,
                  const std::string& parameters = "") const {
    return std::format("host=127.0.0.1 port={} dbname={} user={} password={} {}", server_->port(), database, user,
                       password, parameters.empty() ? Verified() : parameters);
  }
  std::string Verified() const {
    return std::format("sslmode=verify-full sslrootcert={} channel_binding=require", certificates_.ca());
  }
  static std::string AskBy(const std::string& dsn, const std::string& sql) {
    pqxx::connection connection(dsn);
    pqxx::nontransaction work(connection);
    const pqxx::result rows = work.exec(sql);
    return rows.empty() || rows.columns() == 0 || rows[0][0].is_null() ? "" : rows[0][0].as<std::string>();
  }
  int port() const { return server_->port(); }
  const std::string& ca() const { return certificates_.ca(); }

 private:
  localserver::TemporaryDirectory folder_;
  tls::TestCertificates certificates_;
  const tls::IdentityFiles certificate_;
  std::unique_ptr<localserver::PostgresServer> server_;
};

// What docs/security.md has the administrator do, and the daemons.
class Installation {
 public:
  explicit Installation(const Vendor& vendor) : vendor_(vendor) {
    for (const char* sql :
         {"CREATE ROLE leasehold_identity LOGIN CREATEDB CREATEROLE PASSWORD 'identity'",
          "CREATE ROLE leasehold_core LOGIN CREATEDB CREATEROLE PASSWORD 'core'",
          "CREATE ROLE leasehold LOGIN PASSWORD 'registry'",
          "GRANT leasehold, leasehold_identity TO CURRENT_USER WITH SET TRUE",
          "CREATE DATABASE leasehold OWNER leasehold", "CREATE DATABASE identity_central OWNER leasehold_identity",
          "REVOKE leasehold, leasehold_identity FROM CURRENT_USER GRANTED BY CURRENT_USER"}) {
      Vendor::AskBy(vendor.Dsn("admin", "admin", "postgres"), sql);
    }
    auto nats = localserver::NatsServer::Start({.data_dir = folder_.path() + "/nats"});
    ABSL_CHECK(nats.ok()) << nats.status();
    nats_ = *std::move(nats);
    Write("signing-keys", "1 " + std::string(64, 'a') + "\n");
    Write("role-key-identity", std::string(64, 'b') + "\n");
    Write("role-key-core", std::string(64, 'c') + "\n");
    Write("identity", "identity\n");
    Write("core", "core\n");
    Write("registry", "registry\n");
    Write("migrations/tenant/0001_note.sql", "CREATE TABLE note (id int PRIMARY KEY, body text);");
    Write("migrations/central/0001_jobs.sql", "CREATE TABLE jobs (id int PRIMARY KEY);");
    Write("leasehold.yaml", Config());
    gateway_ = Start("leasehold-gateway", {});
    for (const char* service : {"identity", "core"}) {
      provisioners_.push_back(Start("leasehold-provisioner", {"--service", service}));
    }
    ABSL_CHECK(Eventually([this] { return IsReady(http_) && IsReady(identity_) && IsReady(core_); }, kPatience))
        << Slurp(folder_.path() + "/log");
  }
  ~Installation() {
    for (auto& process : provisioners_) process->Stop(SIGTERM, absl::Seconds(30));
    gateway_->Stop(SIGTERM, absl::Seconds(30));
  }

  void Write(const std::string& file, const std::string& text) const {
    const std::filesystem::path path = folder_.path() + "/" + file;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
    std::filesystem::permissions(path, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  }
  // `leasehold ARGUMENTS…`, which has to succeed; what it printed.
  std::string Run(const std::vector<std::string>& arguments) const {
    const Stack::Output output = RunLeasehold(folder_.path(), {"LEASEHOLD_GATEWAY=" + grpc_}, arguments);
    std::string said = arguments.front();
    for (size_t i = 1; i < arguments.size(); ++i) said += " " + arguments[i];
    EXPECT_EQ(output.exit_code, 0) << said << ": " << output.out << output.err << Slurp(folder_.path() + "/log");
    return output.out;
  }
  // Through a lease.
  std::string Sql(const std::string& tenant, const std::string& service, const std::string& sql) const {
    std::string dsn = Run({"lease", "acquire", tenant, service, "--dsn"});
    while (!dsn.empty() && dsn.back() == '\n') dsn.pop_back();
    return Vendor::AskBy(dsn, sql);
  }
  double Metric(const std::string& series) const { return ValueOf(MetricsOf(identity_), series); }

 private:
  std::string Config() const {
    std::string text = std::format(R"(
gateway: {{grpc_listen: "{}", sql_listen: "{}", http_listen: "{}"}}
registry:
  dsn: "host=127.0.0.1 port={} dbname=leasehold user=leasehold {}"
  password_file: registry
nats: {{url: "{}"}}
leases: {{signing_keys_file: signing-keys}}
provisioner: {{backup_folder: backups, resync_interval: 2s, min_backoff: 100ms, max_backoff: 1s, min_spares: 2}}
services:
)",
                                   grpc_, sql_, http_, vendor_.port(), vendor_.Verified(), nats_->Url());
    for (const auto& [service, http] : {std::pair("identity", identity_), std::pair("core", core_)}) {
      text += std::format(R"(
  - name: {0}
    migrations: migrations
    http_listen: "{1}"
    instance:
      port: {2}
      username: leasehold_{0}
      password_file: {0}
      role_key_file: role-key-{0}
      sslmode: verify-full
      ca_file: {3}
      channel_binding: require
      max_connections: 10
)",
                          service, http, vendor_.port(), vendor_.ca());
    }
    return text;
  }
  std::unique_ptr<localserver::ChildProcess> Start(const std::string& program, const std::vector<std::string>& more) {
    std::vector<std::string> argv = {std::format("{}/{}", LEASEHOLD_BINARIES, program), "--config",
                                     folder_.path() + "/leasehold.yaml"};
    argv.insert(argv.end(), more.begin(), more.end());
    auto process = localserver::ChildProcess::Start({.argv = std::move(argv),
                                                     .environment = {},
                                                     .log_path = folder_.path() + "/log",
                                                     .working_dir = "",
                                                     .user = ""});
    ABSL_CHECK(process.ok()) << process.status();
    return *std::move(process);
  }
  static std::string FreeAddress() { return std::format("127.0.0.1:{}", localserver::FreePort()); }

  const Vendor& vendor_;
  const std::string grpc_ = FreeAddress(), sql_ = FreeAddress(), http_ = FreeAddress();
  const std::string identity_ = FreeAddress(), core_ = FreeAddress();
  localserver::TemporaryDirectory folder_;
  std::unique_ptr<localserver::NatsServer> nats_;
  std::unique_ptr<localserver::ChildProcess> gateway_;
  std::vector<std::unique_ptr<localserver::ChildProcess>> provisioners_;
};

TEST(Managed, AWholeLifeWithoutASuperuser) {
  const Vendor vendor;
  ASSERT_EQ(vendor.Ask("SELECT count(*) FROM pg_roles WHERE rolsuper"), "1") << "the vendor's";
  EXPECT_THROW(Vendor::AskBy(vendor.Dsn("admin", "admin", "postgres", "sslmode=disable"), "SELECT 1"),
               pqxx::broken_connection)
      << "TLS is forced";
  const Installation installed(vendor);

  // Spares are made, and claimed.
  ASSERT_TRUE(Eventually([&] { return installed.Metric("leasehold_spares{state=\"ready\"}") >= 2; }, kPatience));
  installed.Run({"tenant", "create", "acme", "--wait"});
  installed.Run({"tenant", "create", "globex", "--wait"});
  EXPECT_GE(installed.Metric("leasehold_spare_claims_total{outcome=\"claimed\"}"), 1);
  for (const char* service : {"identity", "core"}) {
    EXPECT_EQ(installed.Sql("acme", service, "SELECT current_database()"), std::format("tenant_acme_{}", service));
  }
  ASSERT_EQ(installed.Sql("acme", "identity", "INSERT INTO note VALUES (1, 'kept') RETURNING body"), "kept");
  EXPECT_EQ(vendor.Ask("SELECT count(*) FROM pg_stat_activity JOIN pg_stat_ssl USING (pid) WHERE NOT ssl"), "0");

  installed.Run({"tenant", "suspend", "acme", "--wait"});
  EXPECT_EQ(vendor.Ask("SELECT rolcanlogin FROM pg_roles WHERE rolname = 'tenant_acme_identity'"), "f");
  installed.Run({"tenant", "resume", "acme", "--wait"});
  EXPECT_EQ(installed.Sql("acme", "identity", "SELECT body FROM note"), "kept");

  installed.Write("migrations/tenant/0002_more.sql", "ALTER TABLE note ADD COLUMN more text NOT NULL DEFAULT 'x';");
  installed.Run({"migrate", "apply", "identity"});
  EXPECT_EQ(installed.Sql("acme", "identity", "SELECT more FROM note"), "x");
  installed.Run({"migrate", "verify", "identity"});

  installed.Run({"tenant", "clone", "acme", "copy", "--wait"});
  EXPECT_EQ(installed.Sql("copy", "identity", "SELECT body FROM note"), "kept");
  const std::string backup = [&] {
    installed.Run({"backup", "create", "acme", "--wait"});
    const std::string list = installed.Run({"backup", "list", "acme"});
    const size_t begin = list.find("acme.");
    return list.substr(begin, list.find_first_of(" \t\n", begin) - begin);
  }();
  ASSERT_EQ(installed.Sql("acme", "identity", "DELETE FROM note RETURNING body"), "kept");
  installed.Run({"backup", "restore", backup, "--in-place", "--wait"});
  EXPECT_EQ(installed.Sql("acme", "identity", "SELECT body FROM note"), "kept");

  // Nothing waits for anybody, and nothing that is granted is more than it should be.
  EXPECT_TRUE(Eventually([&] { return installed.Metric("leasehold_spares{state=\"ready\"}") >= 2; }, kPatience));
  installed.Run({"doctor"});
  EXPECT_EQ(vendor.Ask("SELECT pg_has_role('tenant_acme_identity', 'tenant_copy_identity', 'MEMBER')"), "f");
  EXPECT_EQ(vendor.Ask("SELECT has_database_privilege('tenant_acme_identity', 'tenant_acme_core', 'CONNECT')"), "f");

  for (const char* id : {"acme", "copy", "globex"})
    installed.Run({"tenant", "delete", id, "--retention", "0", "--wait"});
  EXPECT_TRUE(Eventually([&] {
    return vendor.Ask(
               "SELECT (SELECT count(*) FROM pg_database WHERE starts_with(datname, 'tenant_')) + "
               "(SELECT count(*) FROM pg_roles WHERE starts_with(rolname, 'tenant_'))") == "0";
  }));
  EXPECT_EQ(vendor.Ask("SELECT count(*) FROM pg_database WHERE datname = 'vendoradmin'"), "1");
  installed.Run({"audit", "verify"});
}

}  // namespace
}  // namespace leasehold::testing
