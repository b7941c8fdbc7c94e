#include "services/cli/stack/state_file.h"

#include <gmock/gmock.h>

#include "common/localserver/localserver.h"

namespace leasehold::stack {
namespace {

TEST(StateFile, ReadsWhatItWrote) {
  const localserver::TemporaryDirectory folder;
  const absl::Time since = absl::FromUnixMillis(1'800'000'000'123);
  const StackState state{.state = "up",
                         .pid = 4711,
                         .components = {{.name = "gateway",
                                         .state = "ready",
                                         .pid = 12,
                                         .address = "127.0.0.1:7432",
                                         .up_since = since,
                                         .restarts = 3},
                                        {.name = "nats", .state = "waiting", .address = "127.0.0.1:7422"}}};
  ASSERT_TRUE(WriteStackState(folder.path(), state).ok());
  const auto read = ReadStackState(folder.path());
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->state, "up");
  EXPECT_EQ(read->pid, 4711);
  ASSERT_EQ(read->components.size(), 2U);
  EXPECT_EQ(read->components[0].name, "gateway");
  EXPECT_EQ(read->components[0].pid, 12);
  EXPECT_EQ(read->components[0].up_since, since);
  EXPECT_EQ(read->components[0].restarts, 3);
  EXPECT_EQ(read->components[1].pid, 0);
  EXPECT_EQ(read->components[1].up_since, absl::InfinitePast());
}

TEST(StateFile, RefusesWhatIsNot) {
  EXPECT_FALSE(ParseStackState("{\"state\":").ok());
  EXPECT_FALSE(ReadStackState("/nowhere").ok());
}

}  // namespace
}  // namespace leasehold::stack
