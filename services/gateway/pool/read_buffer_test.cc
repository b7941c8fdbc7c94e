#include "services/gateway/pool/read_buffer.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace leasehold::gateway {
namespace {

void Put(ReadBuffer& buffer, std::string_view bytes) {
  std::ranges::copy(bytes, buffer.Free().begin());
  buffer.Filled(bytes.size());
}

TEST(ReadBufferTest, FirstInFirstOut) {
  ReadBuffer buffer;
  EXPECT_EQ(buffer.size(), 0u);
  Put(buffer, "abc");
  buffer.Consume(1);
  Put(buffer, "def");
  EXPECT_EQ(buffer.Data(), "bcdef");
  buffer.Consume(5);
  EXPECT_EQ(buffer.size(), 0u);
  EXPECT_EQ(buffer.Free().size(), ReadBuffer::kCapacity);
}

TEST(ReadBufferTest, AFullOneHasRoomAgainAsSoonAsSomethingIsTaken) {
  ReadBuffer buffer;
  Put(buffer, std::string(ReadBuffer::kCapacity, 'x'));
  EXPECT_TRUE(buffer.full());
  EXPECT_TRUE(buffer.Free().empty());
  buffer.Consume(10);
  EXPECT_FALSE(buffer.full());
  ASSERT_EQ(buffer.Free().size(), 10u);
  Put(buffer, "0123456789");
  EXPECT_TRUE(buffer.full());
  EXPECT_TRUE(buffer.Data().ends_with("xx0123456789"));
}

}  // namespace
}  // namespace leasehold::gateway
