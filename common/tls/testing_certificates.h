// Certificates of a CA that is made for one test, in files.
#pragma once

#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/log/absl_check.h"
#include "absl/time/clock.h"
#include "common/localserver/localserver.h"
#include "common/tls/authority.h"
#include "common/tls/credentials.h"

namespace leasehold::tls {

struct IdentityFiles {
  std::string certificate;
  std::string key;
};

struct TestSubject {
  std::vector<std::string> hosts = {"localhost", "127.0.0.1"};
  std::vector<std::string> uris = {};
  absl::Time begin = absl::Now() - absl::Hours(1);
  absl::Time end = absl::Now() + absl::Hours(24);
};

class TestCertificates {
 public:
  explicit TestCertificates(const std::string& common_name = "test CA")
      : authority_(*Authority::Make(common_name, absl::Now() - absl::Hours(48), absl::Now() + absl::Hours(48))),
        ca_(Write("ca.crt", authority_.own().certificate_pem)) {}

  const std::string& ca() const { return ca_; }
  std::string PathOf(const std::string& name) const { return folder_.path() + "/" + name; }

  // Replaces what the file was, in one step.
  std::string Write(const std::string& name, std::string_view text) const {
    const std::string path = PathOf(name);
    {
      std::ofstream file(path + ".new", std::ios::binary);
      file << text;
    }
    ABSL_CHECK(std::rename((path + ".new").c_str(), path.c_str()) == 0);
    return path;
  }

  // NAME.crt and NAME.key.
  IdentityFiles Make(const std::string& name, const TestSubject& subject = {}) {
    const auto identity = authority_.Issue({.common_name = name,
                                            .hosts = subject.hosts,
                                            .uris = subject.uris,
                                            .begin = subject.begin,
                                            .end = subject.end});
    ABSL_CHECK(identity.ok());
    return {.certificate = Write(name + ".crt", identity->certificate_pem),
            .key = Write(name + ".key", identity->key_pem.reveal())};
  }

  // `ca`: whose clients (or servers) are believed; empty: nobody is asked.
  static Options OptionsOf(Role role, const IdentityFiles& files, std::string ca = "") {
    return {.role = role,
            .certificate = {.field = "certificate_file", .path = files.certificate},
            .key = {.field = "key_file", .path = files.key},
            .ca = {.field = "ca_file", .path = std::move(ca)}};
  }

 private:
  localserver::TemporaryDirectory folder_;
  Authority authority_;
  std::string ca_;
};

}  // namespace leasehold::tls
