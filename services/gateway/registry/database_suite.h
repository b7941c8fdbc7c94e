// A PostgreSQL server for a suite of tests, with a database of its own for each. Tests only.
#pragma once

#include <gtest/gtest.h>

#include <format>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "common/jetstream/jetstream.h"
#include "common/localserver/localserver.h"
#include "common/postgres/postgres.h"
#include "services/gateway/registry/registry.h"

namespace leasehold::gateway {

class DatabaseSuite : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new localserver::TemporaryDirectory();
    auto started = localserver::PostgresServer::Start(
        {.data_dir = folder_->path() + "/pg", .port = 0, .superuser_password = Secret("secret"), .settings = {}});
    ASSERT_TRUE(started.ok()) << started.status();
    postgres_ = started->release();
  }
  static void TearDownTestSuite() {
    delete postgres_;
    postgres_ = nullptr;
    delete folder_;
    folder_ = nullptr;
  }

  void SetUp() override {
    if (!postgres_->Running()) {
      ASSERT_TRUE(postgres_->Restart().ok());
    }
    static int count = 0;
    database_ = std::format("leasehold_{}", ++count);
    postgres::Connection admin(Options("postgres"));
    const auto created = admin.ExecAlone("CREATE DATABASE " + database_);
    ASSERT_TRUE(created.ok()) << created.status();
  }

  static postgres::ConnectOptions Options(const std::string& database) {
    postgres::ConnectOptions options;
    options.dsn = postgres::Dsn("127.0.0.1", postgres_->port(), database, "postgres");
    options.password = Secret("secret");
    return options;
  }

  // Of a registry in the test's database, of two services.
  Registry::Options RegistryOptions() const {
    Registry::Options options;
    v1::RegistryConfig& config = *options.config.mutable_registry();
    config.set_dsn(Options(database_).dsn);
    config.set_connections(3);
    config.mutable_retention()->set_seconds(3600);
    config.mutable_cache_ttl()->set_seconds(3600);
    options.config.mutable_nats()->set_replicas(1);
    options.config.add_services()->set_name("identity");
    options.config.add_services()->set_name("core");
    options.password = Secret("secret");
    options.tick = absl::Milliseconds(100);
    return options;
  }

  static inline localserver::TemporaryDirectory* folder_ = nullptr;
  static inline localserver::PostgresServer* postgres_ = nullptr;
  std::string database_;
};

// With a NATS server of each test's own, and a client.
class NatsDatabaseSuite : public DatabaseSuite {
 protected:
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(DatabaseSuite::SetUp());
    auto nats = localserver::NatsServer::Start({.data_dir = std::format("{}/nats_{}", folder_->path(), database_)});
    ASSERT_TRUE(nats.ok()) << nats.status();
    nats_ = *std::move(nats);
    auto client = jetstream::Client::Connect({.url = nats_->Url(), .name = "gateway", .on_state = nullptr});
    ASSERT_TRUE(client.ok()) << client.status();
    client_ = *std::move(client);
  }

  std::unique_ptr<localserver::NatsServer> nats_;
  std::unique_ptr<jetstream::Client> client_;
};

}  // namespace leasehold::gateway
