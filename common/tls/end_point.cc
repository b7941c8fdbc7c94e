#include "common/tls/end_point.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <array>

namespace leasehold::tls {

std::string EndPointHash(const X509* certificate) {
  if (certificate == nullptr) return "";
  int digest_id = NID_undef;
  if (X509_get_signature_info(const_cast<X509*>(certificate), &digest_id, nullptr, nullptr, nullptr) != 1) {
    ERR_clear_error();
    return "";
  }
  if (digest_id == NID_md5 || digest_id == NID_sha1) digest_id = NID_sha256;
  const EVP_MD* digest = digest_id == NID_undef ? nullptr : EVP_get_digestbynid(digest_id);
  std::array<unsigned char, EVP_MAX_MD_SIZE> hash{};
  unsigned int size = 0;
  if (digest == nullptr || X509_digest(certificate, digest, hash.data(), &size) != 1) {
    ERR_clear_error();
    return "";
  }
  return {reinterpret_cast<const char*>(hash.data()), size};
}

std::string ServerEndPoint(const SSL* ssl) { return EndPointHash(SSL_get_certificate(ssl)); }

std::string ClientEndPoint(const SSL* ssl) { return EndPointHash(SSL_get0_peer_certificate(ssl)); }

}  // namespace leasehold::tls
