#include "common/telemetry/seldom.h"

#include <gtest/gtest.h>

namespace leasehold {
namespace {

const absl::Time kBegin = absl::FromUnixSeconds(1'800'000'000);

TEST(Seldom, TheFirstIsSaidAtOnceTheOthersAMinuteLaterInOne) {
  Seldom seldom;
  EXPECT_EQ(seldom.Note(kBegin), 1);
  EXPECT_EQ(seldom.Note(kBegin + absl::Seconds(1)), std::nullopt);
  EXPECT_EQ(seldom.Note(kBegin + absl::Seconds(59)), std::nullopt);
  EXPECT_EQ(seldom.Note(kBegin + absl::Seconds(60)), 3);
  EXPECT_EQ(seldom.Note(kBegin + absl::Seconds(200)), 1);
}

TEST(Seldom, AClockThatIsSetBackSilencesNothing) {
  Seldom seldom;
  EXPECT_EQ(seldom.Note(kBegin), 1);
  EXPECT_EQ(seldom.Note(kBegin - absl::Hours(1)), 1);
}

}  // namespace
}  // namespace leasehold
