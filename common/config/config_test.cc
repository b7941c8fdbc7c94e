#include "common/config/config.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <format>
#include <fstream>
#include <map>

#include "common/localserver/localserver.h"
#include "common/status/error.h"

namespace leasehold {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kMinimal[] = "services:\n  - name: identity\n";

Environment Variables(std::map<std::string, std::string> variables = {}) {
  return [variables = std::move(variables)](const char* name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    if (found == variables.end()) return std::nullopt;
    return found->second;
  };
}

absl::StatusOr<v1::Config> Parse(std::string_view yaml, const Environment& env = Variables()) {
  return ParseConfig(yaml, "/etc/leasehold", env);
}

std::string Text(const absl::Status& status) { return std::string(status.message()); }

TEST(Config, FillsInDefaults) {
  const auto config = Parse("services:\n  - name: identity-service\n  - name: core\n");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->gateway().grpc_listen(), "127.0.0.1:7450");
  EXPECT_EQ(config->gateway().sql_advertise(), "127.0.0.1:7432");
  EXPECT_EQ(config->provisioner().gateway(), "127.0.0.1:7450");
  EXPECT_EQ(ToDuration(config->registry().retention()), absl::Hours(168));
  EXPECT_EQ(ToDuration(config->audit().retention()), absl::ZeroDuration());
  EXPECT_EQ(config->services(0).name(), "identity");
  EXPECT_EQ(config->services(0).instance().database(), "identity_central");
  EXPECT_EQ(config->services(0).instance().port(), 7501);
  EXPECT_EQ(config->services(1).instance().port(), 7502);
  EXPECT_EQ(config->services(1).http_listen(), "127.0.0.1:7482");
  EXPECT_EQ(config->services(1).instance().max_connections(), 50);
  EXPECT_EQ(config->log().format(), "");
}

TEST(Config, ReadsEveryKindOfValue) {
  const auto config = Parse(R"(
gateway: {grpc_listen: "[::1]:8450", sql_loops: 3, drain_timeout: 1m30s, sql_certificate_file: tls/cert.pem, sql_key_file: /keys/key.pem}
log: {queries: yes, format: text}
registry: {retention: 30d}
leases:
services:
  - name: core
    migrations: ../core
    instance: {port: 6001, health_check_timeout: 250ms}
)");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->gateway().grpc_listen(), "[::1]:8450");
  EXPECT_EQ(config->gateway().sql_loops(), 3);
  EXPECT_EQ(ToDuration(config->registry().retention()), absl::Hours(24 * 30));
  EXPECT_EQ(ToDuration(config->gateway().drain_timeout()), absl::Seconds(90));
  EXPECT_EQ(config->gateway().sql_certificate_file(), "/etc/leasehold/tls/cert.pem");
  EXPECT_EQ(config->gateway().sql_key_file(), "/keys/key.pem");
  EXPECT_TRUE(config->log().queries());
  EXPECT_EQ(config->services(0).migrations(), "/etc/core");
  EXPECT_EQ(config->services(0).instance().port(), 6001);
  EXPECT_EQ(ToDuration(config->services(0).instance().health_check_timeout()), absl::Milliseconds(250));
}

struct Bad {
  std::string_view yaml;  // beside a minimal configuration, unless it names services itself
  std::string_view field;
  std::string_view says;
};

class BadConfig : public ::testing::TestWithParam<Bad> {};

TEST_P(BadConfig, IsRefusedWithItsFieldValueAndWhatIsAllowed) {
  const Bad& bad = GetParam();
  std::string yaml(bad.yaml);
  if (!bad.yaml.contains("services:")) yaml += std::string("\n") + kMinimal;
  const absl::Status status = Parse(yaml).status();
  ASSERT_FALSE(status.ok()) << yaml;
  EXPECT_EQ(ReasonOf(status), v1::REASON_INVALID_FIELD);
  EXPECT_EQ(DetailOf(status).value_or(v1::ErrorDetail()).field(), bad.field);
  EXPECT_THAT(Text(status), HasSubstr(std::string(bad.says)));
}

