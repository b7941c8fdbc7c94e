// A daemon's memory holds keys: it is not written to disk when the daemon dies, and its user cannot read it.
#pragma once

namespace leasehold {

// First in main(): no core dumps, by the kernel or by what core_pattern names, and no ptrace or /proc/PID/mem for
// anybody but root. False if it is left as it was: with LEASEHOLD_CORE_DUMPS=allow in the environment, for those who
// hunt a crash, and under AddressSanitizer.
bool KeepMemoryPrivate();

}  // namespace leasehold
