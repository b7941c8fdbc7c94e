#include "common/daemon/private_memory.h"

#include <sys/prctl.h>
#include <sys/resource.h>

#include <cstdlib>
#include <string_view>

namespace leasehold {

bool KeepMemoryPrivate() {
#if __has_feature(address_sanitizer)
  return false;  // it looks for leaks by ptrace
#else
  const char* const wish = std::getenv("LEASEHOLD_CORE_DUMPS");  // NOLINT(concurrency-mt-unsafe): before all threads
  if (wish != nullptr && std::string_view(wish) == "allow") return false;
  // Of what is executed from here on the kernel forgets the first.
  rlimit limit{};
  getrlimit(RLIMIT_CORE, &limit);
  limit.rlim_cur = 0;
  return prctl(PR_SET_DUMPABLE, 0) == 0 && setrlimit(RLIMIT_CORE, &limit) == 0;
#endif
}

}  // namespace leasehold
