// What binds a log-in to the TLS connection that it goes through.
#pragma once

#include <openssl/ssl.h>

#include <string>

namespace leasehold::tls {

// RFC 5929's tls-server-end-point: a hash of the server's certificate, by the hash of its signature (SHA-256 for MD5
// and SHA-1). Empty where there is none: no certificate, or a signature without a hash (Ed25519), of which the RFC says
// nothing. `certificate` may be null.
std::string EndPointHash(const X509* certificate);

// Of a connection whose handshake is done: of our own certificate on the server's side, of the peer's on the client's.
std::string ServerEndPoint(const SSL* ssl);
std::string ClientEndPoint(const SSL* ssl);

}  // namespace leasehold::tls
