// Levels of logs: the gateway's own, and provisioners' behind a real NATS server.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "common/status/error.h"
#include "common/status/grpc.h"
#include "common/telemetry/log.h"
#include "services/gateway/api/asker_suite.h"
#include "services/gateway/api/log_service.h"

namespace leasehold::gateway {
namespace {

using ::testing::HasSubstr;

// A provisioner of which only the log is real enough.
class Provisioner {
 public:
  Provisioner(jetstream::Client& nats, const std::string& service)
      : one_(*nats.Respond("instance." + service, "q", Answers())),
        all_(*nats.Respond("instance." + service + ".all", "", Answers())) {}

  v1::LogLevel level() const { return static_cast<v1::LogLevel>(level_.load()); }

 private:
  std::function<std::string(std::string_view)> Answers() {
    return [this](std::string_view bytes) {
      v1::InstanceCall call;
      EXPECT_TRUE(call.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
      if (call.log_level().level() != v1::LOG_LEVEL_UNSPECIFIED) level_ = call.log_level().level();
      v1::InstanceAnswer answer;
      answer.set_log_level(level());
      return answer.SerializeAsString();
    };
  }

  std::atomic<int> level_ = v1::LOG_LEVEL_INFO;
  const std::unique_ptr<jetstream::Responder> one_;
  const std::unique_ptr<jetstream::Responder> all_;
};

class LogLevelTest : public AskerSuite {
 protected:
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(AskerSuite::SetUp());
    asker_.emplace(*client_, *services_);
    service_.emplace(queries_, *asker_, config_);
    grpc::ServerBuilder builder;
    builder.RegisterService(&*service_);
    server_ = builder.BuildAndStart();
    stub_ = v1::LogService::NewStub(server_->InProcessChannel({}));
    SetLogLevel(Level::kInfo);
  }
  void TearDown() override { server_->Shutdown(); }

  absl::StatusOr<v1::SetLogLevelResponse> Set(v1::LogLevel level, const std::string& service = "",
                                              bool gateway_only = false) {
    v1::SetLogLevelRequest request;
    request.set_level(level);
    request.set_service(service);
    request.set_gateway_only(gateway_only);
    grpc::ClientContext context;
    v1::SetLogLevelResponse response;
    const absl::Status status = FromGrpc(stub_->SetLogLevel(&context, request, &response), "the test");
    if (!status.ok()) return status;
    return response;
  }
  absl::StatusOr<v1::ListLogLevelsResponse> List(const std::string& service = "") {
    v1::ListLogLevelsRequest request;
    request.set_service(service);
    grpc::ClientContext context;
    v1::ListLogLevelsResponse response;
    const absl::Status status = FromGrpc(stub_->ListLogLevels(&context, request, &response), "the test");
    if (!status.ok()) return status;
    return response;
  }
  // "gateway INFO, provisioner/core INFO".
  template <typename Response>
  static std::string Shown(const absl::StatusOr<Response>& response) {
    if (!response.ok()) return response.status().ToString();
    std::string shown;
    for (const v1::DaemonLog& log : response->logs()) {
      shown += (shown.empty() ? "" : ", ") + log.component() + " " +
               (log.trouble().empty() ? v1::LogLevel_Name(log.level()).substr(10) : "(" + log.trouble() + ")");
    }
    return shown;
  }

  QueryLog queries_{{"core", "identity"}, false};
  std::optional<InstanceAsker> asker_;
  std::optional<LogService> service_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<v1::LogService::Stub> stub_;
};

TEST_F(LogLevelTest, AllDaemonsAreToldAndTellWhatTheyLog) {
  const Provisioner core(*client_, "core"), again(*client_, "core"), identity(*client_, "identity");
  EXPECT_EQ(Shown(List()), "gateway INFO, provisioner/core INFO, provisioner/identity INFO");
  EXPECT_EQ(Shown(Set(v1::LOG_LEVEL_DEBUG)), "gateway DEBUG, provisioner/core DEBUG, provisioner/identity DEBUG");
  EXPECT_TRUE(LogEnabled(Level::kDebug));
  // Each of a service's provisioners, not the one that was asked.
  for (const auto* each : {&core, &again}) {
    while (each->level() != v1::LOG_LEVEL_DEBUG) absl::SleepFor(absl::Milliseconds(1));
  }
  EXPECT_EQ(Shown(Set(v1::LOG_LEVEL_WARNING, "identity-service")), "provisioner/identity WARNING");
  EXPECT_EQ(Shown(Set(v1::LOG_LEVEL_ERROR, "", /*gateway_only=*/true)), "gateway ERROR");
  EXPECT_EQ(Shown(List()), "gateway ERROR, provisioner/core DEBUG, provisioner/identity WARNING");
  EXPECT_EQ(Shown(List("core")), "provisioner/core DEBUG");
}

TEST_F(LogLevelTest, WhoDoesNotAnswerIsNamedAndHoldsNobodyUp) {
  const Provisioner identity(*client_, "identity");
  EXPECT_EQ(Shown(Set(v1::LOG_LEVEL_DEBUG)),
            "gateway DEBUG, provisioner/core (no provisioner of core answers), provisioner/identity DEBUG");
  EXPECT_EQ(identity.level(), v1::LOG_LEVEL_DEBUG);
}

TEST_F(LogLevelTest, WhatIsNoLevelOrNoServiceChangesNothing) {
  const Provisioner core(*client_, "core"), identity(*client_, "identity");
  for (const int bad : {0, 9, -1}) {
    const absl::Status refused = Set(static_cast<v1::LogLevel>(bad)).status();
    EXPECT_EQ(ReasonOf(refused), v1::REASON_INVALID_FIELD) << refused;
    EXPECT_THAT(std::string(refused.message()), HasSubstr("allowed: debug, info, warning, error"));
  }
  EXPECT_EQ(ReasonOf(Set(v1::LOG_LEVEL_DEBUG, "payroll").status()), v1::REASON_SERVICE_NOT_FOUND);
  EXPECT_EQ(ReasonOf(Set(v1::LOG_LEVEL_DEBUG, "Pay Roll").status()), v1::REASON_INVALID_FIELD);
  EXPECT_EQ(ReasonOf(Set(v1::LOG_LEVEL_DEBUG, "core", /*gateway_only=*/true).status()), v1::REASON_INVALID_FIELD);
  EXPECT_EQ(ReasonOf(List("payroll").status()), v1::REASON_SERVICE_NOT_FOUND);
  EXPECT_EQ(Shown(List()), "gateway INFO, provisioner/core INFO, provisioner/identity INFO");
}

}  // namespace
}  // namespace leasehold::gateway
