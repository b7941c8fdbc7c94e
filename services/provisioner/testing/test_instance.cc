#include "services/provisioner/testing/test_instance.h"

#include <format>
#include <fstream>

#include "common/secret/secret.h"
#include "common/status/error.h"

namespace leasehold::provisioner {
namespace {

constexpr std::string_view kPassword = "a test's password";
constexpr std::string_view kSuperuserPassword = "a superuser's password";

}  // namespace

absl::StatusOr<std::unique_ptr<TestInstance>> TestInstance::Start(std::vector<std::string> settings) {
  settings.emplace_back("max_connections=60");
  std::unique_ptr<TestInstance> test(new TestInstance());
  LH_ASSIGN_OR_RETURN(test->server_, localserver::PostgresServer::Start({
                                         .data_dir = test->data_dir(),
                                         .superuser_password = Secret(std::string(kSuperuserPassword)),
                                         .settings = std::move(settings),
                                     }));
  v1::InstanceConfig config;
  config.set_host("127.0.0.1");
  config.set_port(test->server_->port());
  config.set_database("identity_central");
  config.set_username("leasehold");
  config.set_sslmode("disable");
  test->instance_.emplace(OptionsFor(config));
  postgres::Connection superuser = test->Superuser();
  LH_RETURN_IF_ERROR(superuser
                         .ExecAlone(std::format("CREATE ROLE leasehold LOGIN CREATEDB CREATEROLE PASSWORD {}",
                                                postgres::QuoteLiteral(kPassword)))
                         .status());
  LH_RETURN_IF_ERROR(superuser.ExecAlone("CREATE DATABASE identity_central OWNER leasehold").status());
  return test;
}

Instance::Options TestInstance::OptionsFor(const v1::InstanceConfig& config) {
  return {.service = *ServiceName::Parse("identity"),
          .config = config,
          .password = Secret(std::string(kPassword)),
          .role_key = *RoleKey::Parse(std::string(64, 'a'))};
}

Secret TestInstance::superuser_password() { return Secret(std::string(kSuperuserPassword)); }

postgres::Connection TestInstance::Login(std::string_view database) const {
  return postgres::Connection(instance_->AsLogin(database));
}

postgres::Connection TestInstance::Superuser(std::string_view database) const {
  return postgres::Connection({.dsn = postgres::Dsn("127.0.0.1", server_->port(), database, "postgres", "disable"),
                               .password = Secret(std::string(kSuperuserPassword))});
}

std::string TestInstance::Ask(std::string_view database, std::string_view sql) const {
  postgres::Connection superuser = Superuser(database);
  return AskOver(superuser, sql);
}

std::string AskOver(postgres::Connection& connection, std::string_view sql) {
  const absl::StatusOr<pqxx::result> result = connection.ExecAlone(sql);
  if (!result.ok()) return std::format("error: {}", postgres::SqlStateOf(result.status()));
  if (result->empty() || result->columns() == 0 || (*result)[0][0].is_null()) return "";
  return (*result)[0][0].as<std::string>();
}

absl::StatusOr<Migrations> MigrationsOf(std::initializer_list<std::pair<std::string_view, std::string_view>> files) {
  const localserver::TemporaryDirectory directory;
  for (const auto& [name, text] : files) std::ofstream(std::format("{}/{}", directory.path(), name)) << text;
  return ReadMigrations(directory.path());
}

}  // namespace leasehold::provisioner
