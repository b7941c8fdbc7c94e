// The manifest of one service's part of a backup: what was copied, and every file with its size and SHA-256. JSON,
// written last, as `manifest.json` beside the folder `data` that pg_dump made.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "services/provisioner/archive/contents.h"
#include "services/provisioner/archive/files.h"

namespace leasehold::provisioner {

struct Manifest {
  bool operator==(const Manifest&) const = default;
  std::string backup{};
  std::string tenant{};
  std::string service{};
  std::string database_id{};
  std::string create_time{};  // RFC 3339
  Contents contents{};
  std::vector<FileDigest> files{};
  int64_t database_bytes = 0;  // pg_database_size() of the original; 0: not said

  int64_t bytes() const;  // of all files
};

std::string ToJson(const Manifest& manifest);
// BACKUP_DAMAGED, also for a format that this provisioner does not know.
absl::StatusOr<Manifest> ParseManifest(std::string_view json);

// Where things are: <root>/<backup>/<service>/{manifest.json,data/}; the last two while it is being written:
// <root>/<backup>/.<service>.<attempt>.new/. Files know no locks: a process that stood still, and whose work another
// has taken over, may go on with its own at any time. So each attempt has a folder that no other writes to, and moves
// it to where only one can be.
struct BackupPlace {
  std::filesystem::path folder;

  BackupPlace(const std::filesystem::path& root, std::string_view backup, std::string_view service);
  std::filesystem::path Unfinished(std::string_view attempt) const;
  // Of all attempts.
  absl::Status RemoveUnfinished() const;
  // BACKUP_FAILED if the folder of all backups is not there.
  absl::Status CheckRoot() const;
  static std::filesystem::path ManifestIn(const std::filesystem::path& folder) { return folder / "manifest.json"; }
  static std::filesystem::path DataIn(const std::filesystem::path& folder) { return folder / "data"; }
};

// The manifest in `place`, after all files were found to be as it says: none missing, changed or more. `sha256`: of the
// manifest itself; empty if not known. BACKUP_DAMAGED, and BACKUP_FAILED without the folder of all backups.
absl::StatusOr<Manifest> VerifyBackup(const BackupPlace& place, std::string_view backup, std::string_view service,
                                      std::string_view sha256, const std::function<absl::Status()>& go_on);

// Of the manifest's text: 64 hex digits.
std::string DigestOf(std::string_view manifest_json);
absl::StatusOr<std::string> DigestOfManifestIn(const BackupPlace& place);  // BACKUP_DAMAGED

}  // namespace leasehold::provisioner
