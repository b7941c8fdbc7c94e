#include "services/gateway/session/verifier_cache.h"

#include <gtest/gtest.h>

#include <format>

namespace leasehold::gateway {
namespace {

TEST(VerifierCacheTest, SameNameSameSaltKnownOrNot) {
  VerifierCache cache(Secret("process key"));
  const scram::Verifier known = cache.Make("lh1.a", Secret("p"));
  const scram::Verifier unknown = cache.Make("lh1.a", cache.NobodysPassword("lh1.a"));
  EXPECT_EQ(unknown.salt, known.salt);
  EXPECT_NE(unknown.stored_key, known.stored_key);
  EXPECT_NE(cache.Make("lh1.b", Secret("p")).salt, known.salt);
  EXPECT_EQ(cache.NobodysPassword("lh1.b").reveal(), cache.NobodysPassword("lh1.b").reveal());
  EXPECT_NE(cache.NobodysPassword("lh1.b").reveal(), cache.NobodysPassword("lh1.a").reveal());
  EXPECT_EQ(known.iterations, 4096);
}

TEST(VerifierCacheTest, AnotherProcessHasOtherSalts) {
  VerifierCache one(Secret("1"));
  VerifierCache two(Secret("2"));
  EXPECT_NE(one.Make("a", Secret("p")).salt, two.Make("a", Secret("p")).salt);
}

TEST(VerifierCacheTest, APasswordThatChangedIsNotServedFromTheCache) {
  VerifierCache cache(Secret("k"));
  const scram::Verifier before = cache.Make("a", Secret("old"));
  ASSERT_TRUE(cache.Find("a", Secret("old")));
  EXPECT_FALSE(cache.Find("a", Secret("new")));
  const scram::Verifier after = cache.Make("a", Secret("new"));
  EXPECT_NE(before.stored_key, after.stored_key);
  EXPECT_EQ(cache.Find("a", Secret("new"))->stored_key, after.stored_key);
}

TEST(VerifierCacheTest, NamesThatProveNothingDoNotPushOutThoseThatHave) {
  VerifierCache cache(Secret("k"));
  cache.Make("proven", Secret("p"));
  cache.Proven("proven");
  cache.Make("unproven", Secret("p"));
  for (size_t i = 0; i < VerifierCache::kCapacity; ++i) cache.Make(std::format("made up {}", i), Secret("p"));
  EXPECT_TRUE(cache.Find("proven", Secret("p")));
  EXPECT_FALSE(cache.Find("unproven", Secret("p")));
}

}  // namespace
}  // namespace leasehold::gateway
