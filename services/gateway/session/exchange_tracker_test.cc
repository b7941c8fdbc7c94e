#include "services/gateway/session/exchange_tracker.h"

#include <gtest/gtest.h>

#include <string_view>

namespace leasehold::gateway {
namespace {

class ExchangeTrackerTest : public testing::Test {
 protected:
  void Sent(std::string_view types) {
    for (const char type : types) tracker_.Sent(type);
  }
  void Received(std::string_view types) {
    for (const char type : types) tracker_.Received(type, 'I');
  }
  ExchangeTracker tracker_;
};

TEST_F(ExchangeTrackerTest, SimpleQuery) {
  EXPECT_TRUE(tracker_.settled());
  Sent("Q");
  EXPECT_FALSE(tracker_.settled());
  Received("TDDC");
  EXPECT_FALSE(tracker_.settled());
  tracker_.Received('Z', 'T');
  EXPECT_TRUE(tracker_.settled());
  EXPECT_EQ(tracker_.transaction_status(), 'T');
  EXPECT_FALSE(tracker_.last_failed());
}

TEST_F(ExchangeTrackerTest, StepsWithoutSync) {
  Sent("PBDE");
  EXPECT_TRUE(tracker_.batch_has_run());
  Received("12T");
  EXPECT_FALSE(tracker_.settled());
  Received("DDDC");
  EXPECT_TRUE(tracker_.settled());
  EXPECT_TRUE(tracker_.in_batch());
  Sent("S");
  EXPECT_FALSE(tracker_.settled());
  EXPECT_FALSE(tracker_.in_batch());
  Received("Z");
  EXPECT_TRUE(tracker_.settled());
}

TEST_F(ExchangeTrackerTest, DescribeStatementIsAnsweredOnce) {
  Sent("PD");
  Received("1t");
  EXPECT_FALSE(tracker_.settled());
  Received("n");
  EXPECT_TRUE(tracker_.settled());
  EXPECT_FALSE(tracker_.batch_has_run());
}

TEST_F(ExchangeTrackerTest, PipelinedBatchesDoNotMix) {
  Sent(
      "PBES"
      "PBE");
  Received("12C");
  EXPECT_FALSE(tracker_.settled());
  Received("Z12");
  EXPECT_FALSE(tracker_.settled());
  Received("C");
  EXPECT_TRUE(tracker_.settled());
}

TEST_F(ExchangeTrackerTest, AnErrorAnswersTheRestOfTheBatch) {
  Sent("PBEPBE");
  Received("1E");
  EXPECT_TRUE(tracker_.settled());
  Sent("PBE");
  EXPECT_TRUE(tracker_.settled());
  Sent("S");
  EXPECT_FALSE(tracker_.settled());
  Received("Z");
  EXPECT_TRUE(tracker_.settled());
  EXPECT_TRUE(tracker_.last_failed());
}

TEST_F(ExchangeTrackerTest, AnEarlierBatchesErrorIsNotThisOnes) {
  Sent(
      "PBES"
      "PB");
  Received("E");
  EXPECT_FALSE(tracker_.settled());
  Received("Z1");
  EXPECT_FALSE(tracker_.settled());
  Received("2");
  EXPECT_TRUE(tracker_.settled());
}

TEST_F(ExchangeTrackerTest, CopyInSwallowsTheSyncBehindItsExecute) {
  Sent("PBES");
  Received("12G");
  EXPECT_FALSE(tracker_.settled());
  Sent("dddcS");
  Received("CZ");
  EXPECT_TRUE(tracker_.settled());
}

TEST_F(ExchangeTrackerTest, CopyInOfASimpleQuery) {
  Sent("Q");
  Received("G");
  Sent("ddc");
  EXPECT_FALSE(tracker_.settled());
  Received("CZ");
  EXPECT_TRUE(tracker_.settled());
}

}  // namespace
}  // namespace leasehold::gateway
