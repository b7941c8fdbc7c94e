// A real PostgreSQL server with what an operator prepares for a provisioner: a login that is no superuser, but CREATEDB
// and CREATEROLE, and its central database. Tests only.
#pragma once

#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "common/localserver/localserver.h"
#include "common/postgres/postgres.h"
#include "services/provisioner/migrations/folder.h"
#include "services/provisioner/steps/instance.h"

namespace leasehold::provisioner {

class TestInstance {
 public:
  // `settings`: more of the server's, "name=value".
  static absl::StatusOr<std::unique_ptr<TestInstance>> Start(std::vector<std::string> settings = {});

  const Instance& instance() const { return *instance_; }
  localserver::PostgresServer& server() { return *server_; }
  // Of an instance of the same service on another server that knows the same roles.
  static Instance::Options OptionsFor(const v1::InstanceConfig& config);
  static Secret superuser_password();
  std::string data_dir() const { return directory_.path() + "/data"; }

  // A new connection each time.
  postgres::Connection Login(std::string_view database = "identity_central") const;
  postgres::Connection Superuser(std::string_view database = "postgres") const;

  // The first field of the first row, as the superuser; "" for no row or NULL, "error: …" if it failed.
  std::string Ask(std::string_view database, std::string_view sql) const;

 private:
  TestInstance() = default;
  localserver::TemporaryDirectory directory_;
  std::unique_ptr<localserver::PostgresServer> server_;
  std::optional<Instance> instance_;
};

// The same through any connection.
std::string AskOver(postgres::Connection& connection, std::string_view sql);

// Files as if they had been read from a folder.
absl::StatusOr<Migrations> MigrationsOf(std::initializer_list<std::pair<std::string_view, std::string_view>> files);

}  // namespace leasehold::provisioner
