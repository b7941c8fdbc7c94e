#include "common/secret/secret.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <algorithm>
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

using OwnedDigestContext = std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)>;

// SHA-256 of what is added, in the one context that a thread has: making one takes longer than hashing a short text.
class Hashing {
 public:
  Hashing() { Begin(); }
  void Begin() {
    static const EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
    if (algorithm == nullptr || EVP_DigestInit_ex2(context_, algorithm, nullptr) != 1) Fail();
  }
  void Add(const uint8_t* data, size_t size) {
    if (EVP_DigestUpdate(context_, data, size) != 1) Fail();
  }
  std::array<uint8_t, 32> End() {
    std::array<uint8_t, 32> digest;
    unsigned size = 0;
    if (EVP_DigestFinal_ex(context_, digest.data(), &size) != 1 || size != digest.size()) Fail();
    return digest;
  }

 private:
  [[noreturn]] static void Fail() { Die("OpenSSL cannot compute SHA256"); }
  static EVP_MD_CTX* OfThread() {
    thread_local const OwnedDigestContext context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
    if (!context) Fail();
    return context.get();
  }

  EVP_MD_CTX* const context_ = OfThread();
};

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
  // By RFC 2104: OpenSSL's own makes a dozen objects for each message.
  constexpr size_t kBlock = 64;
  constexpr uint8_t kInner = 0x36;
  constexpr uint8_t kOuter = 0x5c;
  std::array<uint8_t, kBlock> padded{};
  const absl::Cleanup wipe = [&padded] { OPENSSL_cleanse(padded.data(), padded.size()); };
  if (key.size() > padded.size()) {
    std::ranges::copy(Sha256(key), padded.begin());
  } else {
    std::ranges::copy(key, padded.begin());
  }
  Hashing hashing;
  for (uint8_t& byte : padded) byte ^= kInner;
  hashing.Add(padded.data(), padded.size());
  hashing.Add(Bytes(message), message.size());
  const std::array<uint8_t, 32> inner = hashing.End();
  hashing.Begin();
  for (uint8_t& byte : padded) byte ^= kInner ^ kOuter;
  hashing.Add(padded.data(), padded.size());
  hashing.Add(inner.data(), inner.size());
  const std::array<uint8_t, 32> mac = hashing.End();
  hashing.Begin();  // leaves nothing of it behind: it may be a password
  return mac;
}

std::array<uint8_t, 32> Sha256(std::string_view data) {
  Hashing hashing;
  hashing.Add(Bytes(data), data.size());
  return hashing.End();
}

void RandomBytes(std::span<uint8_t> out) { arc4random_buf(out.data(), out.size()); }

std::string RandomHex(size_t bytes) {
  std::string random(bytes, '\0');
  RandomBytes({reinterpret_cast<uint8_t*>(random.data()), random.size()});
  return Hex(random);
}

}  // namespace leasehold
