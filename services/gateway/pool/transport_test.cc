#include "services/gateway/pool/transport.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <string>

namespace leasehold::gateway {
namespace {

class TransportTest : public testing::Test {
 protected:
  TransportTest() {
    std::array<int, 2> ends{};
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
    transport_ = Transport(ends[0]);
    peer_ = ends[1];
  }
  ~TransportTest() override {
    if (peer_ >= 0) close(peer_);
  }

  Transport transport_;
  int peer_ = -1;
  std::array<char, 16> into_{};
};

TEST_F(TransportTest, ReadsWhatIsThereAndNeverWaits) {
  Transport::Result result = transport_.Read(into_);
  EXPECT_EQ(result.bytes, 0u);
  EXPECT_FALSE(result.closed);
  ASSERT_EQ(write(peer_, "hello", 5), 5);
  result = transport_.Read(into_);
  EXPECT_EQ(std::string(into_.data(), result.bytes), "hello");
  EXPECT_FALSE(transport_.HasBuffered());
}

TEST_F(TransportTest, WritesWhatIsTakenAndNeverWaits) {
  const std::string much(1 << 20, 'x');
  size_t sent = 0;
  while (true) {
    const Transport::Result result = transport_.Write(much);
    ASSERT_FALSE(result.closed);
    if (result.bytes == 0) break;
    sent += result.bytes;
  }
  EXPECT_GT(sent, 0u);
  EXPECT_LT(sent, 100 * much.size());
}

TEST_F(TransportTest, ThePeersEndIsTold) {
  close(std::exchange(peer_, -1));
  EXPECT_TRUE(transport_.Read(into_).closed);
  EXPECT_TRUE(transport_.Write("x").closed) << "and no SIGPIPE";
}

TEST_F(TransportTest, AClosedOneIsClosedForGood) {
  transport_.Close();
  transport_.Close();
  EXPECT_FALSE(transport_.open());
  EXPECT_TRUE(transport_.Read(into_).closed);
  EXPECT_TRUE(transport_.Write("x").closed);
  transport_.ShutdownWrite();
  EXPECT_TRUE(Transport().Read(into_).closed);
}

TEST_F(TransportTest, MovesWithItsSocket) {
  const int fd = transport_.fd();
  Transport other = std::move(transport_);
  EXPECT_EQ(other.fd(), fd);
  EXPECT_FALSE(transport_.open());  // NOLINT(bugprone-use-after-move): that is the point
  ASSERT_EQ(write(peer_, "x", 1), 1);
  EXPECT_EQ(other.Read(into_).bytes, 1u);
  other = Transport();
  EXPECT_EQ(read(peer_, into_.data(), 1), 0) << "what is assigned to closes what it had";
}

}  // namespace
}  // namespace leasehold::gateway
