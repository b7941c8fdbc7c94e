#include "services/cli/stack/dev_certificates.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "absl/time/clock.h"
#include "common/localserver/localserver.h"
#include "common/status/error.h"
#include "common/tls/credentials.h"

namespace leasehold::stack {
namespace {

class DevCertificatesTest : public testing::Test {
 protected:
  std::string PathOf(const std::string& file) const { return folder_.path() + "/certs/" + file; }
  std::string Slurp(const std::string& file) const {
    std::ifstream stream(PathOf(file));
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  absl::StatusOr<std::shared_ptr<const tls::Credentials>> Read(const std::string& name, absl::Time now) const {
    return tls::Credentials::Read({.certificate = {"crt", PathOf(name + ".crt")},
                                   .key = {"key", PathOf(name + ".key")},
                                   .ca = {"ca", PathOf("ca.crt")}},
                                  now);
  }

  localserver::TemporaryDirectory folder_;
  DevCertificates options_{.folder = folder_.path() + "/certs"};
};

TEST_F(DevCertificatesTest, AllOfThemFitTogether) {
  ASSERT_TRUE(MakeDevCertificates(options_).ok());
  for (const char* name : kDevIdentities) {
    const auto read = Read(name, absl::Now());
    EXPECT_TRUE(read.ok()) << read.status();
  }
  for (const auto& entry : std::filesystem::directory_iterator(options_.folder)) {
    struct stat found{};
    ASSERT_EQ(stat(entry.path().c_str(), &found), 0);
    EXPECT_EQ(found.st_mode & 0777, entry.path().extension() == ".key" ? 0600U : 0644U) << entry.path();
  }
}

TEST_F(DevCertificatesTest, NothingIsOverwrittenUnlessToldSo) {
  ASSERT_TRUE(MakeDevCertificates(options_).ok());
  const std::string before = Slurp("nats.key");
  std::filesystem::remove(PathOf("ca.crt"));
  const absl::Status refused = MakeDevCertificates(options_);
  EXPECT_THAT(std::string(refused.message()), testing::HasSubstr("ca.key is there already; --force"));
  EXPECT_FALSE(std::filesystem::exists(PathOf("ca.crt"))) << "all or nothing";
  options_.overwrite = true;
  ASSERT_TRUE(MakeDevCertificates(options_).ok());
  EXPECT_NE(Slurp("nats.key"), before);
}

TEST_F(DevCertificatesTest, HostsAreNamesOrAddresses) {
  for (const char* host : {"", "a,URI:spiffe://x", "a b", "a=b", "a\nb"}) {
    options_.hosts = {host};
    EXPECT_EQ(ReasonOf(MakeDevCertificates(options_)), v1::REASON_INVALID_FIELD) << host;
  }
  EXPECT_FALSE(std::filesystem::exists(options_.folder));
}

TEST_F(DevCertificatesTest, AreMadeAnewWhenTheyEndSoon) {
  options_.valid = absl::Hours(48);
  ASSERT_TRUE(EnsureDevCertificates(options_).ok());
  const std::string fresh = Slurp("gateway.crt");
  ASSERT_TRUE(EnsureDevCertificates(options_).ok());
  EXPECT_EQ(Slurp("gateway.crt"), fresh);
  options_.valid = absl::Hours(2);
  options_.overwrite = true;
  ASSERT_TRUE(MakeDevCertificates(options_).ok());
  const std::string soon = Slurp("gateway.crt");
  options_.valid = absl::Hours(48);
  ASSERT_TRUE(EnsureDevCertificates(options_).ok());
  EXPECT_NE(Slurp("gateway.crt"), soon);
  EXPECT_TRUE(Read("gateway", absl::Now() + absl::Hours(40)).ok());
}

}  // namespace
}  // namespace leasehold::stack
