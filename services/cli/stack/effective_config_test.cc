#include "services/cli/stack/effective_config.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <fstream>
#include <sstream>

#include "absl/strings/str_split.h"
#include "common/localserver/localserver.h"
#include "common/secret/secret.h"
#include "common/status/error.h"

namespace leasehold::stack {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::optional<std::string> NoVariables(const char*) { return std::nullopt; }

std::string Slurp(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

class EffectiveConfigTest : public ::testing::Test {
 protected:
  EffectiveConfigTest() : secrets_(*SecretFolder::Open(folder_.path() + "/secrets")) {
    ports_ = {.grpc = {"127.0.0.1", 7450},
              .sql = {"127.0.0.1", 7432},
              .http = {"127.0.0.1", 7480},
              .nats = 7422,
              .registry = 7500,
              .instances = {{"identity", 7501}, {"pay-roll", 7502}},
              .provisioners = {{"identity", {"127.0.0.1", 7481}}, {"pay-roll", {"127.0.0.1", 7482}}}};
  }

  localserver::TemporaryDirectory folder_;
  SecretFolder secrets_;
  Ports ports_;
};

TEST_F(EffectiveConfigTest, DaemonsCanReadItAndFindNoSecretInIt) {
  const auto config = ParseConfig("services: [{name: identity}, {name: pay-roll}]", folder_.path(), NoVariables);
  ASSERT_TRUE(config.ok()) << config.status();
  const auto effective = EffectiveConfig(*config, ports_, secrets_);
  ASSERT_TRUE(effective.ok()) << effective.status();

  const auto again = ParseConfig(ToYaml(*effective), "/elsewhere", NoVariables);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->services(1).instance().port(), 7502);
  EXPECT_EQ(again->services(1).instance().username(), "leasehold");
  EXPECT_EQ(again->services(1).instance().database(), "pay-roll_central");
  EXPECT_THAT(again->registry().dsn(), HasSubstr("7500"));
  EXPECT_TRUE(RoleKey::ReadFile(again->services(0).instance().role_key_file()).ok());
  EXPECT_TRUE(SigningKeys::ReadFile(again->leases().signing_keys_file()).ok());
  const auto login = ReadSecretFile(again->registry().password_file());
  ASSERT_TRUE(login.ok()) << login.status();
  EXPECT_THAT(ToYaml(*effective), Not(HasSubstr(std::string(login->reveal()))));
}

TEST_F(EffectiveConfigTest, AnAdvertisedAddressOfTheUsersStays) {
  auto config = ParseConfig("services: [{name: identity}, {name: pay-roll}]", folder_.path(), NoVariables);
  ASSERT_TRUE(config.ok()) << config.status();
  config->mutable_gateway()->set_sql_advertise("sql.example:6432");
  EXPECT_EQ(EffectiveConfig(*config, ports_, secrets_)->gateway().sql_advertise(), "sql.example:6432");
  config->mutable_gateway()->set_sql_advertise(config->gateway().sql_listen());
  ports_.sql.port = 20001;
  EXPECT_EQ(EffectiveConfig(*config, ports_, secrets_)->gateway().sql_advertise(), "127.0.0.1:20001");
}

TEST_F(EffectiveConfigTest, StackEnvNamesEverything) {
  const auto text = StackEnv(ports_, secrets_);
  ASSERT_TRUE(text.ok()) << text.status();
  const std::string password(secrets_.Password(SuperuserSecret("pay-roll"))->reveal());
  const std::vector<std::string> lines = absl::StrSplit(*text, '\n', absl::SkipEmpty());
  EXPECT_THAT(lines,
              ::testing::IsSupersetOf(
                  {std::string("LEASEHOLD_GATEWAY=127.0.0.1:7450"), std::string("LEASEHOLD_SQL=127.0.0.1:7432"),
                   std::string("LEASEHOLD_HTTP=127.0.0.1:7480"), std::string("LEASEHOLD_NATS=nats://127.0.0.1:7422"),
                   "LEASEHOLD_PG_PAY_ROLL=postgresql://postgres:" + password + "@127.0.0.1:7502/postgres"}));
  EXPECT_THAT(*text, HasSubstr("\nLEASEHOLD_PG_REGISTRY="));
}

TEST_F(EffectiveConfigTest, ServicesThatShareAServerKeepTheirLogins) {
  const auto config = ParseConfig(
      "services: [{name: identity}, {name: pay-roll, instance: {port: 7501, username: wages, sslmode: require}}]",
      folder_.path(), NoVariables);
  ASSERT_TRUE(config.ok()) << config.status();
  ports_.instances["pay-roll"] = 7501;
  ports_.sharers["pay-roll"] = "identity";
  const auto effective = EffectiveConfig(*config, ports_, secrets_);
  ASSERT_TRUE(effective.ok()) << effective.status();
  const v1::InstanceConfig& first = effective->services(0).instance();
  const v1::InstanceConfig& second = effective->services(1).instance();
  EXPECT_EQ(second.username(), "wages");
  EXPECT_EQ(second.sslmode(), "require");
  EXPECT_EQ(first.port(), second.port());
  EXPECT_NE(Slurp(first.password_file()), Slurp(second.password_file()));
  EXPECT_NE(Slurp(first.role_key_file()), Slurp(second.role_key_file()));
  const std::string password(secrets_.Password(SuperuserSecret("identity"))->reveal());
  const std::string env = *StackEnv(ports_, secrets_);
  for (const char* variable : {"LEASEHOLD_PG_IDENTITY", "LEASEHOLD_PG_PAY_ROLL"}) {
    EXPECT_THAT(env,
                HasSubstr(std::string(variable) + "=postgresql://postgres:" + password + "@127.0.0.1:7501/postgres"));
  }
}

// What a configuration asks of TLS, the stack's own certificates give.
TEST_F(EffectiveConfigTest, CertificatesThatAreMadeAreNotMissed) {
  const std::string yaml =
      "gateway: {sql_tls: required}\n"
      "nats: {url: 'tls://127.0.0.1:7422'}\n"
      "services: [{name: identity}, {name: pay-roll, instance: {sslmode: verify-full}}]";
  EXPECT_THAT(std::string(ParseConfig(yaml, folder_.path(), NoVariables).status().message()),
              HasSubstr("gateway.sql_certificate_file"));
  const auto config = ParseConfig(yaml, folder_.path(), NoVariables, TlsFiles::kToCome);
  ASSERT_TRUE(config.ok()) << config.status();
  const auto effective = EffectiveConfig(*config, ports_, secrets_, "/certs");
  ASSERT_TRUE(effective.ok()) << effective.status();
  const auto again = ParseConfig(ToYaml(*effective), "/elsewhere", NoVariables);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->gateway().sql_tls(), "required");
  EXPECT_EQ(again->gateway().sql_certificate_file(), "/certs/gateway.crt");
}

