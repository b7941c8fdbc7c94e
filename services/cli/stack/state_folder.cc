#include "services/cli/stack/state_folder.h"

#include <filesystem>

#include "absl/strings/str_cat.h"

namespace leasehold::stack {
namespace {

namespace fs = std::filesystem;

constexpr const char* kData[] = {"pg", "nats", "nats.log", "log", "backups"};
constexpr const char* kFiles[] = {"config.yaml", "stack.env"};
constexpr const char* kMarks[] = {"secrets", "stack.json"};

bool Exists(const fs::path& path) {
  std::error_code error;
  return fs::exists(fs::symlink_status(path, error));
}

}  // namespace

absl::Status CheckStateFolder(const std::string& path) {
  const fs::path folder = path;
  if (Exists(folder) && !fs::is_directory(folder)) {
    return absl::FailedPreconditionError(absl::StrCat(path, " is no folder; choose another with --state-dir"));
  }
  for (const char* mark : kMarks) {
    if (Exists(folder / mark)) return absl::OkStatus();
  }
  const auto refuse = [&](const char* name) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, " holds '", name, "' but was not made by a stack (it has neither secrets/ nor stack.json); ",
                     "nothing was changed; choose a folder of its own with --state-dir"));
  };
  for (const char* name : kData) {
    if (Exists(folder / name)) return refuse(name);
  }
  for (const char* name : kFiles) {
    if (Exists(folder / name)) return refuse(name);
  }
  return absl::OkStatus();
}

absl::Status RemoveData(const std::string& path) {
  for (const char* name : kData) {
    std::error_code error;
    fs::remove_all(fs::path(path) / name, error);
    if (error) {
      return absl::FailedPreconditionError(absl::StrCat("cannot remove ", path, "/", name, ": ", error.message()));
    }
  }
  return absl::OkStatus();
}

}  // namespace leasehold::stack
