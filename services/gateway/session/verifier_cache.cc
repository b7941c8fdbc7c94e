#include "services/gateway/session/verifier_cache.h"

namespace leasehold::gateway {
namespace {

std::string Derive(const Secret& key, std::string_view purpose, std::string_view user_name, size_t bytes) {
  const auto mac = HmacSha256(key.reveal(), std::string(purpose).append(1, '\0').append(user_name));
  return {reinterpret_cast<const char*>(mac.data()), bytes};
}

}  // namespace

scram::Verifier VerifierCache::Of(std::string_view user_name, const Secret& password) {
  if (const Entry* known = Find(known_, user_name, password)) return known->verifier;
  if (const Entry* unproven = Find(unknown_, user_name, password)) return unproven->verifier;
  return Keep(unknown_, Make(user_name, password)).verifier;
}

scram::Verifier VerifierCache::OfUnknown(std::string_view user_name) {
  const Secret nobodys(Derive(salt_key_, "no password", user_name, 32));
  if (const Entry* again = Find(unknown_, user_name, nobodys)) return again->verifier;
  return Keep(unknown_, Make(user_name, nobodys)).verifier;
}

void VerifierCache::Proven(std::string_view user_name) {
  const auto found = unknown_.by_name.find(user_name);
  if (found == unknown_.by_name.end()) return;
  Entry entry = std::move(*found->second);
  const auto place = found->second;
  unknown_.by_name.erase(found);
  unknown_.entries.erase(place);
  Keep(known_, std::move(entry));
}

VerifierCache::Entry VerifierCache::Make(std::string_view user_name, Secret password) const {
  scram::Verifier verifier =
      scram::MakeVerifier(password.reveal(), Derive(salt_key_, "salt", user_name, 16), kIterations);
  return {.user_name = std::string(user_name), .password = std::move(password), .verifier = std::move(verifier)};
}

const VerifierCache::Entry* VerifierCache::Find(Recent& recent, std::string_view user_name, const Secret& password) {
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

const VerifierCache::Entry& VerifierCache::Keep(Recent& recent, Entry entry) {
  recent.entries.push_front(std::move(entry));
  recent.by_name.insert_or_assign(recent.entries.front().user_name, recent.entries.begin());
  if (recent.entries.size() > kCapacity) {
    recent.by_name.erase(recent.entries.back().user_name);
    recent.entries.pop_back();
  }
  return recent.entries.front();
}

}  // namespace leasehold::gateway
