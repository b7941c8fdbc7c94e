// SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677; channel binding by tls-server-end-point, RFC 5929), both
// sides and the stored form. No I/O: messages in, messages out. Passwords are taken as they are, without SASLprep:
// Leasehold's own are ASCII. One thread at a time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "common/secret/secret.h"

namespace leasehold::scram {

inline constexpr std::string_view kMechanism = "SCRAM-SHA-256";
inline constexpr std::string_view kPlusMechanism = "SCRAM-SHA-256-PLUS";

// What a server keeps of a password.
struct Verifier {
  std::string salt;  // 16 bytes
  int iterations = 0;
  std::array<uint8_t, 32> stored_key{};
  std::array<uint8_t, 32> server_key{};
};

// Longer messages are refused unread.
inline constexpr size_t kMaxMessageBytes = 4096;

// PBKDF2-HMAC-SHA-256 with `iterations` rounds, at least 1 (4,096 takes about 1 ms; derived 256-bit passwords need no
// stretching: 1).
Verifier MakeVerifier(std::string_view password, std::string_view salt, int iterations);

// The form of pg_authid.rolpassword: "SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>". PostgreSQL takes it
// as a PASSWORD and never sees the password itself.
std::string PostgresSecret(const Verifier& verifier);

// The server's side of one exchange. Feed each client message once, in order; after an error, or out of order,
// everything is BAD_CREDENTIALS.
class ServerExchange {
 public:
  // `nonce`: 18 random bytes as base64, injected for tests. `end_point`: of the TLS connection (tls::ServerEndPoint) if
  // SCRAM-SHA-256-PLUS was offered beside SCRAM-SHA-256, else empty.
  ServerExchange(Verifier verifier, std::string nonce, std::string end_point = "");
  // client-first-message → server-first-message. `mechanism`: the one that the client chose. BAD_CREDENTIALS on one
  // that was not offered, a malformed message, channel binding that does not fit the mechanism, an authorization
  // identity, or a client that could bind and thinks we cannot: then somebody in between took the offer away. The user
  // name in it is ignored, as PostgreSQL does: the start-up packet's counts.
  absl::StatusOr<std::string> OnClientFirst(std::string_view message, std::string_view mechanism = kMechanism);
  // client-final-message → server-final-message. BAD_CREDENTIALS if the proof is wrong.
  absl::StatusOr<std::string> OnClientFinal(std::string_view message);

 private:
  enum class Expects { kClientFirst, kClientFinal, kNothing };

  const Verifier verifier_;
  const std::string end_point_;
  std::string nonce_;  // from client-first on: the client's, then the server's
  Expects expects_ = Expects::kClientFirst;
  std::string client_first_bare_;
  std::string server_first_;
  std::string channel_;  // what the client's last message says of it: the GS2 header, and what it is bound to
};

// The client's side of one exchange. Its errors are about the server, not for strangers: UNAUTHENTICATED without
// detail.
class ClientExchange {
 public:
  // What the client says of channel binding.
  struct Channel {
    enum class Binding {
      kUnable,      // it does not do it, or would not: "n"
      kNotOffered,  // it would, but the server offers no SCRAM-SHA-256-PLUS: "y". A server that did offer it objects.
      kEndPoint,    // by SCRAM-SHA-256-PLUS
    };
    Binding binding = Binding::kUnable;
    std::string end_point = {};  // of the TLS connection (tls::ClientEndPoint); for kEndPoint
  };
  // `user_name`: PostgreSQL ignores it and libpq leaves it empty.
  ClientExchange(Secret password, std::string nonce, const Channel& channel, const std::string& user_name = "");
  ClientExchange(Secret password, std::string nonce, const std::string& user_name = "")
      : ClientExchange(std::move(password), std::move(nonce), Channel(), user_name) {}
  std::string ClientFirst() const;
  // → client-final-message. Refuses a salt or nonce that is none, and more than 10,000,000 iterations.
  absl::StatusOr<std::string> OnServerFirst(std::string_view message);
  // OK only if the server proved that it knows the password.
  absl::Status OnServerFinal(std::string_view message);

 private:
  const Secret password_;
  const std::string nonce_;
  const std::string gs2_header_;
  const std::string channel_;  // the header, and what it is bound to
  const std::string client_first_bare_;
  std::string server_signature_;  // what OnServerFinal must bring; empty before OnServerFirst
};

// 18 random bytes as base64.
std::string MakeNonce();

}  // namespace leasehold::scram
