#include "services/gateway/audit/recent_records.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace leasehold::gateway {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

v1::AuditRecord Record(int64_t number) {
  v1::AuditRecord record;
  record.set_number(number);
  return record;
}

std::vector<int64_t> Numbers(const std::vector<v1::AuditRecord>& records) {
  std::vector<int64_t> numbers;
  for (const v1::AuditRecord& record : records) numbers.push_back(record.number());
  return numbers;
}

TEST(RecentRecordsTest, GivesWhatFollowsWithoutAGap) {
  RecentRecords recent;
  for (const int64_t number : {3, 4, 7, 8}) recent.Add(Record(number));
  EXPECT_THAT(Numbers(recent.Take(3, 50)), ElementsAre(3, 4));
  EXPECT_THAT(Numbers(recent.Take(5, 50)), IsEmpty()) << "5 and 6 are another gateway's";
  EXPECT_THAT(Numbers(recent.Take(7, 50)), ElementsAre(7, 8));
  EXPECT_THAT(Numbers(recent.Take(9, 50)), IsEmpty());
}

TEST(RecentRecordsTest, ForgetsWhatOthersHavePublished) {
  RecentRecords recent;
  for (const int64_t number : {1, 2, 3}) recent.Add(Record(number));
  EXPECT_THAT(Numbers(recent.Take(3, 50)), ElementsAre(3));
  EXPECT_THAT(Numbers(recent.Take(1, 50)), IsEmpty());
}

TEST(RecentRecordsTest, GivesNoMoreThanTheLimit) {
  RecentRecords recent;
  for (const int64_t number : {1, 2, 3}) recent.Add(Record(number));
  EXPECT_THAT(Numbers(recent.Take(1, 2)), ElementsAre(1, 2));
  EXPECT_THAT(Numbers(recent.Take(3, 2)), ElementsAre(3));
}

TEST(RecentRecordsTest, LeavesTheOldestToTheTable) {
  RecentRecords recent;
  for (size_t i = 1; i <= RecentRecords::kMost + 1; ++i) recent.Add(Record(static_cast<int64_t>(i)));
  EXPECT_THAT(Numbers(recent.Take(1, 50)), IsEmpty());
  EXPECT_THAT(Numbers(recent.Take(2, 1)), ElementsAre(2));
}

}  // namespace
}  // namespace leasehold::gateway
