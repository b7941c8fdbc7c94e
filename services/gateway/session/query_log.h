// Which services' statements go into the log, as of now.
#pragma once

#include <atomic>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace leasehold::gateway {

// Any thread. A session looks at its service's flag for each statement.
class QueryLog {
 public:
  QueryLog(const std::vector<std::string>& services, bool enabled) {
    for (const std::string& service : services) flags_[service] = enabled;
  }

  // Of one of the services.
  const std::atomic<bool>& Of(const std::string& service) const { return flags_.at(service); }
  void Set(const std::string& service, bool enabled) { flags_.at(service) = enabled; }

 private:
  std::map<std::string, std::atomic<bool>> flags_;  // its keys are constant
};

}  // namespace leasehold::gateway
