#include "common/daemon/exposure.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/status/error.h"

namespace leasehold {
namespace {

using ::testing::HasSubstr;

absl::Status Check(const std::string& address, bool encrypted, bool authenticated, bool insecure = false) {
  const Port port{.field = "gateway.x_listen",
                  .address = address,
                  .encrypted = encrypted,
                  .encrypted_by = "gateway.x_certificate_file",
                  .authenticated = authenticated,
                  .authenticated_by = "gateway.x_client_ca_file"};
  return CheckExposure({&port, 1}, insecure);
}

TEST(Exposure, LoopbackIsNobodysBusiness) {
  for (const char* address : {"127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "localhost:1"}) {
    EXPECT_TRUE(Check(address, false, false).ok()) << address;
  }
}

TEST(Exposure, BeyondItNeedsBoth) {
  for (const char* address : {"0.0.0.0:1", "[::]:1", "10.0.0.1:1", "128.0.0.1:1", "[fe80::1]:1", "gateway:1",
                              "localhost.example:1", "127.0.0.1.example:1"}) {
    EXPECT_TRUE(Check(address, true, true).ok()) << address;
    EXPECT_EQ(ReasonOf(Check(address, true, false)), v1::REASON_INVALID_FIELD) << address;
    EXPECT_EQ(ReasonOf(Check(address, false, true)), v1::REASON_INVALID_FIELD) << address;
    EXPECT_EQ(ReasonOf(Check(address, false, false)), v1::REASON_INVALID_FIELD) << address;
  }
}

TEST(Exposure, SaysWhatIsMissing) {
  EXPECT_EQ(Check("0.0.0.0:1", false, false).message(),
            "gateway.x_listen is '0.0.0.0:1'; allowed: a loopback address, as it has no TLS "
            "(gateway.x_certificate_file) and does not ask who calls (gateway.x_client_ca_file); or start with "
            "--insecure");
  EXPECT_THAT(std::string(Check("0.0.0.0:1", true, false).message()), HasSubstr("as it does not ask who calls"));
}

TEST(Exposure, InSoManyWords) {
  testing::internal::CaptureStderr();
  EXPECT_TRUE(Check("0.0.0.0:1", false, true, true).ok());
  EXPECT_TRUE(Check("127.0.0.1:1", false, false, true).ok());
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_THAT(log, HasSubstr("\"address\":\"0.0.0.0:1\""));
  EXPECT_THAT(log, HasSubstr("has no TLS"));
  EXPECT_THAT(log, testing::Not(HasSubstr("127.0.0.1")));
}

}  // namespace
}  // namespace leasehold
