#include "services/cli/stack/bootstrap.h"

#include <array>

#include "absl/strings/str_cat.h"
#include "common/postgres/postgres.h"
#include "common/scram/scram.h"
#include "common/status/error.h"

namespace leasehold::stack {
namespace {

// What pgjdbc and others take as a minimum; the password has 256 bits and needs no more.
constexpr int kIterations = 4096;

std::string ScramSecret(const Secret& password) {
  std::array<uint8_t, 16> salt{};
  RandomBytes(salt);
  const std::string_view salt_bytes(reinterpret_cast<const char*>(salt.data()), salt.size());
  return scram::PostgresSecret(scram::MakeVerifier(password.reveal(), salt_bytes, kIterations));
}

absl::StatusOr<bool> Exists(postgres::Connection& connection, std::string_view query, const std::string& name) {
  LH_ASSIGN_OR_RETURN(const pqxx::result rows, connection.ExecAlone(query, {name}));
  return !rows.empty();
}

absl::Status Run(postgres::Connection& connection, const std::string& statement) {
  return connection.ExecAlone(statement).status();
}

}  // namespace

absl::Status Prepare(const Bootstrap& bootstrap) {
  postgres::Connection connection({.dsn = postgres::Dsn("127.0.0.1", bootstrap.port, "postgres", "postgres"),
                                   .password = bootstrap.superuser_password,
                                   .application_name = "leasehold stack"});
  LH_RETURN_IF_ERROR(connection.Connect());

  const std::string login = postgres::QuoteIdentifier(bootstrap.login);
  LH_ASSIGN_OR_RETURN(const bool has_login,
                      Exists(connection, "SELECT 1 FROM pg_roles WHERE rolname = $1", bootstrap.login));
  if (!has_login) LH_RETURN_IF_ERROR(Run(connection, absl::StrCat("CREATE ROLE ", login)));
  LH_RETURN_IF_ERROR(Run(connection, absl::StrCat("ALTER ROLE ", login, " LOGIN NOSUPERUSER",
                                                  bootstrap.manages_tenants ? " CREATEDB CREATEROLE" : "", " PASSWORD ",
                                                  postgres::QuoteLiteral(ScramSecret(bootstrap.login_password)))));

  LH_ASSIGN_OR_RETURN(const bool has_database,
                      Exists(connection, "SELECT 1 FROM pg_database WHERE datname = $1", bootstrap.database));
  if (has_database) return absl::OkStatus();
  return Run(connection,
             absl::StrCat("CREATE DATABASE ", postgres::QuoteIdentifier(bootstrap.database), " OWNER ", login));
}

}  // namespace leasehold::stack
