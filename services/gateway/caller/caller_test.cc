#include "services/gateway/caller/caller.h"

#include <gtest/gtest.h>

namespace leasehold::gateway {
namespace {

TEST(Caller, AddressIsTheSockets) {
  EXPECT_EQ(AddressOfPeer("ipv4:10.1.2.3:4711"), "10.1.2.3:4711");
  EXPECT_EQ(AddressOfPeer("ipv6:%5B::1%5D:4711"), "[::1]:4711");
  EXPECT_EQ(AddressOfPeer("ipv6:%5Bfe80::1%25eth0%5D:4711"), "[fe80::1%eth0]:4711");
  EXPECT_EQ(AddressOfPeer("unix:/run/x"), "unix:/run/x");
  EXPECT_EQ(AddressOfPeer(""), "");
}

TEST(Caller, TraceIdIsThatOfAValidTraceparent) {
  const std::string id = "4bf92f3577b34da6a3ce929d0e0e4736";
  EXPECT_EQ(TraceIdOf("00-" + id + "-00f067aa0ba902b7-01"), id);
  EXPECT_EQ(TraceIdOf("cc-" + id + "-00f067aa0ba902b7-01-what-the-future-will-be-like"), id);
  for (const std::string& bad :
       {std::string(), std::string("00"), "ff-" + id + "-00f067aa0ba902b7-01", "00-" + id + "-00f067aa0ba902b7-01-x",
        "00-" + id + "-00f067aa0ba902b7-0", "00-" + id + "-00f067aa0ba902bX-01", "cc-" + id + "-00f067aa0ba902b7-01x",
        std::string("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01"),
        "00-" + std::string(32, '0') + "-00f067aa0ba902b7-01", "00_" + id + "-00f067aa0ba902b7-01",
        "00-" + id + "'; DROP TABLE x; --"}) {
    EXPECT_EQ(TraceIdOf(bad), "") << bad;
  }
}

}  // namespace
}  // namespace leasehold::gateway
