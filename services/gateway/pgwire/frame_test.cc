#include "services/gateway/pgwire/frame.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "services/gateway/pgwire/extended.h"

namespace leasehold::gateway::pgwire {
namespace {

using namespace std::string_view_literals;

TEST(FrameTest, Header) {
  Frame frame;
  EXPECT_EQ(ReadClientHeader("", frame), Answer::kNeedMore);
  EXPECT_EQ(ReadClientHeader("Q\0\0\0"sv, frame), Answer::kNeedMore);
  ASSERT_EQ(ReadClientHeader("Q\0\0\0\x0aselect"sv, frame), Answer::kDone);
  EXPECT_EQ(frame.type, 'Q');
  EXPECT_EQ(frame.size, 11u);
  EXPECT_EQ(ReadClientHeader("Q\0\0\0\3"sv, frame), Answer::kStop);
  EXPECT_EQ(ReadClientHeader("Q\x7f\0\0\0"sv, frame), Answer::kStop);
  EXPECT_EQ(ReadClientHeader("E\0\1\0\0"sv, frame), Answer::kStop);  // an Execute of 64 KiB
  EXPECT_EQ(ReadClientHeader("p"sv, frame), Answer::kStop);          // a password after log-in
  EXPECT_EQ(ReadClientHeader("G"sv, frame), Answer::kStop);
}

TEST(FrameTest, BodyReaderRemembersThatItFellShort) {
  BodyReader reader("a\0\0\1"sv);
  EXPECT_EQ(reader.CString(), "a");
  EXPECT_EQ(reader.U16(), 1);
  EXPECT_TRUE(reader.ok());
  EXPECT_EQ(reader.U32(), 0u);
  EXPECT_FALSE(reader.ok());
  EXPECT_EQ(reader.CString(), "");
  EXPECT_FALSE(reader.ok());
}

TEST(ExtendedTest, Parse) {
  const auto parse = ReadParse("s\0select $1\0\0\1\0\0\0\x19"sv);
  ASSERT_TRUE(parse);
  EXPECT_EQ(parse->statement, "s");
  EXPECT_EQ(parse->sql, "select $1");
  EXPECT_THAT(parse->types, testing::ElementsAre(25u));
  EXPECT_FALSE(ReadParse("s\0select"sv));
  EXPECT_FALSE(ReadParse("s\0q\0\0\2\0\0\0\1"sv));
  EXPECT_FALSE(ReadParse("s\0q\0\0\0x"sv));
}

TEST(ExtendedTest, Bind) {
  const auto bind = ReadBind("p\0s\0\0\1\0\1\0\2\0\0\0\4acme\xff\xff\xff\xff\0\1\0\1"sv);
  ASSERT_TRUE(bind);
  EXPECT_EQ(bind->portal, "p");
  EXPECT_EQ(bind->statement, "s");
  EXPECT_TRUE(bind->IsBinary(1));
  ASSERT_EQ(bind->values.size(), 2u);
  EXPECT_EQ(bind->values[0], "acme");
  EXPECT_EQ(bind->values[1], std::nullopt);
  EXPECT_TRUE(bind->ResultIsBinary(0));
  EXPECT_FALSE(ReadBind("p\0s\0\0\0\0\1\0\0\0\x09short\0\0"sv));
  EXPECT_FALSE(ReadBind("p\0s\0\0\2\0\1\0\1\0\0\0\0"sv));  // two formats for no value
}

TEST(ExtendedTest, TargetsAndPortals) {
  EXPECT_EQ(ReadTarget("Ss1\0"sv)->name, "s1");
  EXPECT_FALSE(ReadTarget("Xs1\0"sv));
  EXPECT_FALSE(ReadTarget(""sv));
  EXPECT_EQ(ReadExecute("p\0\0\0\0\0"sv), "p");
  EXPECT_FALSE(ReadExecute("p\0\0"sv));
}

}  // namespace
}  // namespace leasehold::gateway::pgwire
