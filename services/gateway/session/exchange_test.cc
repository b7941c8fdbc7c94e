#include "services/gateway/session/exchange.h"

#include <gtest/gtest.h>

namespace leasehold::gateway {
namespace {

using Audience = Exchange::Audience;

StatementPtr Named(const std::string& name) {
  return std::make_shared<const Statement>(Statement{.name = name, .body = "select 1", .effects = {}});
}

TEST(ExchangeTest, ASimpleQuery) {
  Exchange exchange;
  EXPECT_TRUE(exchange.settled());
  exchange.Sent('Q');
  EXPECT_FALSE(exchange.settled());
  for (const char type : {'T', 'D', 'C', 'T', 'D', 'C'}) EXPECT_TRUE(exchange.Received(type).pass);
  EXPECT_FALSE(exchange.settled());
  exchange.Received('Z', 'T');
  EXPECT_TRUE(exchange.settled());
  EXPECT_EQ(exchange.transaction_status(), 'T');
}

TEST(ExchangeTest, OfWhoAlwaysWaitsForSomethingWhatWasAnsweredIsLetGoOf) {
  Exchange exchange;
  exchange.Sent('Q');
  for (int i = 0; i < 100'000; ++i) {
    exchange.Sent('Q');
    EXPECT_TRUE(exchange.Received('Z', 'I').pass);
    ASSERT_EQ(exchange.outstanding(), 1U);
  }
  EXPECT_LE(exchange.kept(), 1'000U);
}

TEST(ExchangeTest, OfABatchOnlyTheSyncIsReady) {
  Exchange exchange;
  for (const char type : {'P', 'B', 'D', 'E'}) exchange.Sent(type);
  EXPECT_TRUE(exchange.in_batch());
  EXPECT_TRUE(exchange.batch_has_run());
  exchange.Sent('S');
  EXPECT_FALSE(exchange.in_batch());
  for (const char type : {'1', '2', 'T', 'D', 'C'}) exchange.Received(type);
  EXPECT_FALSE(exchange.settled());
  exchange.Received('Z', 'I');
  EXPECT_TRUE(exchange.settled());
}

TEST(ExchangeTest, WhatTheGatewayAskedIsNotPassedOn) {
  Exchange exchange;
  exchange.Sent('C', Audience::kNobody);
  exchange.Sent('P', Audience::kNobody, Named("s"));
  exchange.Sent('B');
  exchange.Sent('S');
  EXPECT_FALSE(exchange.Received('3').pass);
  EXPECT_FALSE(exchange.Received('1').pass);
  EXPECT_TRUE(exchange.Received('2').pass);
  EXPECT_TRUE(exchange.Received('Z', 'I').pass);

  exchange.Sent('Q', Audience::kNobody);
  for (const char type : {'T', 'D', 'C'}) EXPECT_FALSE(exchange.Received(type).pass);
  EXPECT_TRUE(exchange.Received('A').pass);  // a notification is the client's all the same
  EXPECT_FALSE(exchange.Received('Z', 'I').pass);
}

TEST(ExchangeTest, AnswersOfOurOwnComeInTheirPlace) {
  Exchange exchange;
  exchange.Sent('B');
  exchange.Answered("ours");
  exchange.Sent('S');
  EXPECT_FALSE(exchange.answer_due());
  exchange.Received('2');
  ASSERT_TRUE(exchange.answer_due());
  std::string out;
  exchange.TakeAnswers(out);
  EXPECT_EQ(out, "ours");
  exchange.Received('Z', 'I');
  EXPECT_TRUE(exchange.settled());
}

TEST(ExchangeTest, AnErrorSkipsToTheSync) {
  Exchange exchange;
  exchange.Sent('P', Audience::kClient, Named("a"));
  exchange.Sent('P', Audience::kNobody, Named("b"));
  exchange.Answered("never said");
  exchange.Sent('S');
  exchange.Sent('Q');
  const Exchange::Verdict verdict = exchange.Received('E');
  EXPECT_TRUE(verdict.pass);
  ASSERT_EQ(verdict.undone.size(), 2u);
  EXPECT_TRUE(verdict.undone[0].by_client);
  EXPECT_FALSE(verdict.undone[1].by_client);
  EXPECT_FALSE(exchange.answer_due());
  exchange.Received('Z', 'I');
  EXPECT_FALSE(exchange.settled());
  exchange.Received('C');
  exchange.Received('Z', 'I');
  EXPECT_TRUE(exchange.settled());
  EXPECT_FALSE(exchange.failed());
}

TEST(ExchangeTest, AnErrorSaysWhatWasNotPrepared) {
  Exchange exchange;
  exchange.Sent('B');
  exchange.Sent('P', Audience::kClient, Named("text"), "its name");
  exchange.AnsweredParse(Named("known"), "other name");
  exchange.Sent('P');  // unnamed
  exchange.AnsweredClose(Named("closed"), "closed name");
  exchange.Sent('S');
  const Exchange::Verdict verdict = exchange.Received('E');
  ASSERT_EQ(verdict.undone.size(), 4u);
  EXPECT_EQ(verdict.undone[0].name, "its name");
  EXPECT_FALSE(verdict.undone[0].on_server);
  EXPECT_EQ(verdict.undone[1].name, "other name");
  EXPECT_TRUE(verdict.undone[1].on_server);
  EXPECT_TRUE(verdict.undone[1].by_client);
  EXPECT_EQ(verdict.undone[2].statement, nullptr);
  EXPECT_TRUE(verdict.undone[2].by_client);
  EXPECT_TRUE(verdict.undone[3].closed);
  EXPECT_EQ(verdict.undone[3].name, "closed name");

  exchange.Received('Z', 'I');
  exchange.Sent('P');
  exchange.AnsweredParse(Named("known"), "name");
  exchange.Received('1');
  ASSERT_TRUE(exchange.answer_due());
  std::string out;
  exchange.TakeAnswers(out);
  EXPECT_EQ(out, std::string("1\0\0\0\4", 5));
}

TEST(ExchangeTest, ABatchIsRepeatableBeforeAnythingOfItRan) {
  const StatementPtr statement = Named("s");
  const auto fail = [&statement](auto... before) {
    Exchange exchange;
    exchange.Sent('Q');
    exchange.Received('Z', 'I');
    (exchange.Sent(before), ...);
    exchange.Mark(17);
    exchange.Sent('B', Audience::kClient, statement);
    exchange.Sent('E');
    exchange.Sent('S');
    for (const char type : {before...}) exchange.Received(type == 'P' ? '1' : type == 'B' ? '2' : 'C');
    return exchange.Received('E');
  };
  EXPECT_TRUE(fail('P').repeatable);
  EXPECT_EQ(fail('P').failed, statement);
  EXPECT_EQ(fail('P').failed_at, 17u);
  EXPECT_FALSE(fail('P', 'B').repeatable);
  EXPECT_FALSE(fail('P', 'B', 'E').repeatable);

  Exchange behind;
  for (const char type : {'B', 'S', 'B', 'S'}) behind.Sent(type);
  EXPECT_FALSE(behind.Received('E').repeatable);
  Exchange block;
  block.Sent('Q');
  block.Received('Z', 'T');
  for (const char type : {'B', 'S'}) block.Sent(type);
  EXPECT_FALSE(block.Received('E').repeatable);
}

TEST(ExchangeTest, TheEndOfABatchThatIsRepeatedIsNobodys) {
  Exchange exchange;
  for (const char type : {'B', 'E', 'S'}) exchange.Sent(type);
  exchange.Received('E');
  EXPECT_TRUE(exchange.HushSync());
  EXPECT_FALSE(exchange.Received('Z', 'I').pass);
  EXPECT_TRUE(exchange.settled());
  exchange.Sent('B');
  exchange.Received('E');
  EXPECT_FALSE(exchange.HushSync()) << "there is none yet";
}

TEST(ExchangeTest, WhatIsSentBehindAnErrorIsNotAwaited) {
  Exchange exchange;
  exchange.Sent('P');
  exchange.Received('E');
  EXPECT_TRUE(exchange.skipping());
  EXPECT_TRUE(exchange.settled());
  exchange.Sent('B');
  exchange.Sent('Q');  // PostgreSQL skips that too
  EXPECT_TRUE(exchange.settled());
  exchange.Sent('S');
  EXPECT_FALSE(exchange.settled());
  exchange.Received('Z', 'E');
  EXPECT_EQ(exchange.transaction_status(), 'E');
}

TEST(ExchangeTest, AnErrorInTheGatewaysOwnPlaceIsTheClientsAnswer) {
  Exchange exchange;
  exchange.Sent('P', Audience::kNobody, Named("s"));
  exchange.Sent('B');
  exchange.Sent('S');
  const Exchange::Verdict verdict = exchange.Received('E');
  EXPECT_TRUE(verdict.pass);
  EXPECT_TRUE(verdict.own_error);

  Exchange told;
  told.Sent('Q', Audience::kNotErrors);
  EXPECT_TRUE(told.failing());
  EXPECT_FALSE(told.Received('E').pass);
  EXPECT_TRUE(told.failing());
  EXPECT_TRUE(told.Received('Z', 'E').pass);
  EXPECT_FALSE(told.failing());
}

TEST(ExchangeTest, CopyInSwallowsTheSyncBehindItsExecute) {
  Exchange exchange;
  for (const char type : {'P', 'B', 'E', 'S'}) exchange.Sent(type);
  for (const char type : {'1', '2', 'G'}) exchange.Received(type);
  exchange.Sent('d');
  exchange.Sent('c');
  exchange.Sent('S');
  exchange.Received('C');
  EXPECT_FALSE(exchange.settled());
  exchange.Received('Z', 'I');
  EXPECT_TRUE(exchange.settled());
}

TEST(ExchangeTest, CopyInOfASimpleQuery) {
  Exchange exchange;
  exchange.Sent('Q');
  exchange.Received('G');
  exchange.Sent('d');
  exchange.Sent('c');
  exchange.Received('C');
  exchange.Received('Z', 'I');
  EXPECT_TRUE(exchange.settled());
  exchange.Sent('c');  // a stray one
  EXPECT_TRUE(exchange.settled());
}

TEST(ExchangeTest, HowManyReadyForQueryAreDue) {
  Exchange exchange;
  exchange.Sent('Q');
  exchange.Sent('P');
  exchange.Sent('S');
  exchange.Sent('Q', Audience::kNobody);
  EXPECT_EQ(exchange.syncs_due().size(), 2u);
}

}  // namespace
}  // namespace leasehold::gateway
