#include "services/gateway/authn/key_set.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/param_build.h>

#include <algorithm>
#include <format>
#include <utility>

#include "common/secret/secret.h"
#include "common/status/error.h"
#include "services/gateway/authn/json.h"

namespace leasehold::gateway {
namespace {

constexpr size_t kMaxKeys = 100;
// RFC 7518 asks for 2048 bits and more; beyond 8192 a verification takes long.
constexpr int kMinRsaBits = 2048;
constexpr int kMaxRsaBits = 8192;
constexpr size_t kP256Bytes = 32;
constexpr size_t kEd25519Bytes = 32;

using google::protobuf::Struct;

template <typename T, void (*Free)(T*)>
struct Deleter {
  void operator()(T* it) const { Free(it); }
};
using BigNumber = std::unique_ptr<BIGNUM, Deleter<BIGNUM, BN_free>>;
using Builder = std::unique_ptr<OSSL_PARAM_BLD, Deleter<OSSL_PARAM_BLD, OSSL_PARAM_BLD_free>>;
using Parameters = std::unique_ptr<OSSL_PARAM, Deleter<OSSL_PARAM, OSSL_PARAM_free>>;
using KeyContext = std::unique_ptr<EVP_PKEY_CTX, Deleter<EVP_PKEY_CTX, EVP_PKEY_CTX_free>>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, Deleter<EVP_MD_CTX, EVP_MD_CTX_free>>;
using EcdsaSignature = std::unique_ptr<ECDSA_SIG, Deleter<ECDSA_SIG, ECDSA_SIG_free>>;

const unsigned char* Bytes(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }

BigNumber Number(std::string_view big_endian) {
  return BigNumber(BN_bin2bn(Bytes(big_endian), static_cast<int>(big_endian.size()), nullptr));
}

// A member in base64url; INVALID_FIELD with its path, never with its value.
absl::StatusOr<std::string> BinaryMember(const Struct& jwk, const std::string& path, const std::string& member) {
  const std::optional<std::string> text = TextOf(jwk, member);
  const absl::StatusOr<std::string> binary = text ? FromBase64Url(*text) : absl::InvalidArgumentError("");
  if (!binary.ok() || binary->empty() || binary->size() > kMaxRsaBits / 8) {
    return InvalidField(std::format("{}.{}", path, member), "…", "a number of the key in base64url");
  }
  return binary;
}

EVP_PKEY* Made(const char* type, OSSL_PARAM_BLD* builder) {
  const Parameters parameters(OSSL_PARAM_BLD_to_param(builder));
  const KeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* key = nullptr;
  if (!parameters || !context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, parameters.get()) != 1) {
    ERR_clear_error();
    return nullptr;
  }
  // Of a point that it is on the curve.
  const KeyContext check(EVP_PKEY_CTX_new_from_pkey(nullptr, key, nullptr));
  if (!check || EVP_PKEY_public_check(check.get()) != 1) {
    ERR_clear_error();
    EVP_PKEY_free(key);
    return nullptr;
  }
  return key;
}

absl::StatusOr<EVP_PKEY*> RsaKey(const Struct& jwk, const std::string& path) {
  LH_ASSIGN_OR_RETURN(const std::string modulus, BinaryMember(jwk, path, "n"));
  LH_ASSIGN_OR_RETURN(const std::string exponent, BinaryMember(jwk, path, "e"));
  const BigNumber n = Number(modulus);
  const BigNumber e = Number(exponent);
  const int bits = n ? BN_num_bits(n.get()) : 0;
  if (bits < kMinRsaBits || bits > kMaxRsaBits) {
    return InvalidField(path + ".n", std::format("of {} bits", bits),
                        std::format("{} to {} bits", kMinRsaBits, kMaxRsaBits));
  }
  if (!e || !BN_is_odd(e.get()) || BN_is_one(e.get()) || BN_num_bits(e.get()) > 32) {
    return InvalidField(path + ".e", "…", "an odd number from 3 to 2^32");
  }
  const Builder builder(OSSL_PARAM_BLD_new());
  OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get());
  OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get());
  return Made("RSA", builder.get());
}

absl::StatusOr<EVP_PKEY*> P256Key(const Struct& jwk, const std::string& path) {
  LH_ASSIGN_OR_RETURN(const std::string x, BinaryMember(jwk, path, "x"));
  LH_ASSIGN_OR_RETURN(const std::string y, BinaryMember(jwk, path, "y"));
  if (x.size() != kP256Bytes || y.size() != kP256Bytes) {
    return InvalidField(path, "…", "coordinates of 32 bytes each");
  }
  const std::string point = '\x04' + x + y;  // uncompressed
  const Builder builder(OSSL_PARAM_BLD_new());
  OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0);
  OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size());
  return Made("EC", builder.get());
}

absl::StatusOr<EVP_PKEY*> Ed25519Key(const Struct& jwk, const std::string& path) {
  LH_ASSIGN_OR_RETURN(const std::string x, BinaryMember(jwk, path, "x"));
  if (x.size() != kEd25519Bytes) return InvalidField(path + ".x", "…", "32 bytes");
  return EVP_PKEY_new_raw_public_key_ex(nullptr, "ED25519", nullptr, Bytes(x), x.size());
}

