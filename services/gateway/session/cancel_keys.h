// Which session a CancelRequest means: keys of our own, over all loops, so that PostgreSQL's never leave the gateway.
#pragma once

#include <functional>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "services/gateway/pool/loop.h"
#include "services/gateway/pool/server.h"

namespace leasehold::gateway {

class Session;

// Any thread.
class CancelKeys {
 public:
  // A key out of the CSPRNG whose process id no other session has.
  BackendKey Add(Loop& loop, std::weak_ptr<Session> session);
  void Remove(const BackendKey& key);
  // Calls `use` on the session's loop, with the session if it is still there; false: no session has this key.
  using Use = std::move_only_function<void(const std::shared_ptr<Session>&)>;
  bool Find(const BackendKey& key, Use use) const;

 private:
  struct Entry {
    uint32_t secret = 0;
    Loop* loop = nullptr;
    std::weak_ptr<Session> session;
  };
  mutable absl::Mutex mu_;
  absl::flat_hash_map<uint32_t, Entry> entries_ ABSL_GUARDED_BY(mu_);
};

}  // namespace leasehold::gateway