INSTANTIATE_TEST_SUITE_P(
    Table, BadConfig,
    ::testing::Values(
        // Keys.
        Bad{"gateway: {grpc_lisen: x}", "gateway.grpc_lisen", "is not a setting; did you mean grpc_listen?"},
        Bad{"gatway: {}", "gatway", "did you mean gateway?"},
        Bad{"nats: {something_else: 1}", "nats.something_else", "known here: url, replicas"},
        Bad{"services: [{name: a, instance: {prt: 1}}]", "services[0].instance.prt", "did you mean port?"},
        Bad{"log: {level: info, level: debug}", "log.level", "is given twice"},
        Bad{"log: {level: info}\nlog: {level: info}", "log", "is given twice"},
        Bad{"gateway: {jwt: [{issuer: a, audience: b, keys_file: c}, {issuer: a, audience: d, keys_file: e}]}",
            "gateway.jwt[1].issuer", "an issuer other than that of gateway.jwt[0]"},
        Bad{"gateway: {jwt: [{issuer: a/b, audience: b, keys_file: c}, {issuer: a, audience: d, keys_file: e}]}",
            "gateway.jwt[0].issuer", "an issuer that does not begin with that of gateway.jwt[1] and a '/'"},
        Bad{"gateway: {jwt: [{issuer: a, keys_file: c}]}", "gateway.jwt[0].audience", "1 to 256 printable bytes"},
        Bad{"gateway: {jwt: [{issuer: a, audience: b}]}", "gateway.jwt[0].keys_file", "a path of 1 to 4096 bytes"},
        // Shapes.
        Bad{"services: identity", "services", "is 'identity'; allowed: a list"},
        Bad{"services: [identity]", "services[0]", "allowed: settings as name: value"},
        Bad{"gateway: [1]\n", "gateway", "allowed: settings as name: value"},
        Bad{"gateway: {grpc_listen: [a]}", "gateway.grpc_listen", "allowed: one value"},
        Bad{"gateway: {grpc_listen: }", "gateway.grpc_listen", "is ''"},
        Bad{"services: []", "services", "at least one service"}, Bad{"a: {b: c\nservices:", "", "is not YAML: line 2"},
        Bad{"--- {}\n---\nservices: []", "", "more than one YAML document"},
        Bad{",:u\n- e: }\n", "", "or has something behind its end"},
        Bad{std::string_view("\xff\xfel\0o\0g\0", 8), "", "is not text in UTF-8"},
        // Types.
        Bad{"services: [{name: a, instance: {port: abc}}]", "services[0].instance.port",
            "is 'abc'; allowed: a whole number"},
        Bad{"gateway: {max_clients: 1.5}", "gateway.max_clients", "is '1.5'"},
        Bad{"gateway: {max_clients: 99999999999}", "gateway.max_clients", "is '99999999999'; allowed: 1 to 1000000"},
        Bad{"gateway: {max_clients: -99999999999}", "gateway.max_clients", "is '-99999999999'; allowed: 1 to 1000000"},
        Bad{"gateway: {max_clients: 1e3}", "gateway.max_clients", "allowed: a whole number, 1 to 1000000"},
        Bad{"log: {queries: perhaps}", "log.queries", "allowed: true or false"},
        Bad{"gateway: {login_timeout: 30}", "gateway.login_timeout", "is '30'; allowed: a time such as 30s"},
        Bad{"gateway: {login_timeout: -3s}", "gateway.login_timeout", "is '-3s'"},
        Bad{"gateway: {login_timeout: inf}", "gateway.login_timeout", "is 'inf'"},
        // Limits.
        Bad{"services: [{name: a}, {name: b, instance: {port: 65536}}]", "services[1].instance.port",
            "services[1].instance.port is '65536'; allowed: 1 to 65535"},
        Bad{"gateway: {grpc_listen: '127.0.0.1:0'}", "gateway.grpc_listen", "port 1 to 65535"},
        Bad{"gateway: {sql_listen: '7432'}", "gateway.sql_listen", "allowed: host:port"},
        Bad{"gateway: {http_listen: ':7480'}", "gateway.http_listen", "allowed: host:port"},
        Bad{"gateway: {sql_loops: 257}", "gateway.sql_loops", "allowed: 0 to 256"},
        Bad{"gateway: {max_clients: 0}", "gateway.max_clients", "allowed: 1 to"},
        Bad{"gateway: {metrics_tenants: -1}", "gateway.metrics_tenants", "allowed: 0 to 100000"},
        Bad{"gateway: {login_timeout: 0}", "gateway.login_timeout", "allowed: 1s to 10m"},
        Bad{"registry: {connections: 1}", "registry.connections", "allowed: 2 to 64"},
        Bad{"registry: {retention: 87601h}", "registry.retention", "allowed: 0 to 87600h"},
        Bad{"audit: {retention: 23h}", "audit.retention", "is '23h'; allowed: 0, or 24h to 87600h"},
        Bad{"audit: {retention: 87601h}", "audit.retention", "allowed: 0, or 24h to 87600h"},
        Bad{"nats: {replicas: 2}", "nats.replicas", "allowed: 1, 3 or 5"},
        Bad{"nats: {url: 'http://x:1'}", "nats.url", "is 'http://x:1'; allowed: nats://host:port"},
        Bad{"leases: {max_ttl: 721h}", "leases.max_ttl", "allowed: 1s to 720h"},
        Bad{"provisioner: {parallelism: 65}", "provisioner.parallelism", "allowed: 1 to 64"},
        Bad{"services: [{name: a, instance: {sslmode: allow}}]", "services[0].instance.sslmode",
            "is 'allow'; allowed: disable, prefer, require, verify-ca, verify-full"},
        Bad{"services: [{name: a, instance: {max_connections: 0}}]", "services[0].instance.max_connections", "is '0'"},
        Bad{"services: [{name: a, instance: {host: ''}}]", "services[0].instance.host", "is ''"},
        Bad{"log: {level: loud}", "log.level", "allowed: debug, info, warning, error"},
        Bad{"log: {format: xml}", "log.format", "allowed: json, text"},
        Bad{"tracing: {otlp_endpoint: 'collector:4318'}", "tracing.otlp_endpoint", "allowed: http://host:port or"},
        Bad{"tracing: {otlp_endpoint: 'http://collector'}", "tracing.otlp_endpoint", "allowed: http://host:port or"},
        Bad{"tracing: {otlp_endpoint: 'http://u:p@collector:4318'}", "tracing.otlp_endpoint", "is '…'; allowed"},
        Bad{"tracing: {otlp_endpoint: 'http://c:4318/?a=b'}", "tracing.otlp_endpoint", "allowed: http://host:port or"},
        Bad{"tracing: {sample_percent: 101}", "tracing.sample_percent", "allowed: 0 to 100"},
        // Names.
        Bad{"services: [{name: Identity}]", "services[0].name", "is 'Identity'"},
        Bad{"services: [{}]", "services[0].name", "is ''"},
        Bad{"services: [{name: a}, {name: b}, {name: a-service}]", "services[2].name",
            "other than that of services[0]"},
        Bad{"services: [{name: a, instance: {tenant_restraint: maybe}}]", "services[0].instance.tenant_restraint",
            "is 'maybe'; allowed: auto, off"},
        // Fields together.
        Bad{"services: [{name: a}, {name: b, instance: {port: 7501}}]", "services[1].instance.username",
            "is 'leasehold'; allowed: a login other than services[0]'s, as both are on 127.0.0.1:7501"},
        Bad{"services: [{name: a, instance: {database: x}}, {name: b, instance: {port: 7501, username: b, database: "
            "x}}]",
            "services[1].instance.database", "is 'x'; allowed: a database other than services[0]'s"},
        Bad{"gateway: {sql_certificate_file: a}", "gateway.sql_key_file", "or neither"},
        Bad{"gateway: {sql_key_file: a}", "gateway.sql_certificate_file", "or neither"},
        Bad{"gateway: {grpc_certificate_file: a}", "gateway.grpc_key_file", "as gateway.grpc_certificate_file is set"},
        Bad{"gateway: {http_key_file: a}", "gateway.http_certificate_file", "as gateway.http_key_file is set"},
        Bad{"gateway: {grpc_client_ca_file: a}", "gateway.grpc_certificate_file", "grpc_client_ca_file is set"},
        Bad{"gateway: {http_client_ca_file: a}", "gateway.http_certificate_file", "http_client_ca_file is set"},
        Bad{"gateway: {sql_tls: required}", "gateway.sql_certificate_file", "as gateway.sql_tls is required"},
        Bad{"provisioner: {gateway_ca_file: a, certificate_file: b}", "provisioner.key_file", "or neither"},
        Bad{"provisioner: {certificate_file: a, key_file: b}", "provisioner.gateway_ca_file", "a path"},
        Bad{"nats: {url: 'tls://h:1'}", "nats.ca_file", "as nats.url begins with tls://"},
        Bad{"nats: {ca_file: a}", "nats.url", "is 'nats://127.0.0.1:7422'; allowed: tls://host:port"},
        Bad{"nats: {url: 'tls://h:1', ca_file: a, certificate_file: b}", "nats.key_file", "or neither"},
        Bad{"nats: {credentials_file: a, username: b}", "nats.username", "credentials_file says who we are"},
        Bad{"nats: {password_file: a}", "nats.username", "as nats.password_file is set"},
        Bad{"services: [{name: a, instance: {sslmode: verify-full}}]", "services[0].instance.ca_file",
            "a path, as sslmode is verify-full"},
        Bad{"services: [{name: a, instance: {sslmode: disable, channel_binding: require}}]",
            "services[0].instance.channel_binding", "as sslmode is disable"},
        Bad{"leases: {default_ttl: 2h, max_ttl: 1h}", "leases.default_ttl",
            "is '2h'; allowed: at most leases.max_ttl, 1h"},
        Bad{"provisioner: {min_backoff: 2s, max_backoff: 1s}", "provisioner.min_backoff",
            "at most provisioner.max_backoff, 1s"},
        Bad{"gateway: {http_listen: '127.0.0.1:7450'}", "gateway.http_listen",
            "other than that of gateway.grpc_listen"},
        Bad{"services: [{name: a, http_listen: '127.0.0.1:7480'}]", "services[0].http_listen",
            "other than that of gateway.http_listen"}));