// The algorithm of a key that signs and that we know; nullopt for the others.
std::optional<JwtAlgorithm> AlgorithmOf(const Struct& jwk) {
  if (Has(jwk, "use") && TextOf(jwk, "use") != "sig") return std::nullopt;
  const std::string type = TextOf(jwk, "kty").value_or("");
  const std::string curve = TextOf(jwk, "crv").value_or("");
  std::optional<JwtAlgorithm> algorithm;
  if (type == "RSA") algorithm = JwtAlgorithm::kRs256;
  if (type == "EC" && curve == "P-256") algorithm = JwtAlgorithm::kEs256;
  if (type == "OKP" && curve == "Ed25519") algorithm = JwtAlgorithm::kEdDsa;
  if (Has(jwk, "alg") && ParseJwtAlgorithm(TextOf(jwk, "alg").value_or("")) != algorithm) return std::nullopt;
  return algorithm;
}

// JWS has r and s side by side, OpenSSL wants them in DER.
std::string DerOf(std::string_view signature) {
  if (signature.size() != 2 * kP256Bytes) return "";
  const EcdsaSignature ecdsa(ECDSA_SIG_new());
  BigNumber r = Number(signature.substr(0, kP256Bytes));
  BigNumber s = Number(signature.substr(kP256Bytes));
  if (!ecdsa || !r || !s || ECDSA_SIG_set0(ecdsa.get(), r.get(), s.get()) != 1) return "";
  r.release();
  s.release();
  std::string der(static_cast<size_t>(std::max(i2d_ECDSA_SIG(ecdsa.get(), nullptr), 0)), '\0');
  auto* out = reinterpret_cast<unsigned char*>(der.data());
  i2d_ECDSA_SIG(ecdsa.get(), &out);
  return der;
}

}  // namespace

std::optional<JwtAlgorithm> ParseJwtAlgorithm(std::string_view name) {
  if (name == "RS256") return JwtAlgorithm::kRs256;
  if (name == "ES256") return JwtAlgorithm::kEs256;
  if (name == "EdDSA") return JwtAlgorithm::kEdDsa;
  return std::nullopt;
}

absl::StatusOr<KeySet> KeySet::Parse(std::string_view json) {
  const std::optional<Struct> set = ParseJsonObject(json);
  const auto found =
      set ? set->fields().find("keys") : google::protobuf::Map<std::string, google::protobuf::Value>::const_iterator();
  if (!set || found == set->fields().end() || !found->second.has_list_value()) {
    return InvalidField("keys", "", "a JSON Web Key Set: {\"keys\": […]}");
  }
  const auto& entries = found->second.list_value().values();
  if (static_cast<size_t>(entries.size()) > kMaxKeys) {
    return InvalidField("keys", std::format("{} keys", entries.size()), std::format("at most {}", kMaxKeys));
  }
  KeySet keys;
  for (int i = 0; i < entries.size(); ++i) {
    const std::string path = std::format("keys[{}]", i);
    if (!entries[i].has_struct_value()) return InvalidField(path, "", "a JSON Web Key");
    const Struct& jwk = entries[i].struct_value();
    if (Has(jwk, "d") || Has(jwk, "k")) return InvalidField(path, "…", "a public key; this file holds a secret one");
    const std::optional<JwtAlgorithm> algorithm = AlgorithmOf(jwk);
    if (!algorithm) continue;
    const std::string kid = TextOf(jwk, "kid").value_or("");
    const auto has_kid = [&kid](const Key& key) { return !kid.empty() && key.kid == kid; };
    if (std::ranges::any_of(keys.keys_, has_kid)) {
      return InvalidField(path + ".kid", kid, "one that no key before has");
    }
    const auto made = *algorithm == JwtAlgorithm::kRs256   ? RsaKey(jwk, path)
                      : *algorithm == JwtAlgorithm::kEs256 ? P256Key(jwk, path)
                                                           : Ed25519Key(jwk, path);
    if (!made.ok()) return made.status();
    if (*made == nullptr) return InvalidField(path, "…", "a valid public key");
    keys.keys_.push_back({kid, *algorithm, std::unique_ptr<EVP_PKEY, Freer>(*made)});
  }
  if (keys.keys_.empty()) return InvalidField("keys", "", "at least one key for RS256, ES256 or EdDSA");
  return keys;
}

const KeySet::Key* KeySet::Find(std::string_view kid, JwtAlgorithm algorithm) const {
  const Key* found = nullptr;
  for (const Key& key : keys_) {
    if (key.algorithm != algorithm || (!kid.empty() && key.kid != kid)) continue;
    if (found != nullptr) return nullptr;  // several, and the token does not say which
    found = &key;
  }
  return found;
}

bool KeySet::Verifies(std::string_view kid, JwtAlgorithm algorithm, std::string_view text,
                      std::string_view signature) const {
  const Key* key = Find(kid, algorithm);
  if (key == nullptr) return false;
  std::string der;
  if (algorithm == JwtAlgorithm::kEs256) {
    der = DerOf(signature);
    signature = der;
  }
  const DigestContext context(EVP_MD_CTX_new());
  const char* digest = algorithm == JwtAlgorithm::kEdDsa ? nullptr : "SHA256";
  const bool good =
      !signature.empty() && context &&
      EVP_DigestVerifyInit_ex(context.get(), nullptr, digest, nullptr, nullptr, key->key.get(), nullptr) == 1 &&
      EVP_DigestVerify(context.get(), Bytes(signature), signature.size(), Bytes(text), text.size()) == 1;
  ERR_clear_error();
  return good;
}

}  // namespace leasehold::gateway
