// Keys of an issuer and the tokens that it signs, for tests: made by OpenSSL, none of the code under test.
#pragma once

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>

#include <format>
#include <memory>
#include <string>
#include <string_view>

#include "common/secret/secret.h"

namespace leasehold::gateway {

class TestingKey {
 public:
  static TestingKey Rsa(std::string kid, unsigned bits = 2048) {
    return TestingKey(std::move(kid), "RS256", EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", static_cast<size_t>(bits)));
  }
  static TestingKey P256(std::string kid) {
    return TestingKey(std::move(kid), "ES256", EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"));
  }
  static TestingKey Ed25519(std::string kid) {
    return TestingKey(std::move(kid), "EdDSA", EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
  }

  const std::string& algorithm() const { return algorithm_; }

  // The public key as a JSON Web Key; `more` goes into it: ",\"use\":\"sig\"".
  std::string Jwk(std::string_view more = "") const {
    if (algorithm_ == "RS256") {
      return std::format(R"({{"kty":"RSA","kid":"{}","n":"{}","e":"{}"{}}})", kid_, Number(OSSL_PKEY_PARAM_RSA_N),
                         Number(OSSL_PKEY_PARAM_RSA_E), more);
    }
    if (algorithm_ == "ES256") {
      return std::format(R"({{"kty":"EC","crv":"P-256","kid":"{}","x":"{}","y":"{}"{}}})", kid_,
                         Number(OSSL_PKEY_PARAM_EC_PUB_X, 32), Number(OSSL_PKEY_PARAM_EC_PUB_Y, 32), more);
    }
    std::string raw(32, '\0');
    size_t size = raw.size();
    EVP_PKEY_get_raw_public_key(key_.get(), reinterpret_cast<unsigned char*>(raw.data()), &size);
    return std::format(R"({{"kty":"OKP","crv":"Ed25519","kid":"{}","x":"{}"{}}})", kid_, Base64Url(raw), more);
  }

  // As the file "public.pem", whose bytes an attacker takes for an HMAC's key.
  std::string PublicPem() const {
    BIO* bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PUBKEY(bio, key_.get());
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio, &data);
    std::string pem(data, static_cast<size_t>(size));
    BIO_free(bio);
    return pem;
  }

  std::string Header() const { return std::format(R"({{"alg":"{}","kid":"{}","typ":"JWT"}})", algorithm_, kid_); }

  // A token with these parts, signed.
  std::string Sign(std::string_view header, std::string_view claims) const {
    const std::string text = Base64Url(header) + "." + Base64Url(claims);
    return text + "." + Base64Url(Signature(text));
  }
  std::string Sign(std::string_view claims) const { return Sign(Header(), claims); }

 private:
  struct Freer {
    void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  };

  TestingKey(std::string kid, std::string algorithm, EVP_PKEY* key)
      : kid_(std::move(kid)), algorithm_(std::move(algorithm)), key_(key) {}

  std::string Number(const char* parameter, int size = 0) const {
    BIGNUM* number = nullptr;
    EVP_PKEY_get_bn_param(key_.get(), parameter, &number);
    std::string bytes(static_cast<size_t>(size == 0 ? BN_num_bytes(number) : size), '\0');
    BN_bn2binpad(number, reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
    BN_free(number);
    return Base64Url(bytes);
  }

  std::string Signature(const std::string& text) const {
    EVP_MD_CTX* context = EVP_MD_CTX_new();
    EVP_DigestSignInit_ex(context, nullptr, algorithm_ == "EdDSA" ? nullptr : "SHA256", nullptr, nullptr, key_.get(),
                          nullptr);
    const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
    size_t size = 0;
    EVP_DigestSign(context, nullptr, &size, bytes, text.size());
    std::string signature(size, '\0');
    EVP_DigestSign(context, reinterpret_cast<unsigned char*>(signature.data()), &size, bytes, text.size());
    EVP_MD_CTX_free(context);
    signature.resize(size);
    return algorithm_ == "ES256" ? SideBySide(signature) : signature;
  }

  static std::string SideBySide(const std::string& der) {
    const auto* bytes = reinterpret_cast<const unsigned char*>(der.data());
    ECDSA_SIG* parsed = d2i_ECDSA_SIG(nullptr, &bytes, static_cast<long>(der.size()));
    std::string both(64, '\0');
    auto* out = reinterpret_cast<unsigned char*>(both.data());
    BN_bn2binpad(ECDSA_SIG_get0_r(parsed), out, 32);
    BN_bn2binpad(ECDSA_SIG_get0_s(parsed), out + 32, 32);
    ECDSA_SIG_free(parsed);
    return both;
  }

  std::string kid_;
  std::string algorithm_;
  std::unique_ptr<EVP_PKEY, Freer> key_;
};

// HS256 by `secret`, as an attacker makes it who hopes that the verifier goes by the header.
inline std::string SignHs256(std::string_view claims, std::string_view secret, std::string_view kid) {
  const std::string text = Base64Url(std::format(R"({{"alg":"HS256","kid":"{}"}})", kid)) + "." + Base64Url(claims);
  const auto mac = HmacSha256(secret, text);
  return text + "." + Base64Url({reinterpret_cast<const char*>(mac.data()), mac.size()});
}

}  // namespace leasehold::gateway
