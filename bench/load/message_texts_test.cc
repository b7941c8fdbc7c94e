#include "bench/load/message_texts.h"

#include <gtest/gtest.h>

#include <string>

#include "leasehold/v1/lease.pb.h"

namespace leasehold::bench {
namespace {

v1::AcquireLeaseResponse Answer() {
  v1::AcquireLeaseResponse answer;
  answer.mutable_lease()->set_tenant("acme");
  answer.mutable_lease()->set_session(true);
  answer.mutable_lease()->mutable_expire_time()->set_seconds(1'767'225'600);
  answer.mutable_credentials()->set_port(7432);
  answer.mutable_credentials()->set_password("secret");
  return answer;
}

TEST(MessageTexts, AreFoundByNumber) {
  const std::string bytes = Answer().SerializeAsString();
  const auto parts = TextsOf<3>(bytes);
  ASSERT_TRUE(parts);
  EXPECT_EQ(TextsOf<16>((*parts)[v1::AcquireLeaseResponse::kLeaseFieldNumber])->at(v1::Lease::kTenantFieldNumber),
            "acme");
  const auto credentials = TextsOf<8>((*parts)[v1::AcquireLeaseResponse::kCredentialsFieldNumber]);
  ASSERT_TRUE(credentials);
  EXPECT_EQ(credentials->at(v1::Credentials::kPasswordFieldNumber), "secret");
  EXPECT_EQ(credentials->at(v1::Credentials::kDsnFieldNumber), "");
  EXPECT_TRUE(TextsOf<2>(bytes)) << "numbers beyond are passed over";
}

TEST(MessageTexts, OfACutMessageAreNone) {
  const std::string bytes = Answer().SerializeAsString();
  const size_t whole = Answer().lease().ByteSizeLong() + 2;  // with its tag and length
  for (size_t size = 1; size < bytes.size(); ++size) {
    EXPECT_EQ(TextsOf<3>(bytes.substr(0, size)).has_value(), size == whole) << size;
  }
}

TEST(MessageTexts, OfSomethingElseAreNone) {
  EXPECT_FALSE(TextsOf<3>(std::string("\0", 1)));
  EXPECT_FALSE(TextsOf<3>("\x0b"));                      // a group
  EXPECT_FALSE(TextsOf<3>("\x0a\xff\xff\xff\xff\x0f"));  // 4 GiB
  EXPECT_FALSE(TextsOf<3>("\xff\xff\xff"));
}

}  // namespace
}  // namespace leasehold::bench
