#include "common/tls/live_credentials.h"

#include <sys/stat.h>

#include <utility>

#include "common/status/error.h"

namespace leasehold::tls {
namespace {

int64_t Nanoseconds(const timespec& time) { return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec; }

}  // namespace

LiveCredentials::Stamps LiveCredentials::StampsOf(const Options& options) {
  Stamps stamps;
  for (const File* file : {&options.certificate, &options.key, &options.ca}) {
    struct stat found{};
    if (file->path.empty() || stat(file->path.c_str(), &found) != 0) {  // also of one that is not there
      stamps.emplace_back();
      continue;
    }
    stamps.push_back({.inode = static_cast<int64_t>(found.st_ino),
                      .size = found.st_size,
                      .modified_ns = Nanoseconds(found.st_mtim),
                      .changed_ns = Nanoseconds(found.st_ctim)});
  }
  return stamps;
}

absl::StatusOr<std::unique_ptr<LiveCredentials>> LiveCredentials::Open(Options options, absl::Time now) {
  Stamps stamps = StampsOf(options);  // before reading: what changes meanwhile is read again
  LH_ASSIGN_OR_RETURN(std::shared_ptr<const Credentials> credentials, Credentials::Read(options, now));
  return std::unique_ptr<LiveCredentials>(
      new LiveCredentials(std::move(options), std::move(stamps), std::move(credentials)));
}

std::shared_ptr<const Credentials> LiveCredentials::Get() const {
  absl::MutexLock lock(&mu_);
  return credentials_;
}

uint64_t LiveCredentials::version() const {
  absl::MutexLock lock(&mu_);
  return version_;
}

std::optional<absl::Status> LiveCredentials::Look(absl::Time now) {
  Stamps stamps = StampsOf(options_);
  const bool settled = stamps == seen_;
  seen_ = std::move(stamps);
  if (!settled || seen_ == read_) return std::nullopt;
  read_ = seen_;
  absl::StatusOr<std::shared_ptr<const Credentials>> credentials = Credentials::Read(options_, now);
  if (!credentials.ok()) return credentials.status();
  absl::MutexLock lock(&mu_);
  credentials_ = *std::move(credentials);
  ++version_;
  return absl::OkStatus();
}

}  // namespace leasehold::tls
