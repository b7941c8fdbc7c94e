#include "common/telemetry/trace.h"

#include <gtest/gtest.h>

#include <set>
#include <thread>

namespace leasehold {
namespace {

constexpr std::string_view kId = "4bf92f3577b34da6a3ce929d0e0e4736";
constexpr std::string_view kParent = "00f067aa0ba902b7";

std::string Header(std::string_view version, std::string_view id, std::string_view parent, std::string_view rest) {
  return std::string(version) + "-" + std::string(id) + "-" + std::string(parent) + "-" + std::string(rest);
}

TEST(Traceparent, IsReadAndWritten) {
  const Trace sampled = ParseTraceparent(Header("00", kId, kParent, "01"));
  ASSERT_TRUE(sampled);
  EXPECT_EQ(TraceId(sampled), kId);
  EXPECT_EQ(sampled.span, 0x00f067aa0ba902b7u);
  EXPECT_TRUE(sampled.sampled);
  EXPECT_EQ(ToTraceparent(sampled), Header("00", kId, kParent, "01"));
  const Trace not_sampled = ParseTraceparent(Header("00", kId, kParent, "00"));
  EXPECT_FALSE(not_sampled.sampled);
  EXPECT_EQ(ToTraceparent(not_sampled), Header("00", kId, kParent, "00"));
}

TEST(Traceparent, OfALaterVersionIsUnderstoodAsFarAsItIsKnown) {
  const Trace trace = ParseTraceparent(Header("cc", kId, kParent, "ff-what-the-future-will-be-like"));
  EXPECT_EQ(ToTraceparent(trace), Header("00", kId, kParent, "01"));
  EXPECT_EQ(ToTraceparent(ParseTraceparent(Header("01", kId, kParent, "fe"))), Header("00", kId, kParent, "00"));
}

TEST(Traceparent, AnythingElseIsNoTrace) {
  const std::string zeros(32, '0');
  for (const std::string& bad :
       {std::string(), std::string("00"), Header("ff", kId, kParent, "01"), Header("00", kId, kParent, "01-x"),
        Header("00", kId, kParent, "0"), Header("00", kId, kParent, "0x"), Header("00", kId, "00f067aa0ba902bX", "01"),
        Header("cc", kId, kParent, "01x"), Header("0G", kId, kParent, "01"),
        Header("00", "4BF92F3577B34DA6A3CE929D0E0E4736", kParent, "01"), Header("00", zeros, kParent, "01"),
        Header("00", kId, zeros.substr(16), "01"), "00_" + std::string(kId) + "-00f067aa0ba902b7-01",
        " " + Header("00", kId, kParent, "01"), Header("00", kId, kParent, "01 "),
        "00-" + std::string(kId) + "'; DROP TABLE x; --   -00-00"}) {
    const Trace trace = ParseTraceparent(bad);
    EXPECT_FALSE(trace) << bad;
    EXPECT_EQ(TraceId(trace), "") << bad;
    EXPECT_EQ(ToTraceparent(trace), "") << bad;
  }
}

TEST(NewTrace, IsValidAndAnotherEachTime) {
  std::set<std::string> ids;
  for (int i = 0; i < 1000; ++i) {
    const Trace trace = NewTrace(i % 2 == 0);
    EXPECT_EQ(ParseTraceparent(ToTraceparent(trace)), trace);
    ids.insert(TraceId(trace));
  }
  EXPECT_EQ(ids.size(), 1000u);
}

TEST(BeginTrace, IsSampledAsOftenAsIsSaid) {
  const auto sampled = [] {
    int count = 0;
    for (int i = 0; i < 10'000; ++i) {
      const Trace trace = BeginTrace();
      EXPECT_EQ(IsSampled(trace), trace.sampled);
      count += trace.sampled ? 1 : 0;
    }
    return count;
  };
  EXPECT_EQ(sampled(), 0);
  SetSampling(100);
  EXPECT_EQ(sampled(), 10'000);
  // Eight standard deviations.
  SetSampling(25);
  const int quarter = sampled();
  EXPECT_GT(quarter, 2'150);
  EXPECT_LT(quarter, 2'850);
  SetSampling(0);
}

TEST(TraceScope, IsTheThreadsOwnAndEnds) {
  EXPECT_FALSE(CurrentTrace());
  const Trace outer = NewTrace(true);
  const Trace inner = NewTrace(false);
  {
    const TraceScope scope(outer);
    EXPECT_EQ(CurrentTrace(), outer);
    std::thread([] { EXPECT_FALSE(CurrentTrace()); }).join();
    {
      const TraceScope nested(inner);
      EXPECT_EQ(CurrentTrace(), inner);
      const TraceScope none{Trace()};
      EXPECT_FALSE(CurrentTrace());
    }
    EXPECT_EQ(CurrentTrace(), outer);
  }
  EXPECT_FALSE(CurrentTrace());
}

}  // namespace
}  // namespace leasehold
