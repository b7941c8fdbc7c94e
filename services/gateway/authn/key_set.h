// An issuer's public keys: a JSON Web Key Set (RFC 7517). OpenSSL holds the keys and does the arithmetic.
#pragma once

#include <openssl/evp.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace leasehold::gateway {

// The key decides which of them it verifies, so that a token cannot have one kind of key used as another.
enum class JwtAlgorithm { kRs256, kEs256, kEdDsa };

// "RS256", "ES256", "EdDSA"; nullopt for every other, "none" and the HMACs among them.
std::optional<JwtAlgorithm> ParseJwtAlgorithm(std::string_view name);

// Immutable; any thread.
class KeySet {
 public:
  // Keys for other uses and of other kinds are skipped. INVALID_FIELD "keys[2].n" for one that does not hold what it
  // should, for a private key, for two with one `kid`, and if none is left.
  static absl::StatusOr<KeySet> Parse(std::string_view json);

  // True if the key `kid` made `signature` over `text` by `algorithm`. An empty `kid` means the only key of that
  // algorithm, if there is just one.
  bool Verifies(std::string_view kid, JwtAlgorithm algorithm, std::string_view text, std::string_view signature) const;

  size_t size() const { return keys_.size(); }

 private:
  struct Freer {
    void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  };
  struct Key {
    std::string kid;
    JwtAlgorithm algorithm;
    std::unique_ptr<EVP_PKEY, Freer> key;
  };

  const Key* Find(std::string_view kid, JwtAlgorithm algorithm) const;

  std::vector<Key> keys_;
};

}  // namespace leasehold::gateway
