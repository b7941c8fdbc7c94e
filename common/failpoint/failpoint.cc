#include "common/failpoint/failpoint.h"

#if defined(LEASEHOLD_FAILPOINTS)
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

namespace leasehold::failpoint {
namespace {

void Act(std::string_view name, std::string_view setting, const std::string& file) {
  const size_t colon = setting.rfind(':');
  if (colon == std::string_view::npos || setting.substr(0, colon) != name) return;
  const std::string_view action = setting.substr(colon + 1);
  if (action != "kill" && action != "stop") return;
  // Of several processes, or threads, that come by at once, one acts.
  if (!file.empty() && unlink(file.c_str()) != 0) return;
  // To this thread: what is sent to the process may be taken by another, and this one goes on until that has happened.
  raise(action == "kill" ? SIGKILL : SIGSTOP);
}

}  // namespace

void Reach(std::string_view name) {
  const char* const variable = std::getenv("LEASEHOLD_FAILPOINT");
  if (variable == nullptr) return;
  const std::string_view setting = variable;
  if (!setting.starts_with('@')) return Act(name, setting, "");
  const std::string path(setting.substr(1));
  std::ifstream file(path);
  if (!file) return;
  Act(name, std::string(std::istreambuf_iterator<char>(file), {}), path);
}

}  // namespace leasehold::failpoint
#endif
