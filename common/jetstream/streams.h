// The streams that this process relies on, so that one that the server lost can be made again.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "common/jetstream/connection.h"
#include "common/jetstream/jetstream.h"

namespace leasehold::jetstream {

// Any thread. All calls block.
class Streams {
 public:
  explicit Streams(std::shared_ptr<Connection> connection) : connection_(std::move(connection)) {}

  // Creates or updates the stream, and remembers it even if that fails now.
  absl::Status Ensure(const StreamOptions& options);
  // Ensure() again with the remembered options; nothing for a stream that was never ensured here.
  absl::Status Restore(const std::string& name);
  absl::Status RestoreAll();

 private:
  absl::Status Apply(const StreamOptions& options);

  const std::shared_ptr<Connection> connection_;
  absl::Mutex mu_;
  std::map<std::string, StreamOptions> known_ ABSL_GUARDED_BY(mu_);
};

}  // namespace leasehold::jetstream
