#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "common/localserver/localserver.h"

namespace leasehold::localserver {
namespace {

using ::testing::HasSubstr;

std::string Text(const auto& failed) { return std::string(failed.status().message()); }

TEST(NatsServer, StartsCrashesAndComesBack) {
  TemporaryDirectory folder;
  auto server = NatsServer::Start({.data_dir = folder.path() + "/nats"});
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_TRUE((*server)->Running());
  EXPECT_THAT((*server)->Url(), HasSubstr("nats://127.0.0.1:"));
  const int port = (*server)->port();
  const pid_t pid = (*server)->pid();
  (*server)->Kill();
  EXPECT_FALSE((*server)->Running());
  EXPECT_EQ(WaitForPort(port, absl::ZeroDuration()).code(), absl::StatusCode::kDeadlineExceeded);
  ASSERT_TRUE((*server)->Restart().ok());
  EXPECT_EQ((*server)->port(), port);
  EXPECT_NE((*server)->pid(), pid);
  EXPECT_TRUE(WaitForPort(port, absl::Seconds(5)).ok());
}

TEST(NatsServer, NeverTakesAnotherServerOnItsPortForItself) {
  TemporaryDirectory folder;
  auto first = NatsServer::Start({.data_dir = folder.path() + "/one"});
  ASSERT_TRUE(first.ok()) << first.status();
  auto second = NatsServer::Start({.data_dir = folder.path() + "/two", .port = (*first)->port()});
  ASSERT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Text(second), HasSubstr("address already in use"));
}

TEST(NatsServer, SaysWhichFolderItCannotMake) {
  auto server = NatsServer::Start({.data_dir = "/dev/null/nats"});
  ASSERT_EQ(server.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Text(server), HasSubstr("/dev/null/nats"));
}

}  // namespace
}  // namespace leasehold::localserver
