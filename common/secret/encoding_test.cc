#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "common/secret/secret.h"

namespace leasehold {
namespace {

TEST(Base64, AgreesWithRfc4648) {
  const struct {
    std::string_view data, padded, url;
  } cases[] = {
      {"", "", ""},
      {"f", "Zg==", "Zg"},
      {"fo", "Zm8=", "Zm8"},
      {"foo", "Zm9v", "Zm9v"},
      {"foob", "Zm9vYg==", "Zm9vYg"},
      {"fooba", "Zm9vYmE=", "Zm9vYmE"},
      {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
      {"\xfb\xff\xbf", "+/+/", "-_-_"},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(Base64(c.data), c.padded);
    EXPECT_EQ(Base64Url(c.data), c.url);
    EXPECT_EQ(FromBase64(c.padded).value_or("error"), c.data);
    EXPECT_EQ(FromBase64Url(c.url).value_or("error"), c.data);
  }
}

TEST(Base64, EveryLengthComesBack) {
  std::string data;
  for (int i = 0; i < 600; ++i) {
    EXPECT_EQ(FromBase64(Base64(data)).value_or("error"), data);
    EXPECT_EQ(FromBase64Url(Base64Url(data)).value_or("error"), data);
    data += static_cast<char>(i * 37);
  }
}

// One value has one text: else two different lease user names would be the same lease.
TEST(Base64, TakesOnlyTheCanonicalText) {
  for (const std::string_view text : {"Zg", "Zg=", "Zg===", "Zh==", "Zm9=", "Zm8", "Z", "====", "=", "Zg==Zg==", "Zm 8",
                                      "Zm8=\n", "Zm9v\n", "-_-_", "Zm9*"}) {
    EXPECT_FALSE(FromBase64(text).ok()) << text;
  }
  for (const std::string_view text : {"Zg==", "Zh", "Zm9", "Z", "Zm9vY", "+/+/", "Zm 8", "Zm9v\n", "\xff\xff"}) {
    EXPECT_FALSE(FromBase64Url(text).ok()) << text;
  }
}

TEST(Base64, ErrorsDoNotShowTheText) {
  EXPECT_EQ(FromBase64("secret-!").status().ToString().find("secret"), std::string::npos);
}

TEST(Hex, BothWays) {
  EXPECT_EQ(Hex(std::string_view("\x00\x7f\xff", 3)), "007fff");
  EXPECT_EQ(FromHex("007fFF").value_or("error"), std::string_view("\x00\x7f\xff", 3));
  EXPECT_EQ(FromHex("").value_or("error"), "");
  for (const std::string_view text : {"0", "0g", "g0", " 00", "0x00"}) EXPECT_FALSE(FromHex(text).ok()) << text;
}

}  // namespace
}  // namespace leasehold
