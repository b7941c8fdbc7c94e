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

}  // namespace
}  // namespace leasehold::gateway
