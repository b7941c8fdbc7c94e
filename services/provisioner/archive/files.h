// Files of a backup: their digests, and that they are on the disk before anybody is told so. BACKUP_FAILED says what
// could not be written, without the folder's path.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace leasehold::provisioner {

struct FileDigest {
  bool operator==(const FileDigest&) const = default;
  std::string name{};  // relative to the folder
  int64_t size = 0;
  std::string sha256{};  // 64 hex digits
};

// All files of `folder`, by name, read to their ends; `go_on` is asked between pieces. BACKUP_DAMAGED for what is no
// plain file, or cannot be read.
absl::StatusOr<std::vector<FileDigest>> DigestFiles(const std::filesystem::path& folder,
                                                    const std::function<absl::Status()>& go_on);

// Of what has been written so far; 0 if there is no such folder.
int64_t BytesIn(const std::filesystem::path& folder);

absl::Status MakeFolder(const std::filesystem::path& folder);  // and its parents; for this user alone
absl::Status WriteFile(const std::filesystem::path& file, std::string_view text);
absl::StatusOr<std::string> ReadFile(const std::filesystem::path& file, int64_t most);  // BACKUP_DAMAGED
// What is in `folder`, and the folder itself.
absl::Status SyncFolder(const std::filesystem::path& folder);
// In one step, with what is in it, and durable.
absl::Status MoveFolder(const std::filesystem::path& from, const std::filesystem::path& to);
// All of it; nothing to do if it is not there.
absl::Status RemoveFolder(const std::filesystem::path& folder);

}  // namespace leasehold::provisioner
