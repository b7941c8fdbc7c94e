// Frames of the PostgreSQL protocol, version 3: one type byte, a length that counts itself, a body. No I/O, no copies.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace leasehold::gateway::pgwire {

// What a decoder says of the bytes it was shown.
enum class Answer {
  kDone,      // understood
  kNeedMore,  // well-formed so far
  kStop,      // will never be right: hang up
};

inline uint16_t ReadU16(const char* at) {
  const auto* b = reinterpret_cast<const unsigned char*>(at);
  return static_cast<uint16_t>(b[0] << 8 | b[1]);
}
inline uint32_t ReadU32(const char* at) {
  const auto* b = reinterpret_cast<const unsigned char*>(at);
  return static_cast<uint32_t>(b[0]) << 24 | static_cast<uint32_t>(b[1]) << 16 | static_cast<uint32_t>(b[2]) << 8 |
         b[3];
}

inline constexpr size_t kHeaderSize = 5;
// PostgreSQL's PQ_LARGE_MESSAGE_LIMIT: MaxAllocSize - 1.
inline constexpr uint32_t kLargestBody = 0x3ffffffe;
// PostgreSQL's PQ_SMALL_MESSAGE_LIMIT, for what is short by nature.
inline constexpr uint32_t kSmallBody = 10'000;
// Before a client has proved who it is; PostgreSQL's PG_MAX_AUTH_TOKEN_LENGTH.
inline constexpr uint32_t kLargestAuthBody = 65'535;

struct Frame {
  char type = 0;
  size_t size = 0;  // with type byte and length
};

// The header at the start of `bytes`; stops at a length below 4 or above `largest_body`.
inline Answer ReadHeader(std::string_view bytes, uint32_t largest_body, Frame& frame) {
  if (bytes.size() < kHeaderSize) return Answer::kNeedMore;
  const uint32_t length = ReadU32(bytes.data() + 1);
  if (length < 4 || length > largest_body) return Answer::kStop;
  frame.type = bytes[0];
  frame.size = size_t{length} + 1;
  return Answer::kDone;
}

// A frame from a client after log-in: as ReadHeader, and stops at types that clients do not send.
Answer ReadClientHeader(std::string_view bytes, Frame& frame);

// Takes a body apart from the front. After a read past its end ok() is false and values are empty: check once, at the
// end.
class BodyReader {
 public:
  explicit BodyReader(std::string_view body) : rest_(body) {}

  std::string_view CString();  // up to and over the NUL
  uint16_t U16();
  uint32_t U32();
  std::string_view Bytes(size_t count);

  bool ok() const { return ok_; }
  std::string_view rest() const { return rest_; }

 private:
  bool Has(size_t count);

  std::string_view rest_;
  bool ok_ = true;
};

}  // namespace leasehold::gateway::pgwire
