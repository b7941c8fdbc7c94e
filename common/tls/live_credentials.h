// The newest Credentials that could be read of files that somebody replaces now and then.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/tls/credentials.h"

namespace leasehold::tls {

// Get() and version() from any thread, Look() from one.
class LiveCredentials {
 public:
  // Reads for the first time; as Credentials::Read.
  static absl::StatusOr<std::unique_ptr<LiveCredentials>> Open(Options options, absl::Time now);

  std::shared_ptr<const Credentials> Get() const;
  // Rises with each new Get().
  uint64_t version() const;

  // Reads again if the files are others than before and have been left alone since the last look: certificate and key
  // are seldom replaced in one moment. nullopt: nothing new; else how it went. What could not be read changes nothing.
  std::optional<absl::Status> Look(absl::Time now);

 private:
  // What tells a file that was written, or replaced, from the one before.
  struct Stamp {
    int64_t inode = 0;
    int64_t size = 0;
    int64_t modified_ns = 0;
    int64_t changed_ns = 0;
    bool operator==(const Stamp&) const = default;
  };
  using Stamps = std::vector<Stamp>;

  LiveCredentials(Options options, Stamps seen, std::shared_ptr<const Credentials> credentials)
      : options_(std::move(options)), read_(seen), seen_(std::move(seen)), credentials_(std::move(credentials)) {}
  static Stamps StampsOf(const Options& options);

  const Options options_;
  Stamps read_;  // when credentials were last read, or tried to be
  Stamps seen_;  // at the last look
  mutable absl::Mutex mu_;
  std::shared_ptr<const Credentials> credentials_ ABSL_GUARDED_BY(mu_);
  uint64_t version_ ABSL_GUARDED_BY(mu_) = 1;
};

}  // namespace leasehold::tls
