#include "common/bearer/bearer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace leasehold {
namespace {

using ::testing::HasSubstr;

TEST(CheckTokenMayGo, InClearToThisMachineOnly) {
  for (const char* here : {"127.0.0.1:7450", "127.9.9.9:1", "localhost:7450", "[::1]:7450"}) {
    EXPECT_TRUE(CheckTokenMayGo(here, false).ok()) << here;
  }
  for (const char* there :
       {"gateway:7450", "127.example.org:7450", "10.0.0.3:7450", "127.0.0.1", "", "localhost.example.org:7450"}) {
    const absl::Status status = CheckTokenMayGo(there, false);
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << there;
    EXPECT_THAT(std::string(status.message()), HasSubstr("TLS")) << there;
    EXPECT_TRUE(CheckTokenMayGo(there, true).ok()) << there;
  }
}

}  // namespace
}  // namespace leasehold
