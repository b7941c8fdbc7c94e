#include "services/gateway/session/verifier_cache.h"

#include <gtest/gtest.h>

#include <format>

namespace leasehold::gateway {
namespace {

TEST(VerifierCacheTest, SameNameSameSaltKnownOrNot) {
  VerifierCache cache(Secret("process key"));
  const scram::Verifier known = cache.Of("lh1.a", Secret("p"));
  EXPECT_EQ(cache.OfUnknown("lh1.a").salt, known.salt);
  EXPECT_NE(cache.OfUnknown("lh1.a").stored_key, known.stored_key);
  EXPECT_NE(cache.OfUnknown("lh1.b").salt, known.salt);
  EXPECT_EQ(cache.OfUnknown("lh1.b").stored_key, cache.OfUnknown("lh1.b").stored_key);
  EXPECT_EQ(known.iterations, 4096);
}

TEST(VerifierCacheTest, AnotherProcessHasOtherSalts) {
  VerifierCache one(Secret("1"));
  VerifierCache two(Secret("2"));
  EXPECT_NE(one.Of("a", Secret("p")).salt, two.Of("a", Secret("p")).salt);
}

TEST(VerifierCacheTest, APasswordThatChangedIsNotServedFromTheCache) {
  VerifierCache cache(Secret("k"));
  const scram::Verifier before = cache.Of("a", Secret("old"));
  const scram::Verifier after = cache.Of("a", Secret("new"));
  EXPECT_NE(before.stored_key, after.stored_key);
  EXPECT_EQ(cache.Of("a", Secret("new")).stored_key, after.stored_key);
}

}  // namespace
}  // namespace leasehold::gateway
