#include <algorithm>
#include <string>

#include "common/identity/identity.h"
#include "common/status/error.h"

namespace leasehold {
namespace {

constexpr size_t kBytes = 16;
constexpr size_t kTimeBytes = 6;
constexpr size_t kDigits = 26;  // 130 bits for 128: the first digit is at most 7
constexpr std::string_view kCrockford = "0123456789abcdefghjkmnpqrstvwxyz";

}  // namespace

LeaseId LeaseId::Make(int64_t unix_ms, const uint8_t random[10]) {
  Bytes bytes;
  for (size_t i = 0; i < kTimeBytes; ++i) bytes[i] = static_cast<char>(unix_ms >> (8 * (kTimeBytes - 1 - i)) & 255);
  std::copy_n(random, kBytes - kTimeBytes, bytes.begin() + kTimeBytes);
  return LeaseId(bytes);
}

absl::StatusOr<LeaseId> LeaseId::Parse(std::string_view text) {
  const auto invalid = [&] {
    return InvalidField("lease", text, "26 of 0-9 and a-z without i, l, o and u, the first at most 7");
  };
  if (text.size() != kDigits || text.front() > '7') return invalid();
  Bytes bytes;
  auto next = bytes.begin();
  uint32_t bits = 0;
  int count = -2;  // the two leading bits of 130 carry nothing
  for (const char c : text) {
    const size_t value = kCrockford.find(c);
    if (value == std::string_view::npos) return invalid();
    bits = bits << 5 | static_cast<uint32_t>(value);
    count += 5;
    if (count < 8) continue;
    count -= 8;
    *next++ = static_cast<char>(bits >> count & 255);
  }
  return LeaseId(bytes);
}

absl::StatusOr<LeaseId> LeaseId::FromBytes(std::string_view sixteen_bytes) {
  if (sixteen_bytes.size() != kBytes) return InvalidField("lease", sixteen_bytes, "16 bytes");
  Bytes bytes;
  std::ranges::copy(sixteen_bytes, bytes.begin());
  return LeaseId(bytes);
}

int64_t LeaseId::unix_ms() const {
  int64_t ms = 0;
  for (size_t i = 0; i < kTimeBytes; ++i) ms = ms << 8 | static_cast<unsigned char>(bytes_[i]);
  return ms;
}

std::string LeaseId::str() const {
  std::string text(kDigits, '0');
  char* next = text.data();
  uint32_t bits = 0;
  int count = 2;
  for (const char c : bytes_) {
    bits = bits << 8 | static_cast<unsigned char>(c);
    for (count += 8; count >= 5; count -= 5) *next++ = kCrockford[bits >> (count - 5) & 31];
  }
  return text;
}

}  // namespace leasehold
