#include "services/gateway/lease/outbox.h"

#include <gmock/gmock.h>

#include <thread>

namespace leasehold::gateway {
namespace {

using testing::ElementsAre;
using testing::SizeIs;
using Urgency = LeaseOutbox::Urgency;

LeaseId Id(int n) {
  const uint8_t random[10] = {static_cast<uint8_t>(n >> 16), static_cast<uint8_t>(n >> 8), static_cast<uint8_t>(n)};
  return LeaseId::Make(1'700'000'000'000, random);
}

class OutboxTest : public testing::Test {
 protected:
  std::optional<LeaseOutbox::Item> Take(size_t max_news = 10) { return outbox_.Take(absl::ZeroDuration(), max_news); }
  LeaseOutbox::News TakeNews(size_t max_news = 10) {
    const auto item = Take(max_news);
    if (!item || !std::holds_alternative<LeaseOutbox::News>(*item)) return {};
    return std::get<LeaseOutbox::News>(*item);
  }
  std::optional<LeaseId> TakeChange() {
    const auto item = Take();
    if (!item || !std::holds_alternative<LeaseOutbox::Change>(*item)) return std::nullopt;
    return std::get<LeaseOutbox::Change>(*item).id;
  }

  LeaseOutbox outbox_;
};

TEST_F(OutboxTest, NewsAreTakenTogetherAndInOrder) {
  for (int i = 0; i < 5; ++i) outbox_.Add(Id(i), Urgency::kNews);
  EXPECT_THAT(TakeNews(3), ElementsAre(Id(0), Id(1), Id(2)));
  EXPECT_THAT(TakeNews(3), ElementsAre(Id(3), Id(4)));
  EXPECT_FALSE(Take());
}

TEST_F(OutboxTest, RevocationsThenChangesOneByOneThenNews) {
  outbox_.Add(Id(1), Urgency::kNews);
  outbox_.Add(Id(2), Urgency::kNews);
  outbox_.Add(Id(3), Urgency::kChange);
  outbox_.Add(Id(4), Urgency::kChange);
  outbox_.Add(v1::Revocation());
  EXPECT_TRUE(std::holds_alternative<v1::Revocation>(*Take()));
  EXPECT_EQ(TakeChange(), Id(3));
  EXPECT_EQ(TakeChange(), Id(4));
  EXPECT_THAT(TakeNews(), ElementsAre(Id(1), Id(2)));
}

TEST_F(OutboxTest, ALeaseThatChangesIsNoNewsAnyMore) {
  for (int i = 0; i < 3; ++i) outbox_.Add(Id(i), Urgency::kNews);
  outbox_.Add(Id(1), Urgency::kChange);
  outbox_.Add(Id(1), Urgency::kNews);
  EXPECT_EQ(outbox_.size(), 3u);
  EXPECT_EQ(TakeChange(), Id(1));
  EXPECT_THAT(TakeNews(), ElementsAre(Id(0), Id(2)));
}

TEST_F(OutboxTest, WithoutRoomForNewsTheyStay) {
  outbox_.Add(Id(1), Urgency::kNews);
  EXPECT_FALSE(Take(0));
  outbox_.Add(Id(2), Urgency::kChange);
  EXPECT_TRUE(std::holds_alternative<LeaseOutbox::Change>(*Take(0)));
  EXPECT_FALSE(Take(0));
  EXPECT_THAT(TakeNews(), ElementsAre(Id(1)));
}

TEST_F(OutboxTest, WhatCouldNotBeToldIsNextAgain) {
  for (int i = 0; i < 4; ++i) outbox_.Add(Id(i), Urgency::kNews);
  LeaseOutbox::News news = TakeNews(3);
  outbox_.Add(Id(1), Urgency::kChange);  // meanwhile
  outbox_.PutBack(std::move(news));
  EXPECT_EQ(TakeChange(), Id(1));
  EXPECT_THAT(TakeNews(), ElementsAre(Id(0), Id(2), Id(3)));

  outbox_.Add(Id(5), Urgency::kChange);
  outbox_.Add(Id(6), Urgency::kChange);
  outbox_.PutBack(*Take());
  EXPECT_EQ(TakeChange(), Id(5));
}

TEST_F(OutboxTest, TheOldestNewsAreDroppedWhenThereAreTooMany) {
  for (size_t i = 0; i <= LeaseOutbox::kMaxNews; ++i) outbox_.Add(Id(static_cast<int>(i)), Urgency::kNews);
  EXPECT_EQ(outbox_.dropped(), 1u);
  EXPECT_EQ(outbox_.size(), LeaseOutbox::kMaxNews);
  EXPECT_THAT(TakeNews(1), ElementsAre(Id(1)));
}

TEST_F(OutboxTest, WaitsForAnItemAndNotOnceClosed) {
  std::thread adder([this] { outbox_.Add(Id(1), Urgency::kNews); });
  const auto item = outbox_.Take(absl::Seconds(20), 10);
  adder.join();
  ASSERT_TRUE(item);
  EXPECT_THAT(std::get<LeaseOutbox::News>(*item), SizeIs(1));

  std::thread changer([this] { outbox_.Add(Id(2), Urgency::kChange); });
  EXPECT_TRUE(outbox_.Take(absl::Seconds(20), 0)) << "what changes does not wait for news";
  changer.join();

  std::thread closer([this] { outbox_.Close(); });
  EXPECT_FALSE(outbox_.Take(absl::InfiniteDuration(), 0));
  EXPECT_FALSE(outbox_.Take(absl::InfiniteDuration(), 10));
  closer.join();
}

}  // namespace
}  // namespace leasehold::gateway
