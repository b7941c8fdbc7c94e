// Daemons that are started wrongly, or before what they stand on: one clear line, and no giving up where waiting helps.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "common/config/config.h"
#include "common/localserver/localserver.h"
#include "tests/stack/outputs.h"
#include "tests/stack/stack.h"

namespace leasehold::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// The shared stack's configuration with ports that nobody uses, so that a second gateway or provisioner can be tried.
v1::Config FreshConfig() {
  auto config = LoadConfig(SharedStack().state_dir() + "/config.yaml", [](const char*) { return std::nullopt; });
  EXPECT_TRUE(config.ok()) << config.status();
  const auto listen = [] { return absl::StrCat("127.0.0.1:", localserver::FreePort()); };
  config->mutable_gateway()->set_grpc_listen(listen());
  config->mutable_gateway()->set_sql_listen(listen());
  config->mutable_gateway()->set_sql_advertise(config->gateway().sql_listen());
  config->mutable_gateway()->set_http_listen(listen());
  for (v1::ServiceConfig& service : *config->mutable_services()) service.set_http_listen(listen());
  return *config;
}

v1::Config NoSuchFolder() {
  v1::Config config = FreshConfig();
  config.mutable_services(0)->set_migrations("/no/such/folder");
  return config;
}

class Daemon {
 public:
  Daemon(const std::string& program, const std::string& yaml) {
    static int runs = 0;
    const std::string base = absl::StrCat(SharedStack().state_dir(), "/daemon-", ++runs);
    std::ofstream(base + ".yaml") << yaml;
    log_ = base + ".log";
    std::vector<std::string> argv = {absl::StrCat(LEASEHOLD_BINARIES, "/", program), "--config", base + ".yaml"};
    if (program == "leasehold-provisioner") argv.insert(argv.end(), {"--service", "alpha"});
    auto process = localserver::ChildProcess::Start(
        {.argv = std::move(argv), .environment = {}, .log_path = log_, .working_dir = "", .user = ""});
    EXPECT_TRUE(process.ok()) << process.status();
    process_ = *std::move(process);
  }
  ~Daemon() { process_->Stop(SIGTERM, absl::Seconds(20)); }

  std::string Log() const {
    std::ifstream file(log_);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }
  // Its exit code; -1 if it is still there after 20 s.
  int ExitCode() {
    if (!Eventually([&] { return !process_->Running(); }, absl::Seconds(20))) return -1;
    return WEXITSTATUS(*process_->exit_status());
  }
  bool Running() { return process_->Running(); }

 private:
  std::string log_;
  std::unique_ptr<localserver::ChildProcess> process_;
};

TEST(Start, ABadConfigurationIsOneLineAndExitStatusOne) {
  struct Case {
    std::string program;
    std::string yaml;
    std::string field;
  };
  for (const Case& bad : std::vector<Case>{
           {"leasehold-gateway", "services:\n  - name: Not_A_Service\n", "services[0].name"},
           {"leasehold-gateway", "gateway:\n  grpc_lisen: 127.0.0.1:1\nservices:\n  - name: alpha\n", "grpc_listen"},
           {"leasehold-gateway", "leases:\n  max_ttl: never\nservices:\n  - name: alpha\n", "leases.max_ttl"},
           {"leasehold-gateway", "gateway:\n  max_clients: 99999999999\nservices:\n  - name: alpha\n",
            "gateway.max_clients is '99999999999'; allowed: 1 to 1000000"},
           {"leasehold-provisioner", "services:\n  - name: beta\n", "alpha"},
           {"leasehold-provisioner", ToYaml(NoSuchFolder()), "migrations"},
           {"leasehold-provisioner", "services:\n  - name: alpha\n    instance: {port: 99999}\n", "instance.port"}}) {
    Daemon daemon(bad.program, bad.yaml);
    EXPECT_EQ(daemon.ExitCode(), 1) << bad.yaml;
    const std::string log = daemon.Log();
    EXPECT_THAT(log, HasSubstr(bad.field));
    EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 1) << log;
  }
}

TEST(Start, APortThatIsTakenIsNamed) {
  v1::Config config = FreshConfig();
  const std::string taken = SharedStack().Env("LEASEHOLD_GATEWAY");
  config.mutable_gateway()->set_grpc_listen(taken);
  Daemon daemon("leasehold-gateway", ToYaml(config));
  EXPECT_EQ(daemon.ExitCode(), 1);
  EXPECT_THAT(daemon.Log(), AllOf(HasSubstr("gateway.grpc_listen"), HasSubstr(taken)));
}

TEST(Start, UnreachableServersAreNamedAndWaitedFor) {
  v1::Config config = FreshConfig();
  config.mutable_nats()->set_url("nats://127.0.0.1:1");
  config.mutable_registry()->set_dsn("host=127.0.0.1 port=1 dbname=leasehold user=leasehold");
  int port = 0;  // nobody listens on the first ones
  for (v1::ServiceConfig& service : *config.mutable_services()) service.mutable_instance()->set_port(++port);
  Daemon gateway("leasehold-gateway", ToYaml(config));
  Daemon provisioner("leasehold-provisioner", ToYaml(config));
  EXPECT_TRUE(Eventually([&] {
    return gateway.Log().contains("registry") && gateway.Log().contains("NATS") && provisioner.Log().contains("NATS") &&
           provisioner.Log().contains("instance");
  })) << gateway.Log()
      << provisioner.Log();
  EXPECT_TRUE(gateway.Running());
  EXPECT_TRUE(provisioner.Running());
}

// Nothing is asked for before it is made, so that what PostgreSQL complains of is worth reading.
TEST(Start, AFreshInstanceHasNothingToComplainOf) {
  Stack stack;
  stack.CreateTenant(FreshTenantId());
  for (const char* server : {"registry", "alpha", "beta"}) {
    std::ifstream log(absl::StrCat(stack.state_dir(), "/log/postgres-", server, ".log"));
    ASSERT_TRUE(log.is_open()) << server;
    size_t lines = 0;
    for (std::string line; std::getline(log, line); ++lines) EXPECT_THAT(line, Not(HasSubstr("ERROR:"))) << server;
    EXPECT_GT(lines, 0u) << server;
  }
}

// The second signal is for who does not want to wait: nothing that it kills is started again.
TEST(Start, ASecondSignalKillsTheStackForGood) {
  const localserver::TemporaryDirectory directory;
  const std::string log = directory.path() + "/stack.log";
  auto stack = localserver::ChildProcess::Start(
      {.argv = {absl::StrCat(LEASEHOLD_BINARIES, "/leasehold"), "stack", "up", "--config", LEASEHOLD_TEST_CONFIG,
                "--state-dir", directory.path(), "--ports", "auto"},
       .environment = {},
       .log_path = log,
       .working_dir = "",
       .user = ""});
  ASSERT_TRUE(stack.ok()) << stack.status();
  ASSERT_TRUE(Eventually([&] { return std::filesystem::exists(directory.path() + "/stack.env"); }, absl::Seconds(90)))
      << Slurp(log);
  (*stack)->Signal(SIGINT);
  (*stack)->Signal(SIGTERM);
  EXPECT_EQ((*stack)->Wait(), 0);
  EXPECT_THAT(Slurp(log),
              AllOf(HasSubstr("killing everything"), HasSubstr("stopped"), Not(HasSubstr("starting it again"))));
}

}  // namespace
}  // namespace leasehold::testing
