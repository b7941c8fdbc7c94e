#include "services/gateway/session/verifier_cache.h"

namespace leasehold::gateway {
namespace {

std::string Derive(const Secret& key, std::string_view purpose, std::string_view user_name, size_t bytes) {
  const auto mac = HmacSha256(key.reveal(), std::string(purpose).append(1, '\0').append(user_name));
  return {reinterpret_cast<const char*>(mac.data()), bytes};
}

}  // namespace

std::optional<scram::Verifier> VerifierCache::Find(std::string_view user_name, const Secret& password) {
  absl::MutexLock lock(&mu_);
  const Entry* entry = FindIn(known_, user_name, password);
  if (entry == nullptr) entry = FindIn(unknown_, user_name, password);
  return entry == nullptr ? std::nullopt : std::optional(entry->verifier);
}

scram::Verifier VerifierCache::Make(std::string_view user_name, const Secret& password) {
  scram::Verifier verifier =
      scram::MakeVerifier(password.reveal(), Derive(salt_key_, "salt", user_name, 16), kIterations);
  absl::MutexLock lock(&mu_);
  Keep(unknown_, {.user_name = std::string(user_name), .password = password, .verifier = verifier});
  return verifier;
}

Secret VerifierCache::NobodysPassword(std::string_view user_name) const {
  return Secret(Derive(salt_key_, "no password", user_name, 32));
}

void VerifierCache::Proven(std::string_view user_name) {
  absl::MutexLock lock(&mu_);
  const auto found = unknown_.by_name.find(user_name);
  if (found == unknown_.by_name.end()) return;
  const auto place = found->second;
  unknown_.by_name.erase(found);  // first: its key is the entry's
  Entry entry = std::move(*place);
  unknown_.entries.erase(place);
  Keep(known_, std::move(entry));
}

const VerifierCache::Entry* VerifierCache::FindIn(Recent& recent, std::string_view user_name, const Secret& password) {
  const auto found = recent.by_name.find(user_name);
  if (found == recent.by_name.end()) return nullptr;
  const auto place = found->second;
  if (EqualSecrets(place->password.reveal(), password.reveal())) {
    recent.entries.splice(recent.entries.begin(), recent.entries, place);
    return &*place;
  }
  recent.by_name.erase(found);
  recent.entries.erase(place);
  return nullptr;
}

void VerifierCache::Keep(Recent& recent, Entry entry) {
  // Two log-ins of one name may both have made one.
  if (const auto before = recent.by_name.find(entry.user_name); before != recent.by_name.end()) {
    const auto place = before->second;
    recent.by_name.erase(before);
    recent.entries.erase(place);
  }
  recent.entries.push_front(std::move(entry));
  recent.by_name.insert_or_assign(recent.entries.front().user_name, recent.entries.begin());
  if (recent.entries.size() > kCapacity) {
    recent.by_name.erase(recent.entries.back().user_name);
    recent.entries.pop_back();
  }
}

}  // namespace leasehold::gateway
