#include "services/provisioner/archive/files.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <format>
#include <fstream>
#include <memory>
#include <system_error>

#include "absl/cleanup/cleanup.h"
#include "common/secret/secret.h"
#include "common/status/error.h"

namespace leasehold::provisioner {
namespace {

namespace fs = std::filesystem;

constexpr size_t kPiece = 1 << 20;

absl::Status Failed(std::string_view doing, std::string_view why) {
  return Error(v1::REASON_BACKUP_FAILED, std::format("{}: {}", doing, why));
}

absl::Status Damaged(const fs::path& file, std::string_view why) {
  return Error(v1::REASON_BACKUP_DAMAGED, std::format("file {} of the backup {}", file.filename().string(), why));
}

absl::Status Sync(const fs::path& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return Failed("writing the backup to the disk", strerror(errno));
  const absl::Cleanup close_fd = [fd] { close(fd); };
  return fsync(fd) == 0 ? absl::OkStatus() : Failed("writing the backup to the disk", strerror(errno));
}

absl::StatusOr<FileDigest> DigestFile(const fs::path& file, const std::function<absl::Status()>& go_on) {
  std::ifstream in(file, std::ios::binary);
  if (!in) return Damaged(file, "cannot be read");
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> digest(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  if (digest == nullptr || EVP_DigestInit_ex(digest.get(), EVP_sha256(), nullptr) != 1) {
    return absl::InternalError("SHA-256 is not to be had");
  }
  FileDigest result{.name = file.filename().string(), .size = 0, .sha256 = ""};
  std::string piece(kPiece, '\0');
  while (in) {
    LH_RETURN_IF_ERROR(go_on());
    in.read(piece.data(), static_cast<std::streamsize>(piece.size()));
    if (in.bad()) return Damaged(file, "cannot be read");
    EVP_DigestUpdate(digest.get(), piece.data(), static_cast<size_t>(in.gcount()));
    result.size += in.gcount();
  }
  std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
  unsigned size = 0;
  EVP_DigestFinal_ex(digest.get(), bytes.data(), &size);
  result.sha256 = Hex(std::string_view(reinterpret_cast<const char*>(bytes.data()), size));
  return result;
}

}  // namespace

absl::StatusOr<std::vector<FileDigest>> DigestFiles(const fs::path& folder,
                                                    const std::function<absl::Status()>& go_on) {
  std::error_code error;
  std::vector<fs::path> files;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    if (!at->is_regular_file() || at->is_symlink()) return Damaged(at->path(), "is no plain file");
    files.push_back(at->path());
  }
  if (error) return Error(v1::REASON_BACKUP_DAMAGED, std::format("the backup's folder: {}", error.message()));
  std::ranges::sort(files);
  std::vector<FileDigest> digests;
  for (const fs::path& file : files) {
    LH_ASSIGN_OR_RETURN(digests.emplace_back(), DigestFile(file, go_on));
  }
  return digests;
}

int64_t BytesIn(const fs::path& folder) {
  int64_t bytes = 0;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    std::error_code gone;
    if (const auto size = at->file_size(gone); !gone) bytes += static_cast<int64_t>(size);
  }
  return bytes;
}

absl::Status MakeFolder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (!error) fs::permissions(folder, fs::perms::owner_all, error);
  return error ? Failed("making the backup's folder", error.message()) : absl::OkStatus();
}

absl::Status WriteFile(const fs::path& file, std::string_view text) {
  std::ofstream out(file, std::ios::binary | std::ios::trunc);
  out.write(text.data(), static_cast<std::streamsize>(text.size()));
  out.close();
  return out ? absl::OkStatus() : Failed("writing the manifest", strerror(errno));
}

absl::StatusOr<std::string> ReadFile(const fs::path& file, int64_t most) {
  std::error_code error;
  const auto size = fs::file_size(file, error);
  if (error) return Damaged(file, "is missing");
  if (static_cast<int64_t>(size) > most) return Damaged(file, "is too large");
  std::ifstream in(file, std::ios::binary);
  std::string text(size, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!in) return Damaged(file, "cannot be read");
  return text;
}

absl::Status SyncFolder(const fs::path& folder) {
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    LH_RETURN_IF_ERROR(Sync(at->path()));
  }
  if (error) return Failed("writing the backup to the disk", error.message());
  return Sync(folder);
}

absl::Status MoveFolder(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::rename(from, to, error);
  if (error) return Failed("moving the backup into place", error.message());
  // The backup's own folder may be new in the one that holds them all.
  LH_RETURN_IF_ERROR(Sync(to.parent_path()));
  return Sync(to.parent_path().parent_path());
}

absl::Status RemoveFolder(const fs::path& folder) {
  std::error_code error;
  fs::remove_all(folder, error);
  return error ? Failed("removing the backup's files", error.message()) : absl::OkStatus();
}

}  // namespace leasehold::provisioner
