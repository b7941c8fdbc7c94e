#include "common/secret/key_ring.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace leasehold {
namespace {

const std::string kA(64, 'a');
const std::string kB(64, 'b');

std::string OwnersOf(const RoleKey& key) { return std::string(key.PasswordOf("central", RoleKind::kOwner).reveal()); }

TEST(RoleKeys, TheFirstIsTheCurrentOne) {
  const auto one = RoleKeys::Parse(kA + "\n");
  ASSERT_TRUE(one.ok()) << one.status();
  EXPECT_EQ(OwnersOf(one->current()), OwnersOf(*RoleKey::Parse(kA)));
  EXPECT_FALSE(one->other());
  const auto two = RoleKeys::Parse("# new\n" + kB + "\r\n\n" + kA);
  ASSERT_TRUE(two.ok()) << two.status();
  EXPECT_EQ(OwnersOf(two->current()), OwnersOf(*RoleKey::Parse(kB)));
  EXPECT_EQ(OwnersOf(two->other().value()), OwnersOf(*RoleKey::Parse(kA)));
}

TEST(RoleKeys, NameTheLineAtFaultAndNotItsContent) {
  EXPECT_EQ(RoleKeys::Parse(kA + "\nhunter2\n").status().message(), "line 2 is not 64 hex digits");
  EXPECT_EQ(RoleKeys::Parse("# nothing\n").status().message(),
            "there are 0 keys; allowed: one, or the current one and another");
  EXPECT_EQ(RoleKeys::Parse(kA + "\n" + kB + "\n" + kA).status().message(),
            "there are 3 keys; allowed: one, or the current one and another");
}

TEST(RoleKeys, CopiesAreReplacedTogether) {
  RoleKeys keys = *RoleKeys::Parse(kA);
  const RoleKeys copy = keys;
  keys.Replace(*RoleKeys::Parse(kB + "\n" + kA));
  EXPECT_EQ(OwnersOf(copy.current()), OwnersOf(*RoleKey::Parse(kB)));
  EXPECT_TRUE(copy.other());
}

TEST(LeaseKeys, AreReplacedWhileTheyAreUsed) {
  LeaseKeys keys(*SigningKeys::Parse("1 " + kA));
  const LeaseKeys copy = keys;
  const std::string before(copy.PasswordOf(1, "lh1.x")->reveal());
  std::atomic<bool> wrong = false;
  std::thread user([&] {
    for (int i = 0; i < 10'000; ++i) {
      const auto password = copy.PasswordOf(1, "lh1.x");
      if (!password.ok() || password->reveal() != before) wrong = true;
    }
  });
  for (int i = 0; i < 100; ++i) {
    keys.Replace(*SigningKeys::Parse(i % 2 == 0 ? "2 " + kB + "\n1 " + kA : "1 " + kA));
  }
  user.join();
  EXPECT_FALSE(wrong);
  keys.Replace(*SigningKeys::Parse("2 " + kB + "\n1 " + kA));
  EXPECT_EQ(copy.current(), 2U);
  EXPECT_TRUE(copy.PasswordOf(1, "lh1.x").ok());
  keys.Replace(*SigningKeys::Parse("2 " + kB));
  EXPECT_FALSE(copy.PasswordOf(1, "lh1.x").ok());
}

}  // namespace
}  // namespace leasehold
