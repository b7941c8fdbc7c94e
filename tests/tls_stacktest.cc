// A stack in which everything speaks TLS, and who is left out of it.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <format>
#include <fstream>
#include <iterator>
#include <memory>

#include "absl/strings/str_cat.h"
#include "common/config/config.h"
#include "common/jetstream/options.h"
#include "common/rpc/channel_credentials.h"
#include "common/tls/testing_certificates.h"
#include "tests/stack/stack.h"

namespace leasehold::testing {
namespace {

using ::testing::HasSubstr;
using tls::Role;
using tls::TestCertificates;

Stack& TlsStack() {
  static auto* const stack = [] {
    static Stack instance({}, "", {"--tls"});
    return &instance;
  }();
  return *stack;
}

std::string Certificate(const std::string& file) { return TlsStack().state_dir() + "/certs/" + file; }

// As `sslmode=verify-full` by a CA.
std::string Verified(const std::string& dsn, const std::string& ca) {
  return std::format("{}?sslmode=verify-full&channel_binding=require&sslrootcert={}", dsn, ca);
}

// "OK" or the code of the gateway's refusal.
grpc::StatusCode Ask(const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
  grpc::ChannelArguments own;
  own.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  const auto channel = grpc::CreateCustomChannel(TlsStack().Env("LEASEHOLD_GATEWAY"), credentials, own);
  v1::ListTenantsResponse response;
  return v1::TenantService::NewStub(channel)->ListTenants(Deadline().get(), {}, &response).error_code();
}

std::shared_ptr<grpc::ChannelCredentials> CredentialsOf(const std::string& certificate, const std::string& key,
                                                        const std::string& ca) {
  const auto read = tls::Credentials::Read(
      TestCertificates::OptionsOf(Role::kClient, {.certificate = certificate, .key = key}, ca), absl::Now());
  EXPECT_TRUE(read.ok()) << read.status();
  return rpc::ChannelCredentials(read->get());
}

TEST(Tls, FromTheCallToTheDatabase) {
  Stack& stack = TlsStack();
  const std::string id = stack.CreateTenant(FreshTenantId("tls"));
  const std::string dsn = Verified(stack.Acquire(id, "alpha").credentials().dsn(), Certificate("ca.crt"));
  pqxx::connection session(dsn);
  EXPECT_EQ(*Value(session, "SELECT current_database()"), "tenant_" + id + "_alpha");
  EXPECT_EQ(*Value(session, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"), "t") << "to PostgreSQL";

  // By psql, which has the CA from the command line.
  const Stack::Output psql = stack.Run({"psql", id, "alpha", "--", "-Atc", "SELECT 41 + 1", "-c", "\\conninfo"});
  EXPECT_EQ(psql.exit_code, 0) << psql.err;
  EXPECT_THAT(psql.out, ::testing::StartsWith("42\n"));
  EXPECT_THAT(psql.out, HasSubstr("TLSv1."));
}

TEST(Tls, NoConnectionToAnInstanceIsInClear) {
  Stack& stack = TlsStack();
  const std::string id = stack.CreateTenant(FreshTenantId("tls"));
  pqxx::connection session(Verified(stack.Acquire(id, "alpha").credentials().dsn(), Certificate("ca.crt")));
  ASSERT_TRUE(Value(session, "SELECT 1").ok());
  const std::string of_ours = "FROM pg_stat_activity JOIN pg_stat_ssl USING (pid) WHERE usename <> 'postgres'";
  EXPECT_GE(std::stoi(stack.OnInstance("alpha", "SELECT count(*) " + of_ours + " AND ssl")), 2);
  EXPECT_EQ(stack.OnInstance("alpha", "SELECT count(*) " + of_ours + " AND NOT ssl"), "0");
  EXPECT_GE(std::stoi(stack.OnInstance("registry", "SELECT count(*) " + of_ours + " AND ssl")), 1);
  EXPECT_EQ(stack.OnInstance("registry", "SELECT count(*) " + of_ours + " AND NOT ssl"), "0");
}

TEST(Tls, ProvisionersReachTheGateway) {
  const Stack& stack = TlsStack();
  const auto config = LoadConfig(stack.state_dir() + "/config.yaml", [](const char*) { return std::nullopt; });
  ASSERT_TRUE(config.ok()) << config.status();
  for (const v1::ServiceConfig& service : config->services()) {
    const auto address = ParseHostPort("", service.http_listen());
    ASSERT_TRUE(address.ok());
    EXPECT_TRUE(Eventually([&] {
      const httplib::Result health = httplib::Client(address->host, address->port).Get("/healthz");
      return health && health->body.contains("\"gateway\":{\"status\":\"ok\"");
    })) << service.name();
  }
}

TEST(Tls, WhoShowsNoCertificateIsNotHeard) {
  const TestCertificates strange("strange CA");
  TestCertificates others("other CA");
  const auto stranger = others.Make("client");
  const std::string ca = Certificate("ca.crt");
  EXPECT_EQ(Ask(CredentialsOf(Certificate("client.crt"), Certificate("client.key"), ca)), grpc::StatusCode::OK);
  EXPECT_EQ(Ask(grpc::InsecureChannelCredentials()), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(Ask(CredentialsOf("", "", ca)), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(Ask(CredentialsOf(stranger.certificate, stranger.key, ca)), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(Ask(CredentialsOf(Certificate("client.crt"), Certificate("client.key"), strange.ca())),
            grpc::StatusCode::UNAVAILABLE);
  // NATS believes nobody else either.
  auto believed = tls::LiveCredentials::Open({.role = tls::Role::kClient, .ca = {"ca", ca}}, absl::Now());
  ASSERT_TRUE(believed.ok()) << believed.status();
  const auto nats = jetstream::Connect({.url = TlsStack().Env("LEASEHOLD_NATS"), .name = "x"},
                                       {.certificates = *std::move(believed)});
  ASSERT_TRUE(nats.ok()) << nats.status();
  EXPECT_FALSE((*nats)->EnsureStream({.name = "X", .subjects = {"x.>"}}).ok());
}

TEST(Tls, TheCommandLineSaysWhatIsMissing) {
  Stack& stack = TlsStack();
  const TestCertificates strange("strange CA");
  const auto run = [&stack](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"tenant", "list"});
    const Stack::Output output = stack.Run(arguments);
    EXPECT_NE(output.exit_code, 0);
    return output.err;
  };
  EXPECT_EQ(stack.Run({"tenant", "list"}).exit_code, 0);
  EXPECT_THAT(run({"--ca", ""}), HasSubstr("--cert needs --ca"));
  EXPECT_THAT(run({"--ca", "", "--cert", "", "--key", ""}), HasSubstr("speaks TLS; give the CA"));
  EXPECT_THAT(run({"--cert", "", "--key", ""}), HasSubstr("give a client certificate"));
  EXPECT_THAT(run({"--ca", strange.ca()}), HasSubstr("shows a certificate that is not believed"));
  EXPECT_THAT(run({"--key", ""}), HasSubstr("give both of --cert and --key"));
  EXPECT_THAT(run({"--ca", "/nowhere"}), HasSubstr("--ca is '/nowhere'"));
}

// Certificate and key of a new CA, put in place of the gateway's; and back at the end.
class Rotation {
 public:
  Rotation() : next_("next CA"), old_certificate_(Slurp("gateway.crt")), old_key_(Slurp("gateway.key")) {
    const auto made = next_.Make("gateway");
    Replace("gateway.crt", Slurp(made.certificate));
    Replace("gateway.key", Slurp(made.key));
  }
  ~Rotation() {
    Replace("gateway.crt", old_certificate_);
    Replace("gateway.key", old_key_);
  }
  Rotation(const Rotation&) = delete;
  Rotation& operator=(const Rotation&) = delete;
  const std::string& ca() const { return next_.ca(); }

  static void Replace(const std::string& name, const std::string& text) {
    const std::string path = Certificate(name);
    {
      std::ofstream file(path + ".new", std::ios::binary);
      file << text;
    }
    ASSERT_EQ(std::rename((path + ".new").c_str(), path.c_str()), 0);
  }

 private:
  static std::string Slurp(const std::string& name) {
    std::ifstream file(name.starts_with('/') ? name : Certificate(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  TestCertificates next_;
  const std::string old_certificate_;
  const std::string old_key_;
};

bool Connects(const std::string& dsn) {
  try {
    pqxx::connection session(dsn);
    return true;
  } catch (const pqxx::failure&) {
    return false;
  }
}

TEST(Tls, CertificatesAreReplacedUnderOpenSessions) {
  Stack& stack = TlsStack();
  const std::string id = stack.CreateTenant(FreshTenantId("tls"));
  const std::string dsn = stack.Acquire(id, "alpha").credentials().dsn();
  const std::string old_ca = Certificate("ca.crt");
  pqxx::connection session(Verified(dsn, old_ca));
  pqxx::work transaction(session);
  transaction.exec("CREATE TEMPORARY TABLE kept AS SELECT 1 AS one");
  {
    const Rotation rotation;
    EXPECT_TRUE(Eventually([&] { return Connects(Verified(dsn, rotation.ca())); })) << "SQL";
    EXPECT_FALSE(Connects(Verified(dsn, old_ca)));
    const auto by_next = CredentialsOf(Certificate("client.crt"), Certificate("client.key"), rotation.ca());
    EXPECT_TRUE(Eventually([&] { return Ask(by_next) == grpc::StatusCode::OK; })) << "gRPC";
    EXPECT_EQ(transaction.exec("SELECT one FROM kept")[0][0].as<int>(), 1) << "an open session";
    v1::ListTenantsResponse response;
    EXPECT_TRUE(stack.tenants().ListTenants(Deadline().get(), {}, &response).ok()) << "an open connection";
  }
  EXPECT_TRUE(Eventually([&] { return Connects(Verified(dsn, old_ca)); }));
  transaction.commit();
}

TEST(Tls, ABadCertificateChangesNothing) {
  Stack& stack = TlsStack();
  const std::string id = stack.CreateTenant(FreshTenantId("tls"));
  const std::string dsn = Verified(stack.Acquire(id, "alpha").credentials().dsn(), Certificate("ca.crt"));
  const auto log = [&stack] {
    std::ifstream file(stack.state_dir() + "/log/gateway.log");
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  {
    const Rotation back_at_the_end;
    Rotation::Replace("gateway.key", "nonsense");
    EXPECT_TRUE(Eventually([&] { return log().contains("changed certificates cannot be used; the old ones stay"); }));
    EXPECT_TRUE(Connects(dsn));
    EXPECT_EQ(Ask(CredentialsOf(Certificate("client.crt"), Certificate("client.key"), Certificate("ca.crt"))),
              grpc::StatusCode::OK);
  }
  EXPECT_TRUE(Connects(dsn));
}

// A connection to host:port of this machine.
int ConnectTo(const std::string& address) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in to = {};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to), 0) << address;
  return fd;
}

// The protocol that a client gets who knows none newer than `newest`, and takes any cipher; empty: none.
std::string ProtocolOf(const std::string& address, std::string_view alpn, int newest) {
  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
  SSL_CTX_set_min_proto_version(context.get(), 0);
  SSL_CTX_set_max_proto_version(context.get(), newest);
  EXPECT_EQ(SSL_CTX_set_cipher_list(context.get(), "ALL:@SECLEVEL=0"), 1);
  EXPECT_EQ(SSL_CTX_use_certificate_chain_file(context.get(), Certificate("client.crt").c_str()), 1);
  EXPECT_EQ(SSL_CTX_use_PrivateKey_file(context.get(), Certificate("client.key").c_str(), SSL_FILETYPE_PEM), 1);
  const std::unique_ptr<SSL, decltype(&SSL_free)> ssl(SSL_new(context.get()), SSL_free);
  const std::string wire = static_cast<char>(alpn.size()) + std::string(alpn);
  SSL_set_alpn_protos(ssl.get(), reinterpret_cast<const unsigned char*>(wire.data()),
                      static_cast<unsigned int>(wire.size()));
  const int fd = ConnectTo(address);
  SSL_set_fd(ssl.get(), fd);
  const std::string protocol = SSL_connect(ssl.get()) == 1 ? SSL_get_version(ssl.get()) : "";
  close(fd);
  return protocol;
}

TEST(Tls, OldProtocolsAreSpokenAtNoPort) {
  for (const auto& [port, alpn] : {std::pair("LEASEHOLD_GATEWAY", "h2"), std::pair("LEASEHOLD_SQL", "postgresql")}) {
    const std::string& address = TlsStack().Env(port);
    EXPECT_EQ(ProtocolOf(address, alpn, TLS1_3_VERSION), "TLSv1.3") << port;
    EXPECT_EQ(ProtocolOf(address, alpn, TLS1_2_VERSION), "TLSv1.2") << port;
    for (const int old : {TLS1_1_VERSION, TLS1_VERSION}) EXPECT_EQ(ProtocolOf(address, alpn, old), "") << port;
  }
}

// Bytes that are no handshake, or half of one, on gRPC's port: hung up on within its patience.
TEST(Tls, StrangersBytesAreHungUpOn) {
  const std::string& gateway = TlsStack().Env("LEASEHOLD_GATEWAY");
  for (const std::string& bytes : {std::string("\x16\x03\x01\x02\x00\x01", 6), std::string("GET / HTTP/1.1\r\n\r\n"),
                                   std::string("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), std::string(1000, '\xff')}) {
    const int fd = ConnectTo(gateway);
    ASSERT_GT(send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL), 0);
    const timeval patience = {.tv_sec = 40, .tv_usec = 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    std::array<char, 256> answer{};
    ssize_t count = 0;
    while ((count = recv(fd, answer.data(), answer.size(), 0)) > 0) {
    }
    EXPECT_TRUE(count == 0 || errno == ECONNRESET) << "left hanging after " << bytes.size();
    close(fd);
  }
}

// The supervisor, too, asks daemons how they are, with whatever their HTTP speaks.
TEST(Exposure, AStackComesUpWithCertificatesForHttp) {
  TestCertificates certificates;
  const tls::IdentityFiles files = certificates.Make("server");
  const std::string http = std::format("{{http_certificate_file: {}, http_key_file: {}, http_client_ca_file: {}}}",
                                       files.certificate, files.key, certificates.ca());
  const std::string config = certificates.Write(
      "leasehold.yaml", std::format("gateway: {0}\nprovisioner: {0}\nservices: [{{name: alpha}}]\n", http));
  Stack stack({}, config);
  EXPECT_THAT(stack.Log(), HasSubstr(absl::StrCat("https://", stack.Env("LEASEHOLD_HTTP"), "/healthz")));
  const auto get = [&](const std::string& url, const tls::IdentityFiles& shown) {
    httplib::Client client(url, shown.certificate, shown.key);
    client.set_ca_cert_path(certificates.ca());
    const httplib::Result result = client.Get("/healthz");
    return result ? result->status : 0;
  };
  const std::string url = absl::StrCat("https://", stack.Env("LEASEHOLD_HTTP"));
  EXPECT_EQ(get(url, {}), 401);
  EXPECT_EQ(get(url, certificates.Make("scraper")), 200);
  EXPECT_EQ(stack.Run({"tenant", "create", "acme", "--wait"}).exit_code, 0);
}

// The daemons themselves, on a configuration that strangers could reach.
TEST(Exposure, IsRefusedUnlessInSoManyWords) {
  const localserver::TemporaryDirectory folder;
  const auto start = [&folder](const std::string& config, const std::string& daemon,
                               const std::vector<std::string>& more = {}) {
    std::ofstream(folder.path() + "/config.yaml") << config;
    const std::string out = folder.path() + "/out";
    std::vector<std::string> argv = {absl::StrCat(LEASEHOLD_BINARIES, "/", daemon), "--config",
                                     folder.path() + "/config.yaml"};
    argv.insert(argv.end(), more.begin(), more.end());
    const auto process = localserver::ChildProcess::Start(
        {.argv = std::move(argv), .environment = {"SERVICE_NAME=a"}, .log_path = out, .working_dir = "", .user = ""});
    EXPECT_TRUE(process.ok()) << process.status();
    EXPECT_EQ(WEXITSTATUS((*process)->Wait()), 1);
    std::ifstream file(out);
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  const std::string services = "services: [{name: a}]\n";
  EXPECT_THAT(start("gateway: {grpc_listen: '0.0.0.0:1'}\n" + services, "leasehold-gateway"),
              HasSubstr("gateway.grpc_listen is '0.0.0.0:1'; allowed: a loopback address, as it has no TLS"));
  EXPECT_THAT(start("gateway: {sql_listen: '[::]:1'}\n" + services, "leasehold-gateway"),
              HasSubstr("gateway.sql_listen is '[::]:1'; allowed: a loopback address, as it has no TLS"));
  EXPECT_THAT(start("gateway: {http_listen: 'example.com:1'}\n" + services, "leasehold-gateway"),
              HasSubstr("or start with --insecure"));
  EXPECT_THAT(start("services: [{name: a, http_listen: '0.0.0.0:1'}]\n", "leasehold-provisioner"),
              HasSubstr("http_listen is '0.0.0.0:1'; allowed: a loopback address"));
  // What a start would refuse is refused by a look at the configuration.
  for (const char* daemon : {"leasehold-gateway", "leasehold-provisioner"}) {
    EXPECT_THAT(start("gateway: {http_listen: '0.0.0.0:1'}\nservices: [{name: a, http_listen: '0.0.0.0:2'}]\n", daemon,
                      {"--check-config"}),
                HasSubstr("allowed: a loopback address"))
        << daemon;
  }
}

}  // namespace
}  // namespace leasehold::testing
