// What the tests against a real nats-server share: the server, which they stop, kill and rob of its data, and a client.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "common/jetstream/handles.h"
#include "common/jetstream/jetstream.h"
#include "common/localserver/localserver.h"
#include "common/status/error.h"

namespace leasehold::jetstream {

inline constexpr absl::Duration kPatience = absl::Seconds(20);

// Calls `condition` until it holds or patience ends.
template <typename Condition>
bool Eventually(Condition condition) {
  const absl::Time deadline = absl::Now() + kPatience;
  while (absl::Now() < deadline) {
    if (condition()) return true;
    absl::SleepFor(absl::Milliseconds(10));
  }
  return false;
}

using Messages = std::vector<std::unique_ptr<Message>>;

// States as a list, readable from the test's thread.
class States {
 public:
  std::function<void(const absl::Status&)> Recorder() {
    return [this](const absl::Status& status) {
      absl::MutexLock lock(&mu_);
      states_.push_back(ReasonName(ReasonOf(status)) == "NATS_UNAVAILABLE" ? "down" : "up");
    };
  }
  std::vector<std::string> Get() {
    absl::MutexLock lock(&mu_);
    return states_;
  }

 private:
  absl::Mutex mu_;
  std::vector<std::string> states_ ABSL_GUARDED_BY(mu_);
};

class JetStreamTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto server = localserver::NatsServer::Start({.data_dir = Data()});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    client_ = Connect();
  }

  std::string Data() const { return directory_.path() + "/nats"; }

  std::unique_ptr<Client> Connect(std::function<void(const absl::Status&)> on_state = nullptr) {
    auto client = Client::Connect({.url = server_->Url(), .name = "test", .on_state = std::move(on_state)});
    EXPECT_TRUE(client.ok()) << client.status();
    return *std::move(client);
  }

  void LoseEverything() {
    server_->Kill();
    std::filesystem::remove_all(Data());
    ASSERT_TRUE(server_->Restart().ok());
  }

  absl::Status Publish(const std::string& subject, const std::string& payload, const std::string& id = "") {
    return client_->Publish(subject, payload, {}, id);
  }

  std::unique_ptr<PullConsumer> Subscribe(ConsumerOptions options = {}) {
    if (options.stream.empty()) options.stream = "TENANTS";
    if (options.durable.empty()) options.durable = "identity";
    auto consumer = client_->Subscribe(options);
    EXPECT_TRUE(consumer.ok()) << consumer.status();
    return *std::move(consumer);
  }

  // Fetches until something comes; failed attempts are part of the game while the server is away.
  Messages Take(PullConsumer& consumer, int max = 10) {
    const absl::Time deadline = absl::Now() + kPatience;
    while (absl::Now() < deadline) {
      auto messages = consumer.Fetch(max, absl::Milliseconds(500));
      if (messages.ok() && !messages->empty()) return *std::move(messages);
    }
    ADD_FAILURE() << "no message came";
    return {};
  }

  // So many, or what came in time of them.
  Messages TakeEach(PullConsumer& consumer, size_t count) {
    Messages all;
    while (all.size() < count) {
      Messages some = Take(consumer);
      if (some.empty()) break;
      std::ranges::move(some, std::back_inserter(all));
    }
    return all;
  }

  Messages TakeNow(PullConsumer& consumer) {
    auto messages = consumer.Fetch(10, absl::Milliseconds(200));
    EXPECT_TRUE(messages.ok()) << messages.status();
    return messages.ok() ? *std::move(messages) : Messages();
  }

  localserver::TemporaryDirectory directory_;
  std::unique_ptr<localserver::NatsServer> server_;
  States states_;
  std::unique_ptr<Client> client_;
};

// What an operator's tool would do behind the client's back.
class Operator {
 public:
  explicit Operator(const std::string& url) {
    natsConnection* connection = nullptr;
    EXPECT_EQ(natsConnection_ConnectTo(&connection, url.c_str()), NATS_OK);
    connection_.reset(connection);
    jsCtx* jetstream = nullptr;
    EXPECT_EQ(natsConnection_JetStream(&jetstream, connection, nullptr), NATS_OK);
    jetstream_.reset(jetstream);
  }
  void DeleteStream(const char* name) { EXPECT_EQ(js_DeleteStream(jetstream_.get(), name, nullptr, nullptr), NATS_OK); }
  void DeleteConsumer(const char* stream, const char* name) {
    EXPECT_EQ(js_DeleteConsumer(jetstream_.get(), stream, name, nullptr, nullptr), NATS_OK);
  }

 private:
  NatsConnectionPtr connection_;
  JsCtxPtr jetstream_;
};

}  // namespace leasehold::jetstream
