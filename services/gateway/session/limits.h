// How much of a stream is looked at, kept, or done in a row.
#pragma once

#include <cstddef>

namespace leasehold::gateway {

// Statements up to here are read whole. Of longer ones only the beginning is, they are relayed as they come, and the
// server is asked what they have left. Reading one takes a millisecond or two of the loop.
constexpr size_t kLargestStatement = 1 << 20;
// A statement with a name has to be at hand on every server. Object mappers write long ones: with 65,535 parameters,
// the most that PostgreSQL takes, an INSERT has about a megabyte.
constexpr size_t kLargestNamed = 2 << 20;
// Other messages that must be here whole to be dealt with: Binds, and what servers say.
constexpr size_t kLargestWhole = 64 * 1024;
// Who does not take what it is sent is not listened to beyond this.
constexpr size_t kUnheard = 64 * 1024;
// Who waits for so many answers waits for them before more is done: each is remembered. A server that has them all in
// its buffer is asked to send them.
constexpr size_t kMostOutstanding = 4096;
// Reads in a row before others have their turn.
constexpr int kTurn = 16;

}  // namespace leasehold::gateway
