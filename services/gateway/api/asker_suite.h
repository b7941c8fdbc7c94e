// A NATS server, a client of it and one service. Tests only.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/time/clock.h"
#include "common/jetstream/jetstream.h"
#include "common/localserver/localserver.h"
#include "services/gateway/lease/services.h"

namespace leasehold::gateway {

class AskerSuite : public ::testing::Test {
 protected:
  void SetUp() override {
    auto server = localserver::NatsServer::Start({.data_dir = directory_.path() + "/nats"});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    auto client = jetstream::Client::Connect({.url = server_->Url(), .name = "test"});
    ASSERT_TRUE(client.ok()) << client.status();
    client_ = *std::move(client);
    while (!client_->connected()) absl::SleepFor(absl::Milliseconds(5));
    for (const char* name : {"identity", "core"}) config_.add_services()->set_name(name);
    services_.emplace(config_);
  }
  std::unique_ptr<jetstream::Responder> Answer(const std::string& subject,
                                               std::function<std::string(std::string_view)> handler) {
    auto responder = client_->Respond(subject, "q", std::move(handler));
    EXPECT_TRUE(responder.ok()) << responder.status();
    return *std::move(responder);
  }

  localserver::TemporaryDirectory directory_;
  std::unique_ptr<localserver::NatsServer> server_;
  std::unique_ptr<jetstream::Client> client_;
  v1::Config config_;
  std::optional<KnownServices> services_;
};

}  // namespace leasehold::gateway
