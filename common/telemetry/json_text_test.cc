#include "common/telemetry/json_text.h"

#include <gtest/gtest.h>

#include <format>
#include <string>

namespace leasehold {
namespace {

std::string Json(std::string_view text) {
  std::string out;
  AppendJson(out, text);
  return out;
}

// Eight bytes are looked at together, so each byte stands at each place of a word and in the rest behind it.
TEST(JsonText, EachByteIsEscapedWhereverItStands) {
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    std::string expected(1, c);
    if (c == '"' || c == '\\') expected.insert(0, "\\");
    if (byte < 0x20 || byte == 0x7f) expected = std::format("\\u{:04x}", byte);
    if (byte >= 0x80) expected = "\\ufffd";
    for (size_t before = 0; before < 20; ++before) {
      const std::string text = std::string(before, 'a') + c + std::string(19 - before, '~');
      EXPECT_EQ(Json(text), '"' + std::string(before, 'a') + expected + std::string(19 - before, '~') + '"') << byte;
    }
  }
}

TEST(JsonText, WhatIsNotAsciiStaysUnlessItIsAControl) {
  EXPECT_EQ(Json("Müller & Söhne, 東京"), "\"Müller & Söhne, 東京\"");
  EXPECT_EQ(Json("a\u202eb"), "\"a\\u202eb\"");
  EXPECT_EQ(Json("\xc3"), "\"\\ufffd\"");
}

TEST(JsonText, MembersAreSeparated) {
  std::string out = "{";
  AppendJsonMember(out, "a", "1");
  AppendJsonMember(out, "b", "\"");
  EXPECT_EQ(out, R"({"a":"1","b":"\"")");
}

}  // namespace
}  // namespace leasehold
