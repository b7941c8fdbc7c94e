#include "services/gateway/session/cancel_keys.h"

#include <array>
#include <cstring>
#include <span>
#include <string_view>
#include <utility>

#include "common/secret/secret.h"

namespace leasehold::gateway {
namespace {

std::string_view BytesOf(const uint32_t& value) { return {reinterpret_cast<const char*>(&value), sizeof(value)}; }

}  // namespace

BackendKey CancelKeys::Add(Loop& loop, std::weak_ptr<Session> session) {
  absl::MutexLock lock(&mu_);
  while (true) {
    std::array<uint8_t, 8> random;
    RandomBytes(random);
    BackendKey key;
    std::memcpy(&key.process_id, random.data(), 4);
    std::memcpy(&key.secret, random.data() + 4, 4);
    key.process_id &= 0x7fffffff;  // drivers read it as a signed number and expect it to look like a process
    if (key.process_id == 0) continue;
    if (entries_.try_emplace(key.process_id, Entry{.secret = key.secret, .loop = &loop, .session = session}).second)
      return key;
  }
}

void CancelKeys::Remove(const BackendKey& key) {
  absl::MutexLock lock(&mu_);
  entries_.erase(key.process_id);
}

bool CancelKeys::Find(const BackendKey& key, Use use) const {
  absl::MutexLock lock(&mu_);
  const auto found = entries_.find(key.process_id);
  if (found == entries_.end() || !EqualSecrets(BytesOf(found->second.secret), BytesOf(key.secret))) return false;
  found->second.loop->Post([session = found->second.session, use = std::move(use)]() mutable { use(session.lock()); });
  return true;
}

}  // namespace leasehold::gateway
