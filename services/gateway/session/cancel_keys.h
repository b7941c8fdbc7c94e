// Which session a CancelRequest means: keys of our own, over all loops, so that PostgreSQL's never leave the gateway.
#pragma once

#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "services/gateway/pool/server_connection.h"

namespace leasehold::gateway {

class Session;

// Any thread.
class CancelKeys {
 public:
  // A key out of the CSPRNG whose process id no other session has.
  BackendKey Add(std::weak_ptr<Session> session);
  void Remove(const BackendKey& key);
  // nullptr unless both halves are right.
  std::shared_ptr<Session> Find(const BackendKey& key) const;

 private:
  struct Entry {
    uint32_t secret = 0;
    std::weak_ptr<Session> session;
  };
  mutable absl::Mutex mu_;
  absl::flat_hash_map<uint32_t, Entry> entries_ ABSL_GUARDED_BY(mu_);
};

}  // namespace leasehold::gateway
