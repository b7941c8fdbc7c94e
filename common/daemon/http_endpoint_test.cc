// The HTTP port, and what strangers on raw sockets may do to it.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <string_view>
#include <vector>

#include "absl/time/clock.h"
#include "common/daemon/daemon.h"
#include "common/localserver/localserver.h"

namespace leasehold {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

google::protobuf::Struct Parsed(const std::string& json) {
  google::protobuf::Struct parsed;
  EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(json, &parsed).ok()) << json;
  return parsed;
}

// A client that need not speak HTTP.
class RawClient {
 public:
  explicit RawClient(const HostPort& to) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(to.port));
    inet_pton(AF_INET, to.host.c_str(), &address.sin_addr);
    connected_ = connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    // So that a server that never closes is a failure and not a test that hangs.
    const timeval patience = {.tv_sec = 20, .tv_usec = 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  }
  ~RawClient() { close(fd_); }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  bool connected() const { return connected_; }
  // False once the other side has closed.
  bool Say(std::string_view bytes) { return send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL) >= 0; }
  // All that comes until the other side closes; "open" if it does not.
  std::string Hear() {
    std::string all;
    std::array<char, 4096> buffer;
    for (;;) {
      const ssize_t n = recv(fd_, buffer.data(), buffer.size(), 0);
      if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return "open";
      if (n <= 0) return all;
      all.append(buffer.data(), static_cast<size_t>(n));
    }
  }

 private:
  const int fd_;
  bool connected_ = false;
};

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

class StrangersTest : public ::testing::Test {
 protected:
  static constexpr absl::Duration kPatience = absl::Milliseconds(400);

  StrangersTest()
      : health_(clock_),
        endpoint_(health_, metrics_, {.served = 2, .waiting = 2, .request_bytes = 4096, .patience = kPatience}),
        listen_{"127.0.0.1", localserver::FreePort()} {
    EXPECT_TRUE(endpoint_.Start(listen_).ok());
  }
  int Livez() {
    const httplib::Result answer = httplib::Client(listen_.host, listen_.port).Get("/livez");
    return answer ? answer->status : 0;
  }

  FakeClock clock_;
  Health health_;
  Metrics metrics_;
  HttpEndpoint endpoint_;
  HostPort listen_;
};

TEST_F(StrangersTest, SilenceIsClosedWhenPatienceEnds) {
  const absl::Time begin = absl::Now();
  RawClient silent(listen_);
  EXPECT_EQ(silent.Hear(), "");
  EXPECT_GE(absl::Now() - begin, kPatience);
  RawClient half(listen_);
  half.Say("GET /livez HTTP/1.1\r\nHost: x\r\n");  // and no end
  EXPECT_NE(half.Hear(), "open");
}

TEST_F(StrangersTest, AByteNowAndThenBuysNoTime) {
  RawClient slow(listen_);
  const absl::Time begin = absl::Now();
  slow.Say("GET /livez HTTP/1.1\r\nX: ");
  while (slow.Say("a") && absl::Now() - begin < absl::Seconds(20)) absl::SleepFor(kPatience / 20);
  EXPECT_LT(absl::Now() - begin, absl::Seconds(10));
  EXPECT_EQ(Livez(), 200);
}

TEST_F(StrangersTest, GarbageIsRefusedAndClosed) {
  RawClient garbage(listen_);
  garbage.Say(std::string("\x16\x03\x01\0\xff\xfe garbage\r\n\r\n", 18));
  EXPECT_THAT(garbage.Hear(), StartsWith("HTTP/1.1 400"));
  RawClient endless(listen_);
  while (endless.Say(std::string(1024, 'x'))) {
  }
  EXPECT_NE(endless.Hear(), "open");
  RawClient headers(listen_);
  headers.Say("GET /livez HTTP/1.1\r\n");
  for (int i = 0; i < 10'000 && headers.Say("A: b\r\n"); ++i) {
  }
  EXPECT_THAT(headers.Hear(), ::testing::Not(HasSubstr(" 200 ")));
  EXPECT_EQ(Livez(), 200);
}

