#include "services/cli/key_files.h"

#include <gmock/gmock.h>

#include "common/secret/key_ring.h"

namespace leasehold::cli {
namespace {

using ::testing::HasSubstr;

const std::string kA(64, 'a');
const std::string kB(64, 'b');
const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);

// "2* 1-" for: 2 signs, 1 signed once; "3+": 3 signs next.
std::string Ids(std::string_view text) {
  std::string ids;
  const auto keys = ListSigningKeys(text);
  EXPECT_TRUE(keys.ok()) << keys.status();
  for (const SigningKeyLine& key : *keys) {
    ids += std::to_string(key.id) + (key.signs ? "*" : "") + (key.next ? "+" : "") +
           (key.retired < absl::InfiniteFuture() ? "-" : "") + " ";
  }
  return ids;
}

TEST(SigningKeyFile, ANewKeyVerifiesBeforeItSignsAndTheOldOneAfterwards) {
  const std::string before = "1 " + kA + "\n";
  const std::string password(SigningKeys::Parse(before)->PasswordOf(1, "lh1.x")->reveal());
  const auto added = WithNextSigningKey(before);
  ASSERT_TRUE(added.ok()) << added.status();
  EXPECT_EQ(Ids(added->reveal()), "1* 2+ ");
  EXPECT_EQ(SigningKeys::Parse(added->reveal())->current(), 1U);
  // Whoever was interrupted there goes on from there.
  EXPECT_EQ(WithNextSigningKey(added->reveal())->reveal(), added->reveal());
  const auto used = WithNextKeySigning(added->reveal(), kNow);
  ASSERT_TRUE(used.ok()) << used.status();
  EXPECT_EQ(Ids(used->reveal()), "2* 1- ");
  const auto keys = SigningKeys::Parse(used->reveal());
  ASSERT_TRUE(keys.ok()) << keys.status();
  EXPECT_EQ(keys->current(), 2U);
  EXPECT_EQ(keys->PasswordOf(1, "lh1.x")->reveal(), password);
  EXPECT_EQ(keys->PasswordOf(2, "lh1.x")->reveal(),
            SigningKeys::Parse(added->reveal())->PasswordOf(2, "lh1.x")->reveal());

  // Once more before the first has run out.
  const auto again = WithNextKeySigning(WithNextSigningKey(used->reveal())->reveal(), kNow + absl::Hours(1));
  EXPECT_EQ(Ids(again->reveal()), "3* 2- 1- ");
  EXPECT_EQ(Ids(WithoutRetiredKeys(again->reveal(), kNow + absl::Hours(24), absl::Hours(24))->reveal()), "3* 2- ");
  EXPECT_EQ(Ids(WithoutRetiredKeys(again->reveal(), kNow + absl::Hours(25), absl::Hours(24))->reveal()), "3* ");
}

TEST(SigningKeyFile, KeysThatSomebodyElseWroteStay) {
  const std::string by_hand = "# ours\n7 " + kA + "\n\n3 " + kB + "\n";
  EXPECT_EQ(Ids(WithoutRetiredKeys(by_hand, kNow, absl::ZeroDuration())->reveal()), "7* 3 ");
  EXPECT_EQ(Ids(WithNextSigningKey(by_hand)->reveal()), "7* 8+ 3 ");
  EXPECT_FALSE(WithNextKeySigning(by_hand, kNow).ok()) << "gateways may not know 3";
}

TEST(SigningKeyFile, Refusals) {
  EXPECT_THAT(std::string(WithNextKeySigning("1 " + kA, kNow).status().message()), HasSubstr("marked as the next one"));
  const auto used = WithNextKeySigning(WithNextSigningKey("1 " + kA)->reveal(), kNow);
  EXPECT_FALSE(WithNextKeySigning(used->reveal(), kNow).ok()) << "that would go back";
  EXPECT_FALSE(WithNextSigningKey("4294967295 " + kA).ok());
  const absl::Status broken = WithNextSigningKey("1 " + kA + "\nhunter2\n").status();
  EXPECT_THAT(std::string(broken.message()), HasSubstr("line 2"));
  EXPECT_THAT(std::string(broken.message()), ::testing::Not(HasSubstr("hunter2")));
}

TEST(RoleKeyFile, GatewaysKnowTheNextKeyBeforeItIsGiven) {
  const auto owner = [](const RoleKey& key) { return std::string(key.PasswordOf("x", RoleKind::kOwner).reveal()); };
  const std::string before = owner(*RoleKey::Parse(kA));
  const auto added = WithNextRoleKey(kA + "\n");
  ASSERT_TRUE(added.ok()) << added.status();
  const auto two = RoleKeys::Parse(added->reveal());
  ASSERT_TRUE(two.ok()) << two.status();
  EXPECT_EQ(owner(two->current()), before);
  const std::string next = owner(two->other().value());
  EXPECT_NE(next, before);

  const auto given = WithOtherRoleKeyCurrent(added->reveal());
  ASSERT_TRUE(given.ok()) << given.status();
  const auto turned = RoleKeys::Parse(given->reveal());
  EXPECT_EQ(owner(turned->current()), next);
  EXPECT_EQ(owner(turned->other().value()), before);
  EXPECT_TRUE(HasOtherRoleKey(given->reveal()));
  EXPECT_THAT(std::string(WithNextRoleKey(given->reveal()).status().message()), HasSubstr("keys prune"));

  const auto pruned = WithoutOtherRoleKey(given->reveal());
  EXPECT_FALSE(HasOtherRoleKey(pruned->reveal()));
  EXPECT_EQ(owner(RoleKeys::Parse(pruned->reveal())->current()), next);
  EXPECT_FALSE(WithOtherRoleKeyCurrent(pruned->reveal()).ok());
  EXPECT_FALSE(WithNextRoleKey("hunter2").ok());
}

}  // namespace
}  // namespace leasehold::cli
