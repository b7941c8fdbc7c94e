#include "services/gateway/session/verifier_cache.h"

namespace leasehold::gateway {
namespace {

std::string Derive(const Secret& key, std::string_view purpose, std::string_view user_name, size_t bytes) {
  const auto mac = HmacSha256(key.reveal(), std::string(purpose).append(1, '\0').append(user_name));
  return {reinterpret_cast<const char*>(mac.data()), bytes};
}

}  // namespace

scram::Verifier VerifierCache::Of(std::string_view user_name, const Secret& password) {
  return Get(known_, user_name, password);
}

scram::Verifier VerifierCache::OfUnknown(std::string_view user_name) {
  return Get(unknown_, user_name, Secret(Derive(salt_key_, "no password", user_name, 32)));
}

scram::Verifier VerifierCache::Get(Recent& recent, std::string_view user_name, const Secret& password) {
  if (const auto found = recent.by_name.find(user_name); found != recent.by_name.end()) {
    recent.entries.splice(recent.entries.begin(), recent.entries, found->second);
    if (EqualSecrets(found->second->password.reveal(), password.reveal())) return found->second->verifier;
    recent.entries.erase(found->second);
    recent.by_name.erase(found);
  }
  recent.entries.push_front(
      {.user_name = std::string(user_name),
       .password = password,
       .verifier = scram::MakeVerifier(password.reveal(), Derive(salt_key_, "salt", user_name, 16), kIterations)});
  recent.by_name.emplace(recent.entries.front().user_name, recent.entries.begin());
  if (recent.entries.size() > kCapacity) {
    recent.by_name.erase(recent.entries.back().user_name);
    recent.entries.pop_back();
  }
  return recent.entries.front().verifier;
}

}  // namespace leasehold::gateway
