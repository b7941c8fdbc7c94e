#include "services/provisioner/spares/stock.h"

#include <gtest/gtest.h>

namespace leasehold::provisioner {
namespace {

const Standard kNow{.schema_version = 3, .role_key = "key"};

Spare Ready(std::string id) { return {.database_id = std::move(id), .ready = true, .standard = kNow}; }

TEST(StockTest, ThereIsNothingToDoWhenAllAreThere) {
  EXPECT_EQ(NextChore(std::vector{Ready("a"), Ready("b")}, kNow, 2), Chore());
  EXPECT_EQ(NextChore({}, kNow, 0), Chore());
}

TEST(StockTest, WhatIsMissingIsMade) {
  EXPECT_EQ(NextChore(std::vector{Ready("a")}, kNow, 2), Chore{.kind = Chore::Kind::kMake});
}

TEST(StockTest, WhatIsTooMuchIsDroppedTheNewestFirst) {
  EXPECT_EQ(NextChore(std::vector{Ready("old"), Ready("new")}, kNow, 1),
            (Chore{.kind = Chore::Kind::kDiscard, .database_id = "new"}));
}

TEST(StockTest, WhatIsHalfMadeOrOutdatedIsFinishedIfItIsWanted) {
  Spare outdated = Ready("outdated"), rekeyed = Ready("rekeyed");
  outdated.standard.schema_version = 2;
  rekeyed.standard.role_key = "older key";
  for (const Spare& spare : {Spare{.database_id = "half"}, outdated, rekeyed}) {
    const std::vector spares{Ready("good"), spare};
    EXPECT_EQ(CountFitting(spares, kNow), 1);
    EXPECT_EQ(NextChore(spares, kNow, 2), (Chore{.kind = Chore::Kind::kFinish, .database_id = spare.database_id}));
    EXPECT_EQ(NextChore(spares, kNow, 1), (Chore{.kind = Chore::Kind::kDiscard, .database_id = spare.database_id}));
  }
}

TEST(StockTest, WhatANewerProvisionerMadeIsLeftAlone) {
  Spare newer = Ready("newer");
  newer.standard.schema_version = 4;
  EXPECT_EQ(NextChore(std::vector{newer}, kNow, 0), Chore());
  EXPECT_EQ(NextChore(std::vector{newer}, kNow, 1), Chore{.kind = Chore::Kind::kMake});
}

}  // namespace
}  // namespace leasehold::provisioner
