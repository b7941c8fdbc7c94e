#include "services/provisioner/spares/stock.h"

#include <gtest/gtest.h>

namespace leasehold::provisioner {
namespace {

const Migrations kFiles = {{.version = 1, .name = "0001_a.sql", .checksum = "aa"},
                           {.version = 2, .name = "0002_b.sql", .checksum = "bb"},
                           {.version = 3, .name = "0003_c.sql", .checksum = "cc"}};
const Standard kNow = StandardOf(kFiles, "key");

Spare Ready(std::string id) { return {.database_id = std::move(id), .ready = true, .standard = kNow}; }

Chore Next(std::span<const Spare> spares, int target) { return NextChore(spares, kNow, kFiles, target); }

TEST(StockTest, ThereIsNothingToDoWhenAllAreThere) {
  EXPECT_EQ(Next(std::vector{Ready("a"), Ready("b")}, 2), Chore());
  EXPECT_EQ(Next({}, 0), Chore());
}

TEST(StockTest, WhatIsMissingIsMade) { EXPECT_EQ(Next(std::vector{Ready("a")}, 2), Chore{.kind = Chore::Kind::kMake}); }

TEST(StockTest, WhatIsTooMuchIsDroppedTheNewestFirst) {
  EXPECT_EQ(Next(std::vector{Ready("old"), Ready("new")}, 1),
            (Chore{.kind = Chore::Kind::kDiscard, .database_id = "new"}));
}

TEST(StockTest, WhatIsHalfMadeOrOutdatedIsFinishedIfItIsWanted) {
  Spare outdated = Ready("outdated"), rekeyed = Ready("rekeyed");
  outdated.standard = StandardOf({kFiles.begin(), kFiles.begin() + 2}, "key");
  rekeyed.standard.role_key = "older key";
  Spare unknown = Ready("of before digests were noted"), again = outdated;
  unknown.standard.schema_digest = "";
  again.ready = false;
  for (const Spare& spare : {Spare{.database_id = "half"}, outdated, rekeyed, unknown, again}) {
    const std::vector spares{Ready("good"), spare};
    EXPECT_EQ(CountFitting(spares, kNow), 1);
    EXPECT_EQ(Next(spares, 2), (Chore{.kind = Chore::Kind::kFinish, .database_id = spare.database_id}));
    EXPECT_EQ(Next(spares, 1), (Chore{.kind = Chore::Kind::kDiscard, .database_id = spare.database_id}));
  }
}

TEST(StockTest, WhatWasMadeOfOtherFilesIsDroppedAndNeverFits) {
  Migrations mended = kFiles, longer = kFiles, late = kFiles;
  mended[2].checksum = "as it was before";
  longer.push_back({.version = 4, .name = "0004_taken_out.sql", .checksum = "dd"});
  late.erase(late.begin() + 1);
  for (const Migrations& files : {mended, longer, late}) {
    for (const bool ready : {true, false}) {
      const Spare other{.database_id = "other", .ready = ready, .standard = StandardOf(files, "key")};
      EXPECT_EQ(CountFitting(std::vector{other}, kNow), 0);
      for (const int target : {0, 1}) {
        EXPECT_EQ(Next(std::vector{other}, target), (Chore{.kind = Chore::Kind::kDiscard, .database_id = "other"}));
      }
    }
  }
}

TEST(StandardTest, FollowsTheFilesAsTheyAreRead) {
  SharedMigrations files(kFiles);
  const CurrentStandard current(files, "key");
  EXPECT_EQ(current.Get(), kNow);
  Migrations mended = kFiles;
  mended[2].checksum = "mended";
  files.Set(mended);
  EXPECT_EQ(current.Get(), StandardOf(mended, "key"));
  EXPECT_EQ(current.Get().schema_version, kNow.schema_version);
  EXPECT_NE(current.Get(), kNow);
}

}  // namespace
}  // namespace leasehold::provisioner
