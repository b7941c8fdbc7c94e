#include "common/tls/end_point.h"

#include <gtest/gtest.h>

#include "common/secret/secret.h"
#include "common/tls/handles.h"

namespace leasehold::tls {
namespace {

// Of no use but to be hashed.
CertificatePtr SelfSigned(const char* algorithm, const char* curve, const EVP_MD* digest) {
  const PrivateKeyPtr key(curve == nullptr ? EVP_PKEY_Q_keygen(nullptr, nullptr, algorithm)
                                           : EVP_PKEY_Q_keygen(nullptr, nullptr, algorithm, curve));
  CertificatePtr certificate(X509_new());
  X509_set_pubkey(certificate.get(), key.get());
  EXPECT_NE(X509_sign(certificate.get(), key.get(), digest), 0);
  return certificate;
}

std::string Der(X509* certificate) {
  unsigned char* der = nullptr;
  const int size = i2d_X509(certificate, &der);
  std::string out(reinterpret_cast<char*>(der), static_cast<size_t>(size));
  OPENSSL_free(der);
  return out;
}

TEST(EndPointHash, ByTheSignaturesHash) {
  const CertificatePtr sha256 = SelfSigned("EC", "P-256", EVP_sha256());
  const auto expected = Sha256(Der(sha256.get()));
  EXPECT_EQ(EndPointHash(sha256.get()), std::string(expected.begin(), expected.end()));
  EXPECT_EQ(EndPointHash(SelfSigned("EC", "P-256", EVP_sha384()).get()).size(), 48U);
  EXPECT_EQ(EndPointHash(SelfSigned("EC", "P-256", EVP_sha512()).get()).size(), 64U);
}

TEST(EndPointHash, WeakHashesGiveWayToSha256) {
  const CertificatePtr sha1 = SelfSigned("EC", "P-256", EVP_sha1());
  const auto expected = Sha256(Der(sha1.get()));
  EXPECT_EQ(EndPointHash(sha1.get()), std::string(expected.begin(), expected.end()));
}

TEST(EndPointHash, NoneWhereThereIsNone) {
  EXPECT_EQ(EndPointHash(nullptr), "");
  EXPECT_EQ(EndPointHash(SelfSigned("ED25519", nullptr, nullptr).get()), "");
}

}  // namespace
}  // namespace leasehold::tls
