#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <format>

#include "absl/log/absl_check.h"
#include "common/localserver/localserver.h"

namespace leasehold::localserver {

TemporaryDirectory::TemporaryDirectory() {
  const char* base = getenv("LEASEHOLD_TEST_DIR");
  path_ = std::format("{}/leasehold-XXXXXX", base == nullptr || *base == '\0' ? "/tmp" : base);
  ABSL_CHECK(mkdtemp(path_.data()) != nullptr) << "cannot make a folder like " << path_;
  // mkdtemp's 0700 would keep out the user that PostgreSQL runs as.
  ABSL_CHECK(chmod(path_.c_str(), 0755) == 0) << path_;
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace leasehold::localserver
