// The client's side of SCRAM-SHA-256 for a load generator: what a password costs to stretch is paid once, not at each
// log-in.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <tuple>

#include "absl/status/statusor.h"

namespace leasehold::bench {

// RFC 5802 lets a client keep ClientKey and ServerKey instead of the password. Stretching takes 4,096 HMACs, about as
// much CPU time as all else in a log-in; on a machine that the generator shares with the proxies it would measure the
// generator. One thread.
class ScramKeys {
 public:
  struct Keys {
    std::array<uint8_t, 32> client_key;
    std::array<uint8_t, 32> stored_key;
    std::array<uint8_t, 32> server_key;
  };
  // `keep` false: stretch at every log-in, as libpq 17 and most drivers do.
  explicit ScramKeys(bool keep = true) : keep_(keep) {}
  const Keys& Of(const std::string& password, const std::string& salt, int iterations);

 private:
  const bool keep_;
  std::map<std::tuple<std::string, std::string, int>, Keys> kept_;
};

// One exchange.
class ScramLogin {
 public:
  ScramLogin(ScramKeys& keys, std::string password);
  std::string ClientFirst() const;
  // → client-final-message.
  absl::StatusOr<std::string> OnServerFirst(std::string_view message);
  // OK if the server knows the password too.
  absl::Status OnServerFinal(std::string_view message) const;

 private:
  ScramKeys& keys_;
  const std::string password_;
  const std::string nonce_;
  std::string server_signature_;
};

}  // namespace leasehold::bench
