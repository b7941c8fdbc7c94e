// SCRAM-SHA-256 (RFC 5802, RFC 7677), both sides and the stored form. No channel binding. No I/O: messages in, messages out.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "common/secret/secret.h"

namespace leasehold::scram {

// What a server keeps of a password.
struct Verifier {
  std::string salt;  // 16 bytes
  int iterations = 0;
  std::array<uint8_t, 32> stored_key{};
  std::array<uint8_t, 32> server_key{};
};

// PBKDF2-HMAC-SHA-256 with `iterations` rounds (4,096 takes about 1 ms; derived 256-bit passwords need no stretching: 1).
Verifier MakeVerifier(std::string_view password, std::string_view salt, int iterations);

// The form of pg_authid.rolpassword: "SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>". PostgreSQL takes it as a
// PASSWORD and never sees the password itself.
std::string PostgresSecret(const Verifier& verifier);

// The server's side of one exchange. Feed each client message once, in order.
class ServerExchange {
 public:
  // `nonce`: 18 random bytes as base64, injected for tests.
  ServerExchange(Verifier verifier, std::string nonce);
  // client-first-message → server-first-message. BAD_CREDENTIALS on a malformed message or a demand for channel binding.
  absl::StatusOr<std::string> OnClientFirst(std::string_view message);
  // client-final-message → server-final-message. BAD_CREDENTIALS if the proof is wrong.
  absl::StatusOr<std::string> OnClientFinal(std::string_view message);

 private:
  Verifier verifier_;
  std::string nonce_;
  std::string client_first_bare_;
  std::string server_first_;
  std::string gs2_header_;
};

// The client's side of one exchange.
class ClientExchange {
 public:
  ClientExchange(Secret password, std::string nonce);
  std::string ClientFirst();
  absl::StatusOr<std::string> OnServerFirst(std::string_view message);  // → client-final-message
  absl::Status OnServerFinal(std::string_view message);                 // UNAUTHENTICATED if the server lied

 private:
  Secret password_;
  std::string nonce_;
  std::string client_first_bare_;
  std::string auth_message_;
  std::array<uint8_t, 32> server_key_{};
};

// 18 random bytes as base64.
std::string MakeNonce();

}  // namespace leasehold::scram
