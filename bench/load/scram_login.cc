#include "bench/load/scram_login.h"

#include <openssl/evp.h>

#include <format>
#include <optional>

#include "absl/log/absl_check.h"
#include "absl/strings/numbers.h"
#include "common/scram/message.h"
#include "common/scram/scram.h"
#include "common/secret/secret.h"
#include "common/status/error.h"
#include "common/status/view.h"

namespace leasehold::bench {
namespace {

constexpr std::string_view kGs2Header = "n,,";
constexpr std::string_view kGs2HeaderEncoded = "biws";

std::string_view Bytes(const std::array<uint8_t, 32>& key) {
  return {reinterpret_cast<const char*>(key.data()), key.size()};
}

absl::Status Malformed() { return absl::UnauthenticatedError("the server's SCRAM message is malformed"); }

}  // namespace

const ScramKeys::Keys& ScramKeys::Of(const std::string& password, const std::string& salt, int iterations) {
  if (!keep_) kept_.clear();
  const auto [entry, is_new] = kept_.try_emplace({password, salt, iterations});
  Keys& keys = entry->second;
  if (!is_new) return keys;
  std::array<uint8_t, 32> salted{};
  ABSL_CHECK(PKCS5_PBKDF2_HMAC(password.data(), static_cast<int>(password.size()),
                               reinterpret_cast<const unsigned char*>(salt.data()), static_cast<int>(salt.size()),
                               iterations, EVP_sha256(), static_cast<int>(salted.size()), salted.data()) == 1);
  keys.client_key = HmacSha256(Bytes(salted), "Client Key");
  keys.stored_key = Sha256(Bytes(keys.client_key));
  keys.server_key = HmacSha256(Bytes(salted), "Server Key");
  return keys;
}

ScramLogin::ScramLogin(ScramKeys& keys, std::string password)
    : keys_(keys), password_(std::move(password)), nonce_(scram::MakeNonce()) {}

std::string ScramLogin::ClientFirst() const { return std::format("{}n=,r={}", kGs2Header, nonce_); }

absl::StatusOr<std::string> ScramLogin::OnServerFirst(std::string_view message) {
  scram::AttributeReader reader(message);
  const std::optional<std::string_view> nonce = reader.Take('r');
  if (!nonce || !nonce->starts_with(nonce_)) return Malformed();
  const std::optional<std::string_view> salt_text = reader.Take('s');
  if (!salt_text) return Malformed();
  LH_ASSIGN_OR_RETURN(const std::string salt, FromBase64(*salt_text));
  const std::optional<std::string_view> count = reader.Take('i');
  int iterations = 0;
  if (!count || !absl::SimpleAtoi(AbslView(*count), &iterations) || iterations < 1) return Malformed();

  const ScramKeys::Keys& keys = keys_.Of(password_, salt, iterations);
  const std::string bare = std::format("c={},r={}", kGs2HeaderEncoded, *nonce);
  const std::string signed_text = std::format("n=,r={},{},{}", nonce_, message, bare);
  std::array<uint8_t, 32> proof = HmacSha256(Bytes(keys.stored_key), signed_text);
  for (size_t i = 0; i < proof.size(); ++i) proof[i] ^= keys.client_key[i];
  server_signature_ = Base64(Bytes(HmacSha256(Bytes(keys.server_key), signed_text)));
  return std::format("{},p={}", bare, Base64(Bytes(proof)));
}

absl::Status ScramLogin::OnServerFinal(std::string_view message) const {
  if (server_signature_.empty() || message != "v=" + server_signature_) {
    return absl::UnauthenticatedError("the server does not know the password");
  }
  return absl::OkStatus();
}

}  // namespace leasehold::bench