TEST(Config, ServicesMayShareAnInstanceWithLoginsOfTheirOwn) {
  const auto config = Parse("services: [{name: a}, {name: b, instance: {port: 7501, username: b}}]");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->services(1).instance().database(), "b_central");
}

TEST(Config, NeverShowsAPassword) {
  for (const std::string_view yaml :
       {"registry: {dsn: 'postgresql://u:hunter2@h/leasehold'}", "registry: {dsn: 'host=h password=hunter2'}",
        "nats: {url: 'nats://u:hunter2@h:1'}"}) {
    const absl::Status status = Parse(std::string(yaml) + "\n" + kMinimal).status();
    EXPECT_EQ(ReasonOf(status), v1::REASON_INVALID_FIELD) << yaml;
    EXPECT_THAT(status.ToString(), Not(HasSubstr("hunter2")));
  }
  EXPECT_TRUE(Parse(std::string("registry: {dsn: 'postgresql://u@h/leasehold'}\n") + kMinimal).ok());
}

TEST(Environment, StandsAboveTheFile) {
  const auto config = Parse(std::string("gateway: {grpc_listen: '127.0.0.1:1'}\n") + kMinimal,
                            Variables({{"LEASEHOLD_GATEWAY", "gateway:9450"},
                                       {"LEASEHOLD_SQL", "127.0.0.1:9432"},
                                       {"LEASEHOLD_HTTP", ""},
                                       {"LEASEHOLD_NATS", "nats://nats:4222"},
                                       {"OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318"},
                                       {"LOG_DB_QUERIES", "1"}}));
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->gateway().grpc_listen(), "gateway:9450");
  EXPECT_EQ(config->provisioner().gateway(), "gateway:9450");
  EXPECT_EQ(config->gateway().sql_advertise(), "127.0.0.1:9432");
  EXPECT_EQ(config->gateway().http_listen(), "127.0.0.1:7480") << "an empty variable counts as unset";
  EXPECT_EQ(config->nats().url(), "nats://nats:4222");
  EXPECT_TRUE(config->log().queries());
  EXPECT_EQ(config->tracing().otlp_endpoint(), "http://collector:4318");

  const absl::Status bad = Parse(kMinimal, Variables({{"LEASEHOLD_SQL", "7432"}})).status();
  EXPECT_EQ(DetailOf(bad).value_or(v1::ErrorDetail()).field(), "LEASEHOLD_SQL");
}

