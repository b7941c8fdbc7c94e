#include "common/scram/scram.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <format>
#include <optional>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "common/scram/message.h"
#include "common/status/error.h"

namespace leasehold::scram {
namespace {

constexpr int kMaxIterations = 10'000'000;
constexpr size_t kNonceBytes = 18;
constexpr std::string_view kEndPointHeader = "p=tls-server-end-point,";

using Digest = std::array<uint8_t, 32>;

std::string_view View(const Digest& digest) { return {reinterpret_cast<const char*>(digest.data()), digest.size()}; }

Digest Xor(const Digest& a, const Digest& b) {
  Digest out;
  for (size_t i = 0; i < out.size(); ++i) out[i] = a[i] ^ b[i];
  return out;
}

struct Keys {
  Digest client;
  Digest stored;
  Digest server;
  ~Keys() { OPENSSL_cleanse(client.data(), client.size()); }
};

Keys DeriveKeys(std::string_view password, std::string_view salt, int iterations) {
  Digest salted;
  const absl::Cleanup wipe = [&salted] { OPENSSL_cleanse(salted.data(), salted.size()); };
  if (PKCS5_PBKDF2_HMAC(password.empty() ? "" : password.data(), static_cast<int>(password.size()),
                        reinterpret_cast<const unsigned char*>(salt.data()), static_cast<int>(salt.size()), iterations,
                        EVP_sha256(), static_cast<int>(salted.size()), salted.data()) != 1) {
    std::fputs("OpenSSL cannot compute PBKDF2\n", stderr);
    std::abort();
  }
  Keys keys;
  keys.client = HmacSha256(View(salted), "Client Key");
  keys.stored = Sha256(View(keys.client));
  keys.server = HmacSha256(View(salted), "Server Key");
  return keys;
}

absl::Status Malformed(std::string_view what) {
  return Error(v1::REASON_BAD_CREDENTIALS, std::format("malformed SCRAM message: {}", what));
}

absl::Status Refused() { return Error(v1::REASON_BAD_CREDENTIALS, "password authentication failed"); }

std::string HeaderOf(ClientExchange::Channel::Binding binding) {
  switch (binding) {
    case ClientExchange::Channel::Binding::kUnable:
      return "n,,";
    case ClientExchange::Channel::Binding::kNotOffered:
      return "y,,";
    case ClientExchange::Channel::Binding::kEndPoint:
      return std::format("{},", kEndPointHeader);
  }
  return "n,,";
}

std::optional<Digest> ParseDigest(std::string_view base64) {
  const absl::StatusOr<std::string> bytes = FromBase64(base64);
  Digest digest;
  if (!bytes.ok() || bytes->size() != digest.size()) return std::nullopt;
  std::ranges::copy(*bytes, digest.begin());
  return digest;
}

}  // namespace

Verifier MakeVerifier(std::string_view password, std::string_view salt, int iterations) {
  const Keys keys = DeriveKeys(password, salt, iterations);
  return {.salt = std::string(salt), .iterations = iterations, .stored_key = keys.stored, .server_key = keys.server};
}

std::string PostgresSecret(const Verifier& verifier) {
  return std::format("SCRAM-SHA-256${}:{}${}:{}", verifier.iterations, Base64(verifier.salt),
                     Base64(View(verifier.stored_key)), Base64(View(verifier.server_key)));
}

std::string MakeNonce() {
  std::array<uint8_t, kNonceBytes> random;
  RandomBytes(random);
  return Base64({reinterpret_cast<const char*>(random.data()), random.size()});
}

ServerExchange::ServerExchange(Verifier verifier, std::string nonce, std::string end_point)
    : verifier_(std::move(verifier)), end_point_(std::move(end_point)), nonce_(std::move(nonce)) {}

absl::StatusOr<std::string> ServerExchange::OnClientFirst(std::string_view message, std::string_view mechanism) {
  const bool in_order = std::exchange(expects_, Expects::kNothing) == Expects::kClientFirst;
  if (!in_order) return Malformed("out of order");
  if (message.size() > kMaxMessageBytes) return Malformed("too long");

  // gs2-header: "n,,", "y,," or "p=<type>,,": no channel binding, none because the server does not offer it, or that
  // type's. A name between the commas asks for somebody else's rights.
  const bool plus = mechanism == kPlusMechanism && !end_point_.empty();
  if (!plus && mechanism != kMechanism) return Malformed("a mechanism that was not offered");
  if (plus && !message.starts_with(kEndPointHeader)) return Malformed("not bound by tls-server-end-point");
  if (!plus && message.starts_with("p=")) return Malformed("channel binding is not this mechanism's");
  if (!plus && !message.starts_with("n,") && !message.starts_with("y,")) return Malformed("no GS2 header");
  if (message.starts_with('y') && !end_point_.empty()) return Malformed("the client was not told of channel binding");
  const size_t flag = plus ? kEndPointHeader.size() : 2;
  if (message.size() <= flag || message[flag] != ',') return Malformed("an authorization identity is not supported");
  channel_ = message.substr(0, flag + 1);
  if (plus) channel_ += end_point_;
  client_first_bare_ = message.substr(flag + 1);

  AttributeReader reader(client_first_bare_);
  const std::optional<std::string_view> user = reader.Take('n');
  if (!user || !IsSaslName(*user)) return Malformed("no user name");
  const std::optional<std::string_view> client_nonce = reader.Take('r');
  if (!client_nonce || !IsNonce(*client_nonce)) return Malformed("no nonce");
  if (!reader.SkipExtensions()) return Malformed("bad extension");

  nonce_ = std::string(*client_nonce) + nonce_;
  server_first_ = std::format("r={},s={},i={}", nonce_, Base64(verifier_.salt), verifier_.iterations);
  expects_ = Expects::kClientFinal;
  return server_first_;
}

absl::StatusOr<std::string> ServerExchange::OnClientFinal(std::string_view message) {
  const bool in_order = std::exchange(expects_, Expects::kNothing) == Expects::kClientFinal;
  if (!in_order) return Malformed("out of order");
  if (message.size() > kMaxMessageBytes) return Malformed("too long");

  AttributeReader reader(message);
  const std::optional<std::string_view> channel = reader.Take('c');
  if (!channel || *channel != Base64(channel_)) return Malformed("channel binding does not match the first message");
  const std::optional<std::string_view> nonce = reader.Take('r');
  if (!nonce || *nonce != nonce_) return Malformed("nonce does not match");
  if (!reader.SkipExtensions('p') || reader.AtEnd()) return Malformed("no proof");
  const size_t before_proof = message.size() - reader.rest().size() - 1;  // and its comma
  const std::optional<std::string_view> encoded = reader.Take('p');
  const std::optional<Digest> proof = encoded ? ParseDigest(*encoded) : std::nullopt;
  if (!proof || !reader.AtEnd()) return Malformed("bad proof");

  const std::string auth_message =
      std::format("{},{},{}", client_first_bare_, server_first_, message.substr(0, before_proof));
  Digest client_key = Xor(*proof, HmacSha256(View(verifier_.stored_key), auth_message));
  const bool knows_password = EqualSecrets(View(Sha256(View(client_key))), View(verifier_.stored_key));
  OPENSSL_cleanse(client_key.data(), client_key.size());
  if (!knows_password) return Refused();
  return "v=" + Base64(View(HmacSha256(View(verifier_.server_key), auth_message)));
}

ClientExchange::ClientExchange(Secret password, std::string nonce, const Channel& channel, const std::string& user_name)
    : password_(std::move(password)),
      nonce_(std::move(nonce)),
      gs2_header_(HeaderOf(channel.binding)),
      channel_(channel.binding == Channel::Binding::kEndPoint ? gs2_header_ + channel.end_point : gs2_header_),
      client_first_bare_(std::format("n={},r={}", SaslName(user_name), nonce_)) {}

std::string ClientExchange::ClientFirst() const { return gs2_header_ + client_first_bare_; }

absl::StatusOr<std::string> ClientExchange::OnServerFirst(std::string_view message) {
  const auto malformed = [](std::string_view what) {
    return absl::UnauthenticatedError(std::format("server's first SCRAM message: {}", what));
  };
  if (message.size() > kMaxMessageBytes) return malformed("too long");
  AttributeReader reader(message);
  const std::optional<std::string_view> nonce = reader.Take('r');
  if (!nonce || !IsNonce(*nonce) || !nonce->starts_with(nonce_) || nonce->size() == nonce_.size()) {
    return malformed("nonce does not extend the client's");
  }
  const std::optional<std::string_view> encoded_salt = reader.Take('s');
  const absl::StatusOr<std::string> salt = FromBase64(encoded_salt.value_or(""));
  if (!salt.ok() || salt->empty()) return malformed("no salt");
  const std::string_view count = reader.Take('i').value_or("");
  int iterations = 0;
  const auto [end, error] = std::from_chars(count.data(), count.data() + count.size(), iterations);
  if (error != std::errc() || end != count.data() + count.size() || iterations < 1 || iterations > kMaxIterations) {
    return malformed("no iteration count from 1 to 10,000,000");
  }
  if (!reader.SkipExtensions()) return malformed("bad extension");

  const Keys keys = DeriveKeys(password_.reveal(), *salt, iterations);
  const std::string without_proof = std::format("c={},r={}", Base64(channel_), *nonce);
  const std::string auth_message = std::format("{},{},{}", client_first_bare_, message, without_proof);
  server_signature_ = Base64(View(HmacSha256(View(keys.server), auth_message)));
  const Digest proof = Xor(keys.client, HmacSha256(View(keys.stored), auth_message));
  return std::format("{},p={}", without_proof, Base64(View(proof)));
}

absl::Status ClientExchange::OnServerFinal(std::string_view message) {
  AttributeReader reader(message);
  if (const std::optional<std::string_view> refusal = reader.Take('e')) {
    return absl::UnauthenticatedError(std::format("server refused the SCRAM exchange: {}", Printable(*refusal)));
  }
  const std::optional<std::string_view> signature = reader.Take('v');
  if (server_signature_.empty() || !signature || !EqualSecrets(*signature, server_signature_)) {
    return absl::UnauthenticatedError("server did not prove that it knows the password");
  }
  return absl::OkStatus();
}

}  // namespace leasehold::scram
