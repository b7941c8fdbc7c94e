#include "services/gateway/pgwire/startup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "services/gateway/pgwire/encode.h"

namespace leasehold::gateway::pgwire {
namespace {

std::string Packet(uint32_t code, std::string_view body) {
  std::string out;
  for (const uint32_t word : {static_cast<uint32_t>(8 + body.size()), code}) {
    for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(word >> shift));
  }
  return out.append(body);
}

std::string Message(std::string_view body) { return Packet(kProtocol30, body); }

using namespace std::string_view_literals;

TEST(StartupTest, AnyCutNeedsMore) {
  const std::string whole = Message("user\0u\0database\0d\0application_name\0psql\0\0"sv);
  for (size_t cut = 0; cut < whole.size(); ++cut) {
    EXPECT_EQ(DecodeStartup(std::string_view(whole).substr(0, cut)).answer, Answer::kNeedMore) << cut;
  }
  const StartupDecoded decoded = DecodeStartup(whole + "more");
  ASSERT_EQ(decoded.answer, Answer::kDone);
  EXPECT_EQ(decoded.consumed, whole.size());
  const auto& message = std::get<StartupMessage>(decoded.packet);
  EXPECT_EQ(message.user, "u");
  EXPECT_EQ(message.database, "d");
  EXPECT_THAT(message.settings, testing::ElementsAre(testing::Pair("application_name", "psql")));
  EXPECT_FALSE(message.NeedsNegotiation());
}

TEST(StartupTest, NewerMinorAndOptionsAreNegotiated) {
  const StartupDecoded decoded = DecodeStartup(Packet(kProtocol30 + 2, "user\0u\0_pq_.shiny\0on\0\0"sv));
  ASSERT_EQ(decoded.answer, Answer::kDone);
  const auto& message = std::get<StartupMessage>(decoded.packet);
  EXPECT_TRUE(message.NeedsNegotiation());
  EXPECT_THAT(message.protocol_options, testing::ElementsAre("_pq_.shiny"));
  EXPECT_TRUE(message.settings.empty());
}

TEST(StartupTest, SpecialRequests) {
  std::string out;
  SslRequestPacket(out);
  EXPECT_TRUE(std::holds_alternative<SslRequest>(DecodeStartup(out).packet));
  EXPECT_EQ(DecodeStartup(out).consumed, 8u);
  out.clear();
  CancelRequestPacket(out, 7, 0xdeadbeef);
  const auto cancel = std::get<CancelRequest>(DecodeStartup(out).packet);
  EXPECT_EQ(cancel.process_id, 7u);
  EXPECT_EQ(cancel.secret, 0xdeadbeefu);
}

TEST(StartupTest, Stops) {
  const auto code = [](std::string_view bytes) {
    const StartupDecoded decoded = DecodeStartup(bytes);
    EXPECT_EQ(decoded.answer, Answer::kStop);
    return decoded.error.code;
  };
  EXPECT_EQ(code(Message("user\0u\0replication\0database\0\0"sv)), "0A000");
  EXPECT_EQ(code(Packet(2 << 16, "user\0u\0\0"sv)), "0A000");
  EXPECT_EQ(code(Packet(4 << 16, "user\0u\0\0"sv)), "0A000");
  EXPECT_EQ(code(Message("\0"sv)), "28000");
  EXPECT_EQ(code(Message("user\0u"sv)), "08P01");
  EXPECT_EQ(code(Message("user\0u\0\0x"sv)), "08P01");
  EXPECT_EQ(code("GET / HTTP/1.1\r\n"), "");
  EXPECT_EQ(code("\0\0\0\7aaaa"sv), "");
  EXPECT_EQ(code(Packet(1234 << 16 | 5678, "short")), "");
  EXPECT_EQ(code("\0\0\x27\x11"sv), "");  // 10,001 bytes
}

TEST(StartupTest, ReplicationOffIsNoReplication) {
  EXPECT_EQ(DecodeStartup(Message("user\0u\0replication\0off\0\0"sv)).answer, Answer::kDone);
}

}  // namespace
}  // namespace leasehold::gateway::pgwire