TEST_F(EffectiveConfigTest, PostgresOwnRolesAreNoLogins) {
  for (const std::string login : {"postgres", "pg_monitor"}) {
    const auto config =
        ParseConfig("services: [{name: identity}, {name: pay-roll, instance: {username: " + login + "}}]",
                    folder_.path(), NoVariables);
    ASSERT_TRUE(config.ok()) << config.status();
    const absl::Status status = EffectiveConfig(*config, ports_, secrets_).status();
    EXPECT_EQ(ReasonOf(status), v1::REASON_INVALID_FIELD);
    EXPECT_THAT(std::string(status.message()), HasSubstr("services[1].instance.username is '" + login + "'"));
  }
}

TEST_F(EffectiveConfigTest, SecretsAreKeptAndForTheirOwnerOnly) {
  const std::string path = *secrets_.PasswordFile("superuser-identity");
  const std::string before = Slurp(path);
  EXPECT_EQ(before.size(), 65U);
  struct stat info{};
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  ASSERT_EQ(stat((folder_.path() + "/secrets").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700U);

  SecretFolder next_start = *SecretFolder::Open(folder_.path() + "/secrets");
  EXPECT_EQ(Slurp(*next_start.PasswordFile("superuser-identity")), before);
  EXPECT_NE(Slurp(*next_start.PasswordFile("superuser-core")), before);
}

}  // namespace
}  // namespace leasehold::stack
