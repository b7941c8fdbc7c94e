// Paths as the user sees them. In a private root or a container ./dev shows this program other ones, and says so in
// LEASEHOLD_SHOWN_PATHS: "/run/leasehold=.run:/leasehold=.".
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/config/config.h"

namespace leasehold::cli {

class ShownPaths {
 public:
  explicit ShownPaths(const Environment& env);

  // `text` with each of our paths in it, where it stands alone or begins a longer path, as the user sees it.
  std::string In(std::string_view text) const;

 private:
  std::vector<std::pair<std::string, std::string>> folders_;  // ours, the user's
};

}  // namespace leasehold::cli
