#include "common/tls/authority.h"

#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <array>
#include <format>
#include <utility>

#include "absl/strings/str_join.h"
#include "common/status/error.h"
#include "common/tls/credentials.h"

namespace leasehold::tls {
namespace {

constexpr int kSerialBytes = 16;

absl::Status Failed(std::string_view what) {
  return absl::InternalError(std::format("cannot make a certificate: {}: {}", what, LastError()));
}

PrivateKeyPtr NewKey() { return PrivateKeyPtr(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256")); }

bool SetSerial(X509& certificate) {
  std::array<uint8_t, kSerialBytes> random;
  RandomBytes(random);
  random[0] = static_cast<uint8_t>((random[0] & 0x7f) | 0x40);  // positive, and as long as the others
  const std::unique_ptr<BIGNUM, Free<BN_free>> number(BN_bin2bn(random.data(), kSerialBytes, nullptr));
  return number != nullptr && BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(&certificate)) != nullptr;
}

bool SetSubject(X509& certificate, const std::string& common_name) {
  return X509_NAME_add_entry_by_NID(X509_get_subject_name(&certificate), NID_commonName, MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(common_name.data()),
                                    static_cast<int>(common_name.size()), -1, 0) == 1;
}

bool AddExtension(X509& certificate, X509* issuer, int id, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, &certificate, nullptr, nullptr, 0);
  const std::unique_ptr<X509_EXTENSION, Free<X509_EXTENSION_free>> extension(
      X509V3_EXT_conf_nid(nullptr, &context, id, value.c_str()));
  return extension != nullptr && X509_add_ext(&certificate, extension.get(), -1) == 1;
}

bool IsAddress(const std::string& host) {
  const std::unique_ptr<ASN1_OCTET_STRING, Free<ASN1_OCTET_STRING_free>> address(a2i_IPADDRESS(host.c_str()));
  ERR_clear_error();
  return address != nullptr;
}

std::string AlternativeNames(const Subject& subject) {
  std::vector<std::string> names;
  for (const std::string& host : subject.hosts) names.push_back((IsAddress(host) ? "IP:" : "DNS:") + host);
  for (const std::string& uri : subject.uris) names.push_back("URI:" + uri);
  return absl::StrJoin(names, ",");
}

absl::StatusOr<Identity> ToPem(X509& certificate, EVP_PKEY& key) {
  const BioPtr certificate_bio(BIO_new(BIO_s_mem()));
  const BioPtr key_bio(BIO_new(BIO_s_secmem()));
  if (PEM_write_bio_X509(certificate_bio.get(), &certificate) != 1 ||
      PEM_write_bio_PKCS8PrivateKey(key_bio.get(), &key, nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return Failed("PEM");
  }
  const auto text = [](const BioPtr& bio) {
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio.get(), &data);
    return std::string(data, static_cast<size_t>(size));
  };
  return Identity{.certificate_pem = text(certificate_bio), .key_pem = Secret(text(key_bio))};
}

// Signed by `issuer_key`; without `issuer` by itself.
absl::StatusOr<CertificatePtr> Sign(const Subject& subject, EVP_PKEY& key, X509* issuer, EVP_PKEY& issuer_key) {
  CertificatePtr certificate(X509_new());
  X509& made = *certificate;
  if (issuer == nullptr) issuer = &made;
  const bool is_ca = issuer == &made;
  if (X509_set_version(&made, X509_VERSION_3) != 1 || !SetSerial(made) || !SetSubject(made, subject.common_name) ||
      X509_set_issuer_name(&made, X509_get_subject_name(issuer)) != 1 || X509_set_pubkey(&made, &key) != 1 ||
      ASN1_TIME_set(X509_getm_notBefore(&made), absl::ToTimeT(subject.begin)) == nullptr ||
      ASN1_TIME_set(X509_getm_notAfter(&made), absl::ToTimeT(subject.end)) == nullptr) {
    return Failed(subject.common_name);
  }
  bool added =
      AddExtension(made, issuer, NID_subject_key_identifier, "hash") &&
      AddExtension(made, issuer, NID_authority_key_identifier, "keyid") &&
      AddExtension(made, issuer, NID_basic_constraints, is_ca ? "critical,CA:TRUE" : "critical,CA:FALSE") &&
      AddExtension(made, issuer, NID_key_usage, is_ca ? "critical,keyCertSign,cRLSign" : "critical,digitalSignature");
  if (!is_ca) added = added && AddExtension(made, issuer, NID_ext_key_usage, "serverAuth,clientAuth");
  const std::string names = AlternativeNames(subject);
  if (!names.empty()) added = added && AddExtension(made, issuer, NID_subject_alt_name, names);
  if (!added) return Failed(subject.common_name);
  if (X509_sign(&made, &issuer_key, EVP_sha256()) == 0) return Failed("signing");
  return certificate;
}

}  // namespace

absl::StatusOr<Authority> Authority::Make(const std::string& common_name, absl::Time begin, absl::Time end) {
  PrivateKeyPtr key = NewKey();
  if (key == nullptr) return Failed("key");
  LH_ASSIGN_OR_RETURN(CertificatePtr certificate,
                      Sign({.common_name = common_name, .begin = begin, .end = end}, *key, nullptr, *key));
  LH_ASSIGN_OR_RETURN(Identity own, ToPem(*certificate, *key));
  return Authority(std::move(key), std::move(certificate), std::move(own));
}

absl::StatusOr<Identity> Authority::Issue(const Subject& subject) {
  const PrivateKeyPtr key = NewKey();
  if (key == nullptr) return Failed("key");
  LH_ASSIGN_OR_RETURN(const CertificatePtr certificate, Sign(subject, *key, certificate_.get(), *key_));
  return ToPem(*certificate, *key);
}

}  // namespace leasehold::tls
