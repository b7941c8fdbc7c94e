#include "common/daemon/daemon.h"

#include <gmock/gmock.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <unistd.h>

#include <csignal>

#include "absl/time/clock.h"
#include "common/localserver/localserver.h"
#include "common/status/error.h"

namespace leasehold {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(SignalWaiter, ReturnsTheSignalOrZeroWhenWoken) {
  SignalWaiter waiter;
  kill(getpid(), SIGTERM);
  EXPECT_EQ(waiter.Wait(), SIGTERM);
  kill(getpid(), SIGINT);
  EXPECT_EQ(waiter.Wait(), SIGINT);
  std::thread waker([&waiter] { waiter.Wake(); });
  EXPECT_EQ(waiter.Wait(), 0);
  waker.join();
}

TEST(SignalWaiter, ThreadsMadeAfterItDoNotTakeTheSignal) {
  SignalWaiter waiter;
  std::thread other([] { kill(getpid(), SIGTERM); });
  EXPECT_EQ(waiter.Wait(), SIGTERM);
  other.join();
}

google::protobuf::Struct Parsed(const std::string& json) {
  google::protobuf::Struct parsed;
  EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(json, &parsed).ok()) << json;
  return parsed;
}

const google::protobuf::Struct& Component(const google::protobuf::Struct& health, const std::string& name) {
  return health.fields().at("components").struct_value().fields().at(name).struct_value();
}

TEST(Health, IsReadyWhenAllThatIsRequiredIsWell) {
  FakeClock clock(absl::FromUnixSeconds(1'800'000'000));
  Health health(clock);
  EXPECT_TRUE(health.Ready());
  health.Require("registry");
  EXPECT_FALSE(health.Ready()) << "unknown is not ready";
  EXPECT_EQ(Component(Parsed(health.Json()), "registry").fields().at("status").string_value(), "unknown");
  health.Set("registry", absl::OkStatus());
  health.Set("instance/core", absl::UnavailableError("down"));
  EXPECT_TRUE(health.Ready()) << "not required";
  health.Set("registry", Error(v1::REASON_REGISTRY_UNAVAILABLE, "the registry does not answer"));
  EXPECT_FALSE(health.Ready());
}

TEST(Health, TellsSinceWhenAndOnlyWhatStrangersMayRead) {
  FakeClock clock(absl::FromUnixSeconds(1'800'000'000));
  Health health(clock);
  health.Require("nats");
  health.Set("nats", Error(v1::REASON_NATS_UNAVAILABLE, "NATS \"x\" does not answer"));
  clock.Advance(absl::Seconds(5));
  health.Set("nats", Error(v1::REASON_NATS_UNAVAILABLE, "still \"nothing\""));
  health.Set("instance/core", absl::InternalError("FATAL: role \"secret_role\""));
  const google::protobuf::Struct json = Parsed(health.Json());
  EXPECT_EQ(json.fields().at("status").string_value(), "failing");
  const auto& nats = Component(json, "nats").fields();
  EXPECT_EQ(nats.at("status").string_value(), "failing");
  EXPECT_EQ(nats.at("since").string_value(), "2027-01-15T08:00:00.000Z")
      << "it has been failing since the first report";
  EXPECT_EQ(nats.at("error").string_value(), "still \"nothing\"");
  EXPECT_EQ(Component(json, "instance/core").fields().at("error").string_value(), "internal error");
  EXPECT_THAT(health.Json(), Not(HasSubstr("secret_role")));
}

class HttpEndpointTest : public ::testing::Test {
 protected:
  HttpEndpointTest() : health_(clock_), endpoint_(health_, metrics_), listen_{"127.0.0.1", localserver::FreePort()} {}

  httplib::Result Get(const std::string& path) { return httplib::Client(listen_.host, listen_.port).Get(path); }

  FakeClock clock_;
  Health health_;
  Metrics metrics_;
  HttpEndpoint endpoint_;
  HostPort listen_;
};

TEST_F(HttpEndpointTest, AnswersProbesAndScrapes) {
  health_.Require("nats");
  metrics_.Counter("leasehold_tests_total", "Tests.").Increment();
  endpoint_.Handle("/extra", [] { return HttpAnswer{.status = 202, .body = "more"}; });
  ASSERT_TRUE(endpoint_.Start(listen_).ok());

  EXPECT_EQ(Get("/livez")->status, 200);
  EXPECT_EQ(Get("/readyz")->status, 503);
  EXPECT_EQ(Get("/healthz")->status, 503);
  health_.Set("nats", absl::OkStatus());
  EXPECT_EQ(Get("/readyz")->status, 200);
  const httplib::Result healthz = Get("/healthz");
  EXPECT_EQ(healthz->get_header_value("Content-Type"), "application/json");
  EXPECT_EQ(Parsed(healthz->body).fields().at("status").string_value(), "ok");
  EXPECT_THAT(Get("/metrics")->body, HasSubstr("leasehold_tests_total 1"));
  EXPECT_EQ(Get("/extra")->status, 202);
  EXPECT_EQ(Get("/nowhere")->status, 404);

  httplib::Client client(listen_.host, listen_.port);
  EXPECT_EQ(client.Head("/livez")->status, 200);
  EXPECT_EQ(client.Post("/livez", "x", "text/plain")->status, 405);
  EXPECT_EQ(client.Delete("/metrics")->status, 405);
}

TEST_F(HttpEndpointTest, SaysWhatIsInTheWay) {
  ASSERT_TRUE(endpoint_.Start(listen_).ok());
  HttpEndpoint second(health_, metrics_);
  const absl::Status taken = second.Start(listen_);
  EXPECT_EQ(taken.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(taken.message()), HasSubstr("Address already in use"));
  second.Stop();  // changes nothing
  EXPECT_EQ(Get("/livez")->status, 200);
}

TEST_F(HttpEndpointTest, StopsAlthoughAClientHoldsItsConnection) {
  ASSERT_TRUE(endpoint_.Start(listen_).ok());
  httplib::Client client(listen_.host, listen_.port);
  client.set_keep_alive(true);
  EXPECT_EQ(client.Get("/livez")->status, 200);
  endpoint_.Stop();
  endpoint_.Stop();
  EXPECT_FALSE(client.Get("/livez"));
  HttpEndpoint next(health_, metrics_);
  EXPECT_TRUE(next.Start(listen_).ok()) << "the port is free again at once";
}

}  // namespace
}  // namespace leasehold
