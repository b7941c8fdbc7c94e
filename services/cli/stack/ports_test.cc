#include "services/cli/stack/ports.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <set>

#include "absl/cleanup/cleanup.h"
#include "common/localserver/localserver.h"
#include "common/status/error.h"

namespace leasehold::stack {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Environment Env(std::map<std::string, std::string> variables) {
  return [variables = std::move(variables)](const char* name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional(found->second);
  };
}

v1::Config Config() {
  v1::Config config;
  config.mutable_gateway()->set_grpc_listen("127.0.0.1:7450");
  config.mutable_gateway()->set_sql_listen("0.0.0.0:7432");
  config.mutable_gateway()->set_http_listen("127.0.0.1:7480");
  config.mutable_nats()->set_url("nats://127.0.0.1:7422");
  int i = 0;
  for (const char* name : {"identity", "pay-roll"}) {
    v1::ServiceConfig* service = config.add_services();
    service->set_name(name);
    service->mutable_instance()->set_host("127.0.0.1");
    service->mutable_instance()->set_port(7501 + i);
    service->set_http_listen("127.0.0.1:" + std::to_string(7481 + i));
    ++i;
  }
  return config;
}

absl::StatusOr<Ports> Fixed(const v1::Config& config, std::map<std::string, std::string> variables = {}) {
  return PlanPorts(config, PortMode::kFixed, Env(std::move(variables)), [] { return 1; });
}

std::string MessageOf(const absl::StatusOr<Ports>& ports) { return std::string(StdView(ports.status().message())); }

TEST(PlanPorts, FixedTakesThoseOfTheConfiguration) {
  const auto ports = Fixed(Config());
  ASSERT_TRUE(ports.ok()) << ports.status();
  EXPECT_EQ(ToText(ports->grpc), "127.0.0.1:7450");
  EXPECT_EQ(ToText(ports->sql), "0.0.0.0:7432");
  EXPECT_EQ(Reach(ports->sql), "127.0.0.1:7432");
  EXPECT_EQ(ports->nats, 7422);
  EXPECT_EQ(ports->registry, 7500);
  EXPECT_EQ(ports->instances.at("identity"), 7501);
  EXPECT_EQ(ports->instances.at("pay-roll"), 7502);
  EXPECT_EQ(ports->provisioners.at("pay-roll").port, 7482);
}

TEST(PlanPorts, VariablesMoveInstances) {
  const auto ports = Fixed(Config(), {{"LEASEHOLD_PG_IDENTITY", "localhost:6001"},
                                      {"LEASEHOLD_PG_PAY_ROLL", "postgresql://postgres:geheim@127.0.0.1:6002/postgres"},
                                      {"LEASEHOLD_PG_REGISTRY", "host=127.0.0.1 port=6003 password=geheim"}});
  ASSERT_TRUE(ports.ok()) << ports.status();
  EXPECT_EQ(ports->instances.at("identity"), 6001);
  EXPECT_EQ(ports->instances.at("pay-roll"), 6002);
  EXPECT_EQ(ports->registry, 6003);
}

TEST(PlanPorts, OtherMachinesAreRefused) {
  v1::Config config = Config();
  config.mutable_services(1)->mutable_instance()->set_host("identity-db");
  EXPECT_THAT(MessageOf(Fixed(config)), HasSubstr("services[1].instance.host is 'identity-db'; allowed: 127.0.0.1"));
  const auto variable = Fixed(Config(), {{"LEASEHOLD_PG_IDENTITY", "postgresql://u:geheim@db.example/x"}});
  EXPECT_THAT(MessageOf(variable), HasSubstr("LEASEHOLD_PG_IDENTITY is 'db.example'"));
  config = Config();
  config.mutable_nats()->set_url("nats://queue:4222");
  EXPECT_THAT(MessageOf(Fixed(config)), HasSubstr("nats.url is 'queue'"));
}

TEST(PlanPorts, ABadConnectionStringIsNotRepeated) {
  const auto ports = Fixed(Config(), {{"LEASEHOLD_PG_IDENTITY", "postgresql://u:geheim@[::1"}});
  EXPECT_EQ(ReasonOf(ports.status()), v1::REASON_INVALID_FIELD);
  EXPECT_THAT(MessageOf(ports), Not(HasSubstr("geheim")));
}

TEST(PlanPorts, OnePortForTwoIsRefused) {
  const auto ports = Fixed(Config(), {{"LEASEHOLD_PG_IDENTITY", "127.0.0.1:7432"}});
  EXPECT_THAT(MessageOf(ports), HasSubstr("port 7432 is meant for both gateway (SQL) and postgres/identity"));
  EXPECT_THAT(MessageOf(ports), HasSubstr("LEASEHOLD_PG_IDENTITY"));
}

TEST(PlanPorts, ServicesOnOneAddressShareAServer) {
  v1::Config config = Config();
  config.mutable_services(1)->mutable_instance()->set_port(7501);
  const auto ports = Fixed(config, {{"LEASEHOLD_PG_IDENTITY", "127.0.0.1:6001"}});
  ASSERT_TRUE(ports.ok()) << ports.status();
  EXPECT_EQ(ServerOf(*ports, "pay-roll"), "identity");
  EXPECT_EQ(ServerOf(*ports, "identity"), "identity");
  EXPECT_EQ(ports->instances.at("identity"), 6001);
  EXPECT_EQ(ports->instances.at("pay-roll"), 6001);
  EXPECT_EQ(ListPorts(*ports).size(), 8U);
  EXPECT_THAT(MessageOf(Fixed(config, {{"LEASEHOLD_PG_PAY_ROLL", "127.0.0.1:6002"}})),
              HasSubstr("LEASEHOLD_PG_PAY_ROLL is '127.0.0.1:6002'; allowed: 127.0.0.1:7501, as the service shares the "
                        "instance of identity"));

  const auto automatic = PlanPorts(config, PortMode::kAuto, Env({}), [next = 20000]() mutable { return next++; });
  ASSERT_TRUE(automatic.ok()) << automatic.status();
  EXPECT_EQ(automatic->instances.at("pay-roll"), automatic->instances.at("identity"));
}

TEST(PlanPorts, AServiceMayNotTakeTheRegistrysName) {
  v1::Config config = Config();
  config.mutable_services(0)->set_name("registry");
  EXPECT_THAT(MessageOf(Fixed(config)), HasSubstr("services[0].name is 'registry'"));
}

TEST(PlanPorts, AutoTakesFreeOnesWhateverIsConfigured) {
  int next = 20000;
  v1::Config config = Config();
  config.mutable_services(0)->mutable_instance()->set_host("identity-db");
  const auto ports = PlanPorts(config, PortMode::kAuto, Env({{"LEASEHOLD_PG_IDENTITY", "127.0.0.1:6001"}}),
                               [&next] { return next++; });
  ASSERT_TRUE(ports.ok()) << ports.status();
  std::set<int> distinct;
  for (const PlannedPort& planned : ListPorts(*ports)) {
    EXPECT_EQ(planned.address.host, "127.0.0.1");
    EXPECT_GE(planned.address.port, 20000);
    distinct.insert(planned.address.port);
  }
  EXPECT_EQ(distinct.size(), 9U);
}

TEST(CheckFree, NamesPortPartAndRemedy) {
  const auto ports = PlanPorts(Config(), PortMode::kAuto, Env({}), &localserver::FreePort);
  ASSERT_TRUE(ports.ok());
  EXPECT_TRUE(CheckFree(*ports).ok());

  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const absl::Cleanup close_fd = [fd] { close(fd); };
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(ports->nats));
  address.sin_addr.s_addr = htonl(INADDR_ANY);
  ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(listen(fd, 1), 0);
  const std::string message(StdView(CheckFree(*ports).message()));
  EXPECT_THAT(message, HasSubstr(std::to_string(ports->nats)));
  EXPECT_THAT(message, HasSubstr("nats"));
  EXPECT_THAT(message, HasSubstr("LEASEHOLD_NATS"));
}

}  // namespace
}  // namespace leasehold::stack
