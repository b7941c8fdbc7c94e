#include "common/secret/key_ring.h"

#include <format>
#include <ranges>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "common/status/error.h"

namespace leasehold {

struct RoleKeys::Ring {
  Ring(RoleKey now, std::optional<RoleKey> also) : current(std::move(now)), other(std::move(also)) {}

  absl::Mutex mu;
  RoleKey current ABSL_GUARDED_BY(mu);
  std::optional<RoleKey> other ABSL_GUARDED_BY(mu);
};

RoleKeys::RoleKeys(RoleKey current, std::optional<RoleKey> other)
    : ring_(std::make_shared<Ring>(std::move(current), std::move(other))) {}

absl::StatusOr<RoleKeys> RoleKeys::Parse(std::string_view text) {
  std::vector<RoleKey> keys;
  int number = 0;
  for (const auto part : std::views::split(text, '\n')) {
    ++number;
    std::string_view line(part);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || line.starts_with('#')) continue;
    absl::StatusOr<RoleKey> key = RoleKey::Parse(line);
    if (!key.ok()) {
      return WithField(Error(v1::REASON_INVALID_FIELD, std::format("line {} is not 64 hex digits", number)),
                       "role_key");
    }
    keys.push_back(*std::move(key));
  }
  if (keys.empty() || keys.size() > 2) {
    return WithField(Error(v1::REASON_INVALID_FIELD,
                           std::format("there are {} keys; allowed: one, or the current one and another", keys.size())),
                     "role_key");
  }
  std::optional<RoleKey> other;
  if (keys.size() == 2) other = keys[1];
  return RoleKeys(keys[0], std::move(other));
}

absl::StatusOr<RoleKeys> RoleKeys::ReadFile(const std::string& path) {
  LH_ASSIGN_OR_RETURN(const Secret text, ReadSecretFile(path));
  absl::StatusOr<RoleKeys> keys = Parse(text.reveal());
  if (!keys.ok()) return absl::FailedPreconditionError(std::format("'{}': {}", path, keys.status().message()));
  return keys;
}

RoleKey RoleKeys::current() const {
  absl::MutexLock lock(&ring_->mu);
  return ring_->current;
}

std::optional<RoleKey> RoleKeys::other() const {
  absl::MutexLock lock(&ring_->mu);
  return ring_->other;
}

void RoleKeys::Replace(const RoleKeys& with) {
  RoleKey current = with.current();
  std::optional<RoleKey> other = with.other();
  absl::MutexLock lock(&ring_->mu);
  ring_->current = std::move(current);
  ring_->other = std::move(other);
}

struct LeaseKeys::Ring {
  explicit Ring(SigningKeys now) : keys(std::make_shared<const SigningKeys>(std::move(now))) {}

  absl::Mutex mu;
  std::shared_ptr<const SigningKeys> keys ABSL_GUARDED_BY(mu);
};

LeaseKeys::LeaseKeys(SigningKeys keys) : ring_(std::make_shared<Ring>(std::move(keys))) {}

std::shared_ptr<const SigningKeys> LeaseKeys::Now() const {
  absl::MutexLock lock(&ring_->mu);
  return ring_->keys;
}

void LeaseKeys::Replace(SigningKeys with) {
  auto keys = std::make_shared<const SigningKeys>(std::move(with));
  absl::MutexLock lock(&ring_->mu);
  ring_->keys.swap(keys);
}

}  // namespace leasehold
