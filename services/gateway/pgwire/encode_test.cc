#include "services/gateway/pgwire/encode.h"

#include <gtest/gtest.h>

#include "common/status/error.h"
#include "services/gateway/pgwire/frame.h"

namespace leasehold::gateway::pgwire {
namespace {

using namespace std::string_view_literals;

TEST(EncodeTest, MessagesFollowEachOther) {
  std::string out = "x";
  ReadyForQuery(out, 'I');
  CommandComplete(out, "SET");
  EXPECT_EQ(out, "xZ\0\0\0\5IC\0\0\0\x08SET\0"sv);
}

TEST(EncodeTest, ErrorSurvivesTheRoundTrip) {
  std::string out;
  ErrorResponse(out, Severity::kFatal, {.code = "42501", .message = "no\0hidden", .hint = "ask"});
  Frame frame;
  ASSERT_EQ(ReadHeader(out, kLargestBody, frame), Answer::kDone);
  ASSERT_EQ(frame.size, out.size());
  EXPECT_NE(out.find("SFATAL"), std::string::npos);
  const ErrorFields read = ReadErrorFields(std::string_view(out).substr(kHeaderSize));
  EXPECT_EQ(read.code, "42501");
  EXPECT_EQ(read.message, "no");
  EXPECT_EQ(read.hint, "ask");
}

TEST(EncodeTest, WhatAStrangerMayReadOfAStatus) {
  const ErrorFields safe = ToErrorFields(Error(v1::REASON_SWITCH_NOT_ALLOWED, "not yours"));
  EXPECT_EQ(safe.code, "42501");
  EXPECT_EQ(safe.message, "not yours");
  const ErrorFields hidden = ToErrorFields(absl::InternalError("10.0.0.1 password=x"));
  EXPECT_EQ(hidden.code, "XX000");
  EXPECT_EQ(hidden.message, "internal error");
}

TEST(EncodeTest, Rows) {
  std::string out;
  const Column column{.name = "t", .binary = true};
  RowDescription(out, {&column, 1});
  EXPECT_EQ(out, "T\0\0\0\x1a\0\1t\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\1"sv);
  out.clear();
  const std::string values[] = {"ab", ""};
  DataRow(out, values);
  EXPECT_EQ(out, "D\0\0\0\x10\0\2\0\0\0\2ab\0\0\0\0"sv);
}

}  // namespace
}  // namespace leasehold::gateway::pgwire
