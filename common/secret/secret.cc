#include "common/secret/secret.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <format>
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
  std::array<uint8_t, 32> mac;
  size_t size = 0;
  if (EVP_Q_mac(nullptr, "HMAC", nullptr, "SHA256", nullptr, Data(key), key.size(),
                reinterpret_cast<const unsigned char*>(Data(message)), message.size(), mac.data(), mac.size(),
                &size) == nullptr ||
      size != mac.size()) {
    std::fputs("OpenSSL cannot compute HMAC-SHA256\n", stderr);
    std::abort();
  }
  return mac;
}

std::array<uint8_t, 32> Sha256(std::string_view data) {
  std::array<uint8_t, 32> digest;
  size_t size = 0;
  if (EVP_Q_digest(nullptr, "SHA256", nullptr, Data(data), data.size(), digest.data(), &size) != 1 ||
      size != digest.size()) {
    std::fputs("OpenSSL cannot compute SHA256\n", stderr);
    std::abort();
  }
  return digest;
}

void RandomBytes(std::span<uint8_t> out) {
  if (!out.empty() && RAND_bytes(out.data(), static_cast<int>(out.size())) != 1) {
    std::fputs("OpenSSL has no random bytes\n", stderr);
    std::abort();
  }
}

std::string RandomHex(size_t bytes) {
  std::string random(bytes, '\0');
  RandomBytes({reinterpret_cast<uint8_t*>(random.data()), random.size()});
  return Hex(random);
}

}  // namespace leasehold