TEST_F(StrangersTest, OneRequestAConnection) {
  RawClient client(listen_);
  client.Say("GET /livez HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_THAT(client.Hear(), AllOf(StartsWith("HTTP/1.1 200"), HasSubstr("Connection: close")));
}

TEST_F(StrangersTest, MoreThanItServesAndLetsWaitAreClosedAtOnce) {
  std::vector<std::unique_ptr<RawClient>> silent;
  for (int i = 0; i < 40; ++i) silent.push_back(std::make_unique<RawClient>(listen_));
  const absl::Time begin = absl::Now();
  for (const auto& client : silent) EXPECT_NE(client->Hear(), "open");
  EXPECT_LT(absl::Now() - begin, absl::Seconds(15));
  EXPECT_EQ(Livez(), 200);
}

// All its threads and more, by those who say nothing, half of a request, or do not read the answer: an hour each.
TEST_F(StrangersTest, WhoKeepsItWaitingGivesWay) {
  HttpEndpoint endpoint(health_, metrics_,
                        {.served = 3, .waiting = 50, .request_bytes = 4096, .patience = absl::Hours(1)});
  endpoint.Handle("/large", [] { return HttpAnswer{.body = std::string(16 << 20, 'x')}; });
  const HostPort listen = {"127.0.0.1", localserver::FreePort()};
  ASSERT_TRUE(endpoint.Start(listen).ok());
  std::vector<std::unique_ptr<RawClient>> held;
  for (const char* said : {"", "GET /livez HTTP/1.1\r\nX: ", "GET /large HTTP/1.1\r\nHost: x\r\n\r\n"}) {
    for (int i = 0; i < 10; ++i) {
      held.push_back(std::make_unique<RawClient>(listen));
      held.back()->Say(said);
    }
  }
  for (int i = 0; i < 5; ++i) {
    const httplib::Result answer = httplib::Client(listen.host, listen.port).Get("/livez");
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, 200);
  }
  endpoint.Stop();
}

// Where there are threads for all, nobody has to.
TEST_F(StrangersTest, WithAThreadForEachNobodyGivesWay) {
  HttpEndpoint endpoint(health_, metrics_, {.served = 30, .waiting = 5, .patience = absl::Hours(1)});
  const HostPort listen = {"127.0.0.1", localserver::FreePort()};
  ASSERT_TRUE(endpoint.Start(listen).ok());
  RawClient slow(listen);
  slow.Say("GET /livez HTTP/1.1\r\n");
  RawClient slower(listen);
  slower.Say("GET /livez HT");
  for (int i = 0; i < 20; ++i) {
    const httplib::Result answer = httplib::Client(listen.host, listen.port).Get("/livez");
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, 200);
  }
  slower.Say("TP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(slower.Hear(), StartsWith("HTTP/1.1 200"));
  slow.Say("Host: x\r\n\r\n");
  EXPECT_THAT(slow.Hear(), StartsWith("HTTP/1.1 200"));
}

TEST_F(StrangersTest, AReaderThatDoesNotReadIsClosed) {
  HttpEndpoint endpoint(health_, metrics_, {.served = 1, .waiting = 4, .request_bytes = 4096, .patience = kPatience});
  endpoint.Handle("/large", [] { return HttpAnswer{.body = std::string(64 << 20, 'x')}; });
  const HostPort listen = {"127.0.0.1", localserver::FreePort()};
  ASSERT_TRUE(endpoint.Start(listen).ok());
  RawClient client(listen);
  client.Say("GET /large HTTP/1.1\r\nHost: x\r\n\r\n");
  // The one thread is free again although nothing was taken.
  httplib::Client other(listen.host, listen.port);
  const httplib::Result answer = other.Get("/livez");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 200);
}

TEST_F(HttpEndpointTest, StopDoesNotWaitForSilentClients) {
  ASSERT_TRUE(endpoint_.Start(listen_).ok());
  std::vector<std::unique_ptr<RawClient>> silent;
  for (int i = 0; i < 40; ++i) silent.push_back(std::make_unique<RawClient>(listen_));
  const absl::Time begin = absl::Now();
  endpoint_.Stop();
  EXPECT_LT(absl::Now() - begin, absl::Seconds(4)) << "less than one client's patience";
}

}  // namespace
}  // namespace leasehold
