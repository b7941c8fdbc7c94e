#include "common/status/utf8.h"

#include <gtest/gtest.h>

#include <string_view>

namespace leasehold {
namespace {

TEST(Utf8, DecodesTheBoundariesOfEachLength) {
  const struct {
    std::string_view text;
    char32_t code_point;
    size_t bytes;
  } cases[] = {
      {std::string_view("\0", 1), 0, 1},
      {"\x7f", 0x7f, 1},
      {"\xc2\x80", 0x80, 2},
      {"\xdf\xbf", 0x7ff, 2},
      {"\xe0\xa0\x80", 0x800, 3},
      {"\xed\x9f\xbf", 0xd7ff, 3},
      {"\xee\x80\x80", 0xe000, 3},
      {"\xef\xbf\xbf", 0xffff, 3},
      {"\xf0\x90\x80\x80", 0x10000, 4},
      {"\xf4\x8f\xbf\xbf", 0x10ffff, 4},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(DecodeUtf8(c.text).code_point, c.code_point);
    EXPECT_EQ(DecodeUtf8(c.text).bytes, c.bytes) << std::hex << static_cast<unsigned>(c.code_point);
  }
}

TEST(Utf8, RefusesWhatIsNotWellFormed) {
  const std::string_view cases[] = {
      "",
      "\x80",              // a continuation at the start
      "\xc3",              // cut short
      "\xe2\x82",          // cut short
      "\xc3z",             // no continuation
      "\xc0\xaf",          // overlong
      "\xe0\x9f\xbf",      // overlong
      "\xf0\x8f\xbf\xbf",  // overlong
      "\xed\xa0\x80",      // surrogate
      "\xf4\x90\x80\x80",  // above U+10FFFF
      "\xf8\x88\x80\x80\x80",
      "\xff",
  };
  for (const std::string_view text : cases) EXPECT_EQ(DecodeUtf8(text).bytes, 0u) << testing::PrintToString(text);
}

TEST(Utf8, AllOfATextOrNotIt) {
  EXPECT_TRUE(IsUtf8(""));
  EXPECT_TRUE(IsUtf8("a\xc3\xa9\xf4\x8f\xbf\xbf"));
  EXPECT_FALSE(IsUtf8("caf\xc3"));
  EXPECT_FALSE(IsUtf8("\xff\x61"));
}

TEST(Utf8, KnowsControls) {
  for (const char32_t c : {0x00, 0x1f, 0x7f, 0x80, 0x9f, 0x2028, 0x202e, 0x2066, 0xfeff}) EXPECT_TRUE(IsControl(c));
  for (const char32_t c : {0x20, 0x7e, 0xa0, 0xe9, 0x4e00, 0x200d, 0x1f600}) EXPECT_FALSE(IsControl(c));
}

}  // namespace
}  // namespace leasehold
