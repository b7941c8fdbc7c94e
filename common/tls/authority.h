// A certificate authority of our own, for local stacks and tests.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/secret/secret.h"
#include "common/tls/handles.h"

namespace leasehold::tls {

struct Identity {
  std::string certificate_pem;
  Secret key_pem;
};

// What a certificate is for.
struct Subject {
  std::string common_name;
  std::vector<std::string> hosts = {};  // DNS names and addresses
  std::vector<std::string> uris = {};   // "spiffe://leasehold.local/gateway"
  absl::Time begin;
  absl::Time end;
};

// ECDSA on P-256, signed with SHA-256. One thread at a time.
class Authority {
 public:
  static absl::StatusOr<Authority> Make(const std::string& common_name, absl::Time begin, absl::Time end);

  // For servers and clients alike.
  absl::StatusOr<Identity> Issue(const Subject& subject);

  const Identity& own() const { return own_; }

 private:
  Authority(PrivateKeyPtr key, CertificatePtr certificate, Identity own)
      : key_(std::move(key)), certificate_(std::move(certificate)), own_(std::move(own)) {}

  PrivateKeyPtr key_;
  CertificatePtr certificate_;
  Identity own_;
};

}  // namespace leasehold::tls
