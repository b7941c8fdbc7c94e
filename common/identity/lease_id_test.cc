#include <gtest/gtest.h>

#include <array>
#include <string>

#include "common/identity/identity.h"
#include "common/status/error.h"

namespace leasehold {
namespace {

constexpr std::array<uint8_t, 10> kRandom = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
constexpr std::array<uint8_t, 10> kOnes = {255, 255, 255, 255, 255, 255, 255, 255, 255, 255};

TEST(LeaseId, IsTimeThenRandomBytes) {
  const LeaseId id = LeaseId::Make(1'767'225'600'123, kRandom.data());
  EXPECT_EQ(id.bytes().size(), 16u);
  EXPECT_EQ(id.unix_ms(), 1'767'225'600'123);
  EXPECT_EQ(id.str(), "01kdvdna3v000g40r40m30e209");
}

TEST(LeaseId, ComesBackFromTextAndBytes) {
  for (const int64_t ms : {int64_t{0}, int64_t{1}, int64_t{1'767'225'600'123}, (int64_t{1} << 48) - 1}) {
    for (const auto& random : {kRandom, kOnes}) {
      const LeaseId id = LeaseId::Make(ms, random.data());
      EXPECT_EQ(id.unix_ms(), ms);
      EXPECT_EQ(id.str().size(), 26u);
      EXPECT_EQ(LeaseId::Parse(id.str()).value(), id);
      EXPECT_EQ(LeaseId::FromBytes(id.bytes()).value(), id);
    }
  }
  EXPECT_EQ(LeaseId::Make((int64_t{1} << 48) - 1, kOnes.data()).str(), "7zzzzzzzzzzzzzzzzzzzzzzzzz");
}

TEST(LeaseId, SortsByTimeInBothForms) {
  const LeaseId earlier = LeaseId::Make(1'000, kOnes.data());
  const LeaseId later = LeaseId::Make(1'001, kRandom.data());
  EXPECT_LT(earlier, later);
  EXPECT_LT(earlier.str(), later.str());
  EXPECT_LT(LeaseId::Make(1'000, kRandom.data()), earlier) << "bytes are compared as unsigned";
}

TEST(LeaseId, RefusesTheRest) {
  const std::string good = "01kdvdna3v000g40r40m30e209";
  ASSERT_TRUE(LeaseId::Parse(good).ok());
  for (const std::string& text : {std::string(), good.substr(1), good + "0", "8" + good.substr(1), "U" + good.substr(1),
                                  good.substr(0, 25) + "i", good.substr(0, 25) + "l", good.substr(0, 25) + "o",
                                  good.substr(0, 25) + "u", good.substr(0, 25) + "K", good.substr(0, 25) + " "}) {
    const absl::Status status = LeaseId::Parse(text).status();
    EXPECT_EQ(ReasonOf(status), v1::REASON_INVALID_FIELD) << text;
    EXPECT_EQ(DetailOf(status)->field(), "lease");
  }
  EXPECT_FALSE(LeaseId::FromBytes("").ok());
  EXPECT_FALSE(LeaseId::FromBytes(std::string(15, 'x')).ok());
  EXPECT_FALSE(LeaseId::FromBytes(std::string(17, 'x')).ok());
}

}  // namespace
}  // namespace leasehold