TEST(Environment, OfOneInstance) {
  v1::ServiceConfig service = Parse(kMinimal)->services(0);
  ASSERT_TRUE(ApplyInstanceEnvironment(service, Variables({{"DB_HOST", "db"},
                                                           {"DB_PORT", "5432"},
                                                           {"DB_DATABASE", "hr"},
                                                           {"DB_USERNAME", "hr_owner"},
                                                           {"DB_PASSWORD", "hunter2"},
                                                           {"LEASEHOLD_PROVISIONER_HTTP", "0.0.0.0:7481"}}))
                  .ok());
  EXPECT_EQ(service.http_listen(), "0.0.0.0:7481");
  const v1::InstanceConfig& instance = service.instance();
  EXPECT_EQ(instance.host(), "db");
  EXPECT_EQ(instance.port(), 5432);
  EXPECT_EQ(instance.database(), "hr");
  EXPECT_EQ(instance.username(), "hr_owner");
  EXPECT_THAT(service.DebugString(), Not(HasSubstr("hunter2")));

  for (const auto& [name, value, allowed] :
       {std::tuple("DB_PORT", "http", "a whole number"), std::tuple("DB_PORT", "70000", "1 to 65535"),
        std::tuple("LEASEHOLD_PROVISIONER_HTTP", "7481", "host:port")}) {
    v1::ServiceConfig copy = service;
    const absl::Status bad = ApplyInstanceEnvironment(copy, Variables({{name, value}}));
    EXPECT_EQ(DetailOf(bad).value_or(v1::ErrorDetail()).field(), name);
    EXPECT_THAT(Text(bad), HasSubstr(allowed));
  }
}

