// A gateway that runs out of file descriptors: who is turned away, who is not, and what is left of it afterwards.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "leasehold/v1/status.grpc.pb.h"
#include "tests/stack/gateway.h"
#include "tests/stack/stack.h"

namespace leasehold::testing {
namespace {

using ::testing::HasSubstr;

int PortOf(const std::string& address) {
  int port = 0;
  EXPECT_TRUE(absl::SimpleAtoi(std::pair<std::string, std::string>(absl::StrSplit(address, ':')).second, &port));
  return port;
}

// Connections to a port that say nothing.
class Crowd {
 public:
  Crowd(const std::string& address, int size) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(static_cast<uint16_t>(PortOf(address)));
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int i = 0; i < size; ++i) {
      const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      if (fd < 0) break;
      fds_.push_back(fd);
      EXPECT_EQ(connect(fd, reinterpret_cast<const sockaddr*>(&at), sizeof at), 0);
    }
  }
  ~Crowd() { Leave(); }
  Crowd(const Crowd&) = delete;
  Crowd& operator=(const Crowd&) = delete;

  // How many the other side has closed.
  int TurnedAway() const {
    int closed = 0;
    for (const int fd : fds_) {
      pollfd wait{.fd = fd, .events = POLLIN, .revents = 0};
      char byte = 0;
      if (poll(&wait, 1, 0) == 1 && recv(fd, &byte, 1, MSG_PEEK) <= 0) ++closed;
    }
    return closed;
  }
  void Leave() {
    for (const int fd : fds_) close(fd);
    fds_.clear();
  }

 private:
  std::vector<int> fds_;
};

int OpenOf(pid_t pid) {
  int open = 0;
  std::error_code error;
  for (std::filesystem::directory_iterator fd(absl::StrCat("/proc/", pid, "/fd"), error), end; !error && fd != end;
       fd.increment(error)) {
    ++open;
  }
  return open;
}

// As long as it lives a process has few.
class FewDescriptors {
 public:
  FewDescriptors(pid_t pid, int limit) : pid_(pid) {
    EXPECT_EQ(prlimit(pid_, RLIMIT_NOFILE, nullptr, &before_), 0);
    rlimit few = before_;
    few.rlim_cur = static_cast<rlim_t>(limit);
    EXPECT_EQ(prlimit(pid_, RLIMIT_NOFILE, &few, nullptr), 0);
  }
  ~FewDescriptors() { prlimit(pid_, RLIMIT_NOFILE, &before_, nullptr); }
  FewDescriptors(const FewDescriptors&) = delete;
  FewDescriptors& operator=(const FewDescriptors&) = delete;

 private:
  const pid_t pid_;
  rlimit before_{};
};

// Its daemons are started as by most supervisors.
Stack& StackOfALowSoftLimit() {
  static Stack& stack = []() -> Stack& {
    rlimit before{};
    EXPECT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
    rlimit low = before;
    low.rlim_cur = before.rlim_max / 2;
    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
    Stack& started = SharedStack();
    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
    return started;
  }();
  return stack;
}

// A gateway with a session, to one of whose ports more have come than it has descriptors for.
struct Besieged {
  explicit Besieged(const std::string& port)
      : few(gateway, 4 * OpenOf(gateway)), crowd(stack.Env(port), 4 * OpenOf(gateway)) {
    EXPECT_TRUE(Eventually([this] { return crowd.TurnedAway() > 0; }));
  }
  // It had no server before.
  bool SessionGoesOn() { return *Value(session, "SELECT current_database()") == absl::StrCat("tenant_", id, "_alpha"); }

  Stack& stack = StackOfALowSoftLimit();
  const std::string id = stack.CreateTenant(FreshTenantId());
  const std::string dsn = stack.Acquire(id, "alpha").credentials().dsn();
  pqxx::connection session{dsn};
  const pid_t gateway = stack.PidOf("gateway");
  const FewDescriptors few;
  Crowd crowd;
};

// By a connection of its own.
grpc::Status AskAnew(const std::string& address) {
  grpc::ChannelArguments own;
  own.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  const auto status =
      v1::StatusService::NewStub(grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), own));
  v1::GetStatusResponse answer;
  return status->GetStatus(Deadline(absl::Seconds(3)).get(), {}, &answer);
}

TEST(Descriptors, TheSoftLimitIsTheHardOne) {
  Stack& stack = StackOfALowSoftLimit();
  for (const char* daemon : {"gateway", "provisioner/alpha"}) {
    rlimit limit{};
    ASSERT_EQ(prlimit(stack.PidOf(daemon), RLIMIT_NOFILE, nullptr, &limit), 0);
    EXPECT_EQ(limit.rlim_cur, limit.rlim_max) << daemon;
  }
}

TEST(Descriptors, SqlClientsLeaveSomeToCallersAndServers) {
  Besieged besieged("LEASEHOLD_SQL");
  EXPECT_TRUE(besieged.SessionGoesOn());
  EXPECT_THAT(SqlStateOf([&] { const pqxx::connection late(besieged.dsn); }), ::testing::Not(""));
  const grpc::Status answer = AskAnew(besieged.stack.Env("LEASEHOLD_GATEWAY"));
  EXPECT_TRUE(answer.ok()) << answer.error_message();
}

TEST(Descriptors, CallersComeBackWhenThereAreSomeAgain) {
  Stack& stack = StackOfALowSoftLimit();
  const pid_t gateway = stack.PidOf("gateway");
  {
    // Not one is left: gRPC's own listener would never accept again.
    const FewDescriptors none(gateway, 3);
    const Crowd crowd(stack.Env("LEASEHOLD_GATEWAY"), 20);
    EXPECT_FALSE(AskAnew(stack.Env("LEASEHOLD_GATEWAY")).ok());
  }
  EXPECT_TRUE(Eventually([&] { return AskAnew(stack.Env("LEASEHOLD_GATEWAY")).ok(); }));
}

TEST(Descriptors, CallersLeaveSomeToo) {
  Besieged besieged("LEASEHOLD_GATEWAY");
  EXPECT_TRUE(besieged.SessionGoesOn());
  besieged.crowd.Leave();
  EXPECT_TRUE(Eventually([&] { return AskAnew(besieged.stack.Env("LEASEHOLD_GATEWAY")).ok(); }));
}

TEST(Descriptors, ALimitThatIsTooLowForMaxClientsIsSaid) {
  Stack& stack = StackOfALowSoftLimit();
  const Gateway gateway(stack, [](v1::Config& config) { config.mutable_gateway()->set_max_clients(1'000'000); });
  EXPECT_THAT(gateway.Log(), HasSubstr("too few file descriptors for gateway.max_clients"));
}

}  // namespace
}  // namespace leasehold::testing
