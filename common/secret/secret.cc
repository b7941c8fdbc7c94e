#include "common/secret/secret.h"

#include <fcntl.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <format>
#include <memory>
#include <system_error>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"

namespace leasehold {
namespace {

constexpr size_t kMaxFileBytes = 64 * 1024;

// The whole capacity: a short string keeps its bytes inside the object after it was moved from.
void Wipe(std::string& text) {
  text.resize(text.capacity());
  OPENSSL_cleanse(text.data(), text.size());
  text.clear();
}

const char* Data(std::string_view bytes) { return bytes.empty() ? "" : bytes.data(); }
const uint8_t* Bytes(std::string_view bytes) { return reinterpret_cast<const uint8_t*>(Data(bytes)); }

[[noreturn]] void Die(const char* why) {
  std::fprintf(stderr, "%s\n", why);
  std::abort();
}

// Looking an algorithm up takes longer than what it does to a user name: once for the process.
EVP_MAC_CTX* UnkeyedHmac() {
  EVP_MAC* const algorithm = EVP_MAC_fetch(nullptr, OSSL_MAC_NAME_HMAC, nullptr);
  EVP_MAC_CTX* const context = algorithm == nullptr ? nullptr : EVP_MAC_CTX_new(algorithm);
  EVP_MAC_free(algorithm);
  char digest[] = "SHA256";
  const OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                                   OSSL_PARAM_construct_end()};
  const std::array<uint8_t, 32> zeros{};
  if (context == nullptr || EVP_MAC_init(context, zeros.data(), zeros.size(), parameters) != 1) {
    Die("OpenSSL has no HMAC-SHA256");
  }
  return context;
}

}  // namespace

Secret::Secret(std::string value) : value_(std::move(value)) { Wipe(value); }

Secret::Secret(Secret&& other) noexcept : value_(std::move(other.value_)) { Wipe(other.value_); }

Secret& Secret::operator=(Secret other) noexcept {
  Wipe(value_);
  value_ = std::move(other.value_);
  return *this;
}

Secret::~Secret() { Wipe(value_); }

bool EqualSecrets(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(Data(a), Data(b), a.size()) == 0;
}

absl::StatusOr<Secret> ReadSecretFile(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const auto failed = [&](int error) {
    return absl::FailedPreconditionError(
        std::format("secret file '{}' cannot be read: {}", path, std::generic_category().message(error)));
  };
  if (fd < 0) return failed(errno);
  const absl::Cleanup close_fd = [fd] { close(fd); };

  // Two more than allowed: one for the newline, one to notice that the file is too long.
  std::string text(kMaxFileBytes + 2, '\0');
  const absl::Cleanup wipe = [&text] { Wipe(text); };
  size_t size = 0;
  while (size < text.size()) {
    const ssize_t n = read(fd, text.data() + size, text.size() - size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed(errno);
    if (n == 0) break;
    size += static_cast<size_t>(n);
  }
  std::string_view content(text.data(), size);
  if (content.ends_with('\n')) content.remove_suffix(1);
  if (content.ends_with('\r')) content.remove_suffix(1);
  if (content.empty()) return absl::FailedPreconditionError(std::format("secret file '{}' is empty", path));
  if (content.size() > kMaxFileBytes) {
    return absl::FailedPreconditionError(std::format("secret file '{}' is longer than 64 KiB", path));
  }
  return Secret(std::string(content));
}

std::array<uint8_t, 32> HmacSha256(std::string_view key, std::string_view message) {
  // Never has a secret key: what gets one is a copy, wiped and freed here.
  static const EVP_MAC_CTX* const unkeyed = UnkeyedHmac();
  std::array<uint8_t, 32> mac;
  size_t size = 0;
  const std::unique_ptr<EVP_MAC_CTX, decltype(&EVP_MAC_CTX_free)> context(EVP_MAC_CTX_dup(unkeyed), EVP_MAC_CTX_free);
  if (!context || EVP_MAC_init(context.get(), Bytes(key), key.size(), nullptr) != 1 ||
      EVP_MAC_update(context.get(), Bytes(message), message.size()) != 1 ||
      EVP_MAC_final(context.get(), mac.data(), &size, mac.size()) != 1 || size != mac.size()) {
    Die("OpenSSL cannot compute HMAC-SHA256");
  }
  return mac;
}

std::array<uint8_t, 32> Sha256(std::string_view data) {
  static const EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  std::array<uint8_t, 32> digest;
  unsigned size = 0;
  if (EVP_Digest(Bytes(data), data.size(), digest.data(), &size, algorithm, nullptr) != 1 || size != digest.size()) {
    Die("OpenSSL cannot compute SHA256");
  }
  return digest;
}

void RandomBytes(std::span<uint8_t> out) { arc4random_buf(out.data(), out.size()); }

std::string RandomHex(size_t bytes) {
  std::string random(bytes, '\0');
  RandomBytes({reinterpret_cast<uint8_t*>(random.data()), random.size()});
  return Hex(random);
}

}  // namespace leasehold