TEST(Environment, OfTheConnectionsToEveryInstance) {
  constexpr char kTwo[] =
      "services: [{name: a, migrations: m, instance: {max_connections: 7}}, {name: b, migrations: m}]";
  const auto config = Parse(kTwo, Variables({{"DISTRIBUTED_MAX_CONNECTIONS", "80"},
                                             {"DISTRIBUTED_CONNECTION_TIMEOUT", "45"},
                                             {"DB_HEALTH_CHECK_INTERVAL", "2m"},
                                             {"DB_HEALTH_CHECK_TIMEOUT", "500ms"}}));
  ASSERT_TRUE(config.ok()) << config.status();
  for (const v1::ServiceConfig& service : config->services()) {
    const v1::InstanceConfig& instance = service.instance();
    EXPECT_EQ(instance.max_connections(), 80) << service.name();
    EXPECT_EQ(ToDuration(instance.connection_timeout()), absl::Seconds(45)) << "a plain number is seconds";
    EXPECT_EQ(ToDuration(instance.health_check_interval()), absl::Minutes(2));
    EXPECT_EQ(ToDuration(instance.health_check_timeout()), absl::Milliseconds(500));
  }
  EXPECT_EQ(Parse(kTwo)->services(0).instance().max_connections(), 7);

  for (const auto& [name, value, allowed] :
       {std::tuple("DISTRIBUTED_MAX_CONNECTIONS", "99999999999", "allowed: 1 to 10000"),
        std::tuple("DISTRIBUTED_CONNECTION_TIMEOUT", "30000", "100ms to 10m"),
        std::tuple("DB_HEALTH_CHECK_TIMEOUT", "soon", "a time such as")}) {
    const absl::Status bad = Parse(kTwo, Variables({{name, value}})).status();
    EXPECT_EQ(DetailOf(bad).value_or(v1::ErrorDetail()).field(), name);
    EXPECT_THAT(Text(bad), HasSubstr(allowed));
  }
}

TEST(Config, FilesOfTlsAreRelativeToIt) {
  const auto config = Parse(R"(
gateway: {grpc_certificate_file: c, grpc_key_file: k, grpc_client_ca_file: /ca}
nats: {url: "tls://nats:4222", ca_file: tls/nats, credentials_file: n.creds}
provisioner: {gateway_ca_file: g}
services: [{name: a, instance: {sslmode: verify-full, ca_file: pg, channel_binding: require}}]
)");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->gateway().grpc_key_file(), "/etc/leasehold/k");
  EXPECT_EQ(config->gateway().grpc_client_ca_file(), "/ca");
  EXPECT_EQ(config->gateway().grpc_client_certificate(), "required");
  EXPECT_EQ(config->gateway().http_key_file(), "") << "none stays none";
  EXPECT_EQ(config->nats().ca_file(), "/etc/leasehold/tls/nats");
  EXPECT_EQ(config->provisioner().gateway_ca_file(), "/etc/leasehold/g");
  EXPECT_EQ(config->services(0).instance().ca_file(), "/etc/leasehold/pg");
}

TEST(ToYaml, ReadsBackAsTheSame) {
  const auto config = Parse(R"(
gateway: {sql_loops: 2, metrics_tenants: 0, sql_certificate_file: 'odd "name": #1', sql_key_file: k}
registry: {dsn: "host='h' dbname='it\\'s'", cache_ttl: 0}
log: {queries: true, format: json}
provisioner: {min_backoff: 1500ms, max_backoff: 1h}
services: [{name: a, migrations: m}, {name: "null", instance: {database: "~"}}]
)");
  ASSERT_TRUE(config.ok()) << config.status();
  const std::string yaml = ToYaml(*config);
  const auto again = ParseConfig(yaml, "/elsewhere", Variables());
  ASSERT_TRUE(again.ok()) << again.status() << yaml;
  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(*config, *again))
      << config->DebugString() << again->DebugString();
}

