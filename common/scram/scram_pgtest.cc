// PostgreSQL itself as the judge of the stored form, and as the server of our client's side.
#include <gtest/gtest.h>

#include <memory>
#include <pqxx/pqxx>
#include <string>

#include "common/localserver/localserver.h"
#include "common/scram/scram.h"

namespace leasehold::scram {
namespace {

class ScramOnPostgres : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<localserver::TemporaryDirectory>();
    auto server = localserver::PostgresServer::Start({.data_dir = folder_->path() + "/data",
                                                      .port = 0,
                                                      .superuser_password = Secret(std::string("postgres")),
                                                      .settings = {},
                                                      .durable = false});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  static void TearDownTestSuite() {
    server_.reset();
    folder_.reset();
  }

  static std::string Dsn(const std::string& user, const std::string& password) {
    return "host=127.0.0.1 port=" + std::to_string(server_->port()) + " dbname=postgres user=" + user +
           " password=" + password + " require_auth=scram-sha-256";
  }

  // A role whose password PostgreSQL never sees.
  static void CreateRole(const std::string& name, const Verifier& verifier) {
    pqxx::connection connection(server_->SuperuserDsn());
    pqxx::nontransaction work(connection);
    work.exec("CREATE ROLE " + work.quote_name(name) + " LOGIN PASSWORD " + work.quote(PostgresSecret(verifier)));
  }

  static std::unique_ptr<localserver::TemporaryDirectory> folder_;
  static std::unique_ptr<localserver::PostgresServer> server_;
};

std::unique_ptr<localserver::TemporaryDirectory> ScramOnPostgres::folder_;
std::unique_ptr<localserver::PostgresServer> ScramOnPostgres::server_;

constexpr char kSalt[] = "sixteen bytes...";

TEST_F(ScramOnPostgres, ASecretOfOneIterationLetsItsPasswordIn) {
  CreateRole("one", MakeVerifier("derived-password", kSalt, 1));
  pqxx::connection connection(Dsn("one", "derived-password"));
  pqxx::nontransaction work(connection);
  EXPECT_EQ(work.query_value<std::string>("SELECT current_user"), "one");
  EXPECT_THROW(pqxx::connection(Dsn("one", "another-password")), pqxx::broken_connection);
}

TEST_F(ScramOnPostgres, ASecretOf4096IterationsDoesToo) {
  CreateRole("many", MakeVerifier("derived-password", kSalt, 4096));
  EXPECT_TRUE(pqxx::connection(Dsn("many", "derived-password")).is_open());
  EXPECT_THROW(pqxx::connection(Dsn("many", "")), pqxx::broken_connection);
}

TEST_F(ScramOnPostgres, TheSecretIsStoredAsItWasGiven) {
  const Verifier verifier = MakeVerifier("derived-password", kSalt, 1);
  CreateRole("stored", verifier);
  pqxx::connection connection(server_->SuperuserDsn());
  pqxx::nontransaction work(connection);
  EXPECT_EQ(work.query_value<std::string>("SELECT rolpassword FROM pg_authid WHERE rolname = 'stored'"),
            PostgresSecret(verifier));
}

TEST_F(ScramOnPostgres, TheSecretSurvivesARename) {
  CreateRole("before", MakeVerifier("derived-password", kSalt, 1));
  {
    pqxx::connection connection(server_->SuperuserDsn());
    pqxx::nontransaction(connection).exec("ALTER ROLE before RENAME TO after");
  }
  EXPECT_TRUE(pqxx::connection(Dsn("after", "derived-password")).is_open());
}

}  // namespace
}  // namespace leasehold::scram
