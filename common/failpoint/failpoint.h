// Named places in the code where a test makes the process die or stand still, as a crash there would. Compiled in where
// LEASEHOLD_FAILPOINTS is on, which every preset but `release` does; elsewhere a place costs nothing, not even its
// argument.
//
// The variable LEASEHOLD_FAILPOINT says which place does what: "NAME:kill" (SIGKILL) or "NAME:stop" (SIGSTOP), each
// time it is reached; or "@PATH", a file that holds the same and is removed by the process that acts on it, so that a
// daemon which is started again goes on, and a test may set the next one while it runs.
#pragma once

#if defined(LEASEHOLD_FAILPOINTS)
#include <string_view>

namespace leasehold::failpoint {

// Any thread.
void Reach(std::string_view name);

}  // namespace leasehold::failpoint

#define LH_FAILPOINT(name) ::leasehold::failpoint::Reach(name)
#else
#define LH_FAILPOINT(name) static_cast<void>(0)
#endif
