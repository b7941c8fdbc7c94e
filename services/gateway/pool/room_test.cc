#include "services/gateway/pool/room.h"

#include <gtest/gtest.h>

namespace leasehold::gateway {
namespace {

TEST(InstanceRoom, IsTheCapUntilPostgresSaysOtherwise) {
  InstanceRoom room(50);
  room.Look(absl::Hours(1));
  EXPECT_EQ(room.get(), 50);
  EXPECT_TRUE(room.all());
  room.Refused(40, absl::Hours(1));
  EXPECT_EQ(room.get(), 40);
  EXPECT_FALSE(room.all());
  room.Refused(45, absl::Hours(1));
  EXPECT_EQ(room.get(), 40) << "that one was dialled before";
  room.Refused(0, absl::Hours(1));
  EXPECT_EQ(room.get(), 1) << "who may dial nothing would never learn better";
}

TEST(InstanceRoom, ComesBackFasterAndFasterUnlessRefusedAgain) {
  InstanceRoom room(50);
  absl::Duration now = absl::Seconds(100);
  room.Refused(10, now);
  room.Look(now + absl::Milliseconds(999));
  EXPECT_EQ(room.get(), 10);
  for (const int expected : {11, 13, 17}) {
    room.Look(now += absl::Seconds(1));
    EXPECT_EQ(room.get(), expected);
  }
  room.Refused(16, now);
  for (const int expected : {17, 19, 23, 31, 47, 50}) {
    room.Look(now += absl::Seconds(1));
    EXPECT_EQ(room.get(), expected);
  }
  EXPECT_TRUE(room.all());
}

}  // namespace
}  // namespace leasehold::gateway
