// A PostgreSQL server for a test program, and how to connect to it.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "common/localserver/localserver.h"
#include "common/postgres/postgres.h"

namespace leasehold::postgres {

inline constexpr std::string_view kPassword = "correct horse";

// One server for the whole program.
class Server : public ::testing::Environment {
 public:
  void SetUp() override {
    auto started = localserver::PostgresServer::Start({.data_dir = folder_.path() + "/data",
                                                       .superuser_password = Secret(std::string(kPassword)),
                                                       .settings = {"max_connections=20"}});
    ASSERT_TRUE(started.ok()) << started.status();
    server_ = *std::move(started);
  }
  void TearDown() override { server_.reset(); }
  localserver::PostgresServer& operator*() { return *server_; }

 private:
  localserver::TemporaryDirectory folder_;
  std::unique_ptr<localserver::PostgresServer> server_;
};

inline auto* const server = static_cast<Server*>(::testing::AddGlobalTestEnvironment(new Server));

inline ConnectOptions Options(std::string_view database = "postgres") {
  return {.dsn = Dsn("127.0.0.1", (**server).port(), database, "postgres"), .password = Secret(std::string(kPassword))};
}

inline std::string Message(const absl::Status& status) { return std::string(status.message()); }

}  // namespace leasehold::postgres