TEST(LoadConfig, ResolvesPathsAgainstTheFileAndSaysWhatItCannotRead) {
  const localserver::TemporaryDirectory folder;
  const std::string path = folder.path() + "/leasehold.yaml";
  std::ofstream(path) << "services: [{name: core, migrations: core}]";
  const auto config = LoadConfig(path, Variables());
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->services(0).migrations(), folder.path() + "/core");
  const absl::Status missing = LoadConfig(folder.path() + "/none.yaml", Variables()).status();
  EXPECT_EQ(missing.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Text(missing), HasSubstr("none.yaml: No such file"));
  EXPECT_FALSE(LoadConfig(folder.path(), Variables()).ok());
}

TEST(FindService, ListsTheKnownOnes) {
  const auto config = Parse("services: [{name: a}, {name: b-service}]");
  ASSERT_TRUE(config.ok());
  EXPECT_EQ(FindService(*config, *ServiceName::Parse("b-service"))->name(), "b");
  const absl::Status unknown = FindService(*config, *ServiceName::Parse("c")).status();
  EXPECT_EQ(ReasonOf(unknown), v1::REASON_SERVICE_NOT_FOUND);
  EXPECT_THAT(Text(unknown), HasSubstr("configured: a, b"));
}

TEST(ParseHostPort, TakesNamesAndBothKindsOfAddresses) {
  EXPECT_EQ(ParseHostPort("f", "[::1]:7450")->host, "::1");
  EXPECT_EQ(ParseHostPort("f", "[::1]:7450")->port, 7450);
  EXPECT_EQ(ParseHostPort("f", "gateway.internal:65535")->port, 65535);
  for (const std::string_view bad : {"", ":", "a", "a:", ":1", "a:0", "a:65536", "a:-1", "a: 1", "a:1x", "::1:7450",
                                     "[]:1", "a b:1", "[g]:1", "http://a:1"}) {
    EXPECT_EQ(ReasonOf(ParseHostPort("f", bad).status()), v1::REASON_INVALID_FIELD) << bad;
  }
}

TEST(ParseDurationField, TakesDaysToo) {
  const auto parse = [](std::string_view text) { return ParseDurationField("f", text); };
  EXPECT_EQ(*parse("7d"), absl::Hours(168));
  EXPECT_EQ(*parse("1.5d"), absl::Hours(36));
  EXPECT_EQ(*parse("4d 1h"), absl::Hours(97));
  EXPECT_EQ(*parse("1d2h3m4s5ms"), absl::Hours(26) + absl::Minutes(3) + absl::Seconds(4) + absl::Milliseconds(5));
  EXPECT_EQ(*parse("0"), absl::ZeroDuration());
  EXPECT_EQ(*parse(".5s"), absl::Milliseconds(500));
  for (const std::string_view bad : {"", " ", "7", "d", "7 d", "7d ", " 7d", "7d  1h", "7dd", "7D", "-7d", "1d-1h",
                                     ".d", "1.2.3s", "7days", "inf", "1d,1h", "99999999999999999999d"}) {
    EXPECT_EQ(ReasonOf(parse(bad).status()), v1::REASON_INVALID_FIELD) << bad;
  }
  EXPECT_THAT(Text(parse("soon").status()), HasSubstr("f is 'soon'; allowed: a time such as 30s, 15m, 1h30m, 7d"));
}

TEST(ParseDurationField, ReadsWhatIsPrinted) {
  // As the configuration's writer and its errors print.
  for (const absl::Duration d :
       {absl::ZeroDuration(), absl::Nanoseconds(1), absl::Milliseconds(1500), absl::Seconds(59), absl::Minutes(61),
        absl::Hours(168), absl::Hours(24 * 3650), absl::Seconds(86401)}) {
    const auto again = ParseDurationField("f", absl::FormatDuration(d));
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_EQ(*again, d);
  }
}

TEST(Durations, SurviveTheRoundTrip) {
  for (const absl::Duration d :
       {absl::ZeroDuration(), absl::Milliseconds(1500), -absl::Milliseconds(1500), absl::Hours(720)}) {
    EXPECT_EQ(ToDuration(FromDuration(d)), d);
  }
  for (const absl::Time t : {absl::UnixEpoch(), absl::FromUnixMillis(1'800'000'000'123), absl::FromUnixMillis(-1)}) {
    EXPECT_EQ(ToTime(FromTime(t)), t);
    EXPECT_GE(FromTime(t).nanos(), 0);
  }
}

}  // namespace
}  // namespace leasehold
