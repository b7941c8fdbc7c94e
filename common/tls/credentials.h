// What one end of a TLS connection shows and whom it believes: read from PEM files, checked as a whole, then constant.
#pragma once

#include <openssl/ssl.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/secret/secret.h"

namespace leasehold::tls {

// `field`: what its user calls it, for errors: "gateway.sql_key_file", "--key".
struct File {
  std::string field = {};
  std::string path = {};  // empty: none
};

enum class Role { kServer, kClient };

struct Options {
  Role role = Role::kServer;
  File certificate = {};  // a chain, our own certificate first; with it the key
  File key = {};          // without a passphrase
  // Whose certificates are believed. A server with it asks its clients for one, and takes those that have none too; a
  // client without it believes anybody.
  File ca = {};
  // Of each context, before it is used; may be empty.
  std::function<void(SSL_CTX*)> prepare = {};
};

// Any thread.
class Credentials {
 public:
  // INVALID_FIELD with the field whose file cannot be read, holds something else, does not belong to the other one, or
  // a certificate that is not valid at `now`. Never asks for a passphrase.
  static absl::StatusOr<std::shared_ptr<const Credentials>> Read(const Options& options, absl::Time now);
  ~Credentials();
  Credentials(const Credentials&) = delete;
  Credentials& operator=(const Credentials&) = delete;

  // TLS 1.2 and up. Lives as long as a connection that was made with it.
  SSL_CTX* context() const { return context_; }

  // As they were read, for libraries that make contexts of their own; empty: none.
  const std::string& certificate_pem() const { return certificate_pem_; }
  const Secret& key_pem() const { return key_pem_; }
  const std::string& ca_pem() const { return ca_pem_; }

  // When the first certificate of the chain ends; without one, the last of the CAs. InfiniteFuture without both.
  absl::Time expiry() const { return expiry_; }

 private:
  Credentials() = default;
  absl::Status ReadIdentity(const Options& options, absl::Time now);
  absl::Status ReadCa(const File& file, absl::Time now);

  SSL_CTX* context_ = nullptr;
  std::string certificate_pem_;
  Secret key_pem_;
  std::string ca_pem_;
  absl::Time expiry_ = absl::InfiniteFuture();
};

// A client that believes `options.ca` expects of the server's certificate, from now on, that it names `host`: a DNS
// name or an address. Before the handshake.
void ExpectHost(SSL* ssl, const std::string& host);

// Names the server for one that has several certificates (SNI); not of addresses, which RFC 6066 leaves out.
void AskForHost(SSL* ssl, const std::string& host);

// OpenSSL's words for what went wrong last on this thread, without its codes; for the log.
std::string LastError();

}  // namespace leasehold::tls
