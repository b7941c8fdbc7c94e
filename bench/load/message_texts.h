// The texts of a serialized protobuf message where they are: for a load generator, which reads every answer and should
// not spend on it what the server under test could use.
#pragma once

#include <google/protobuf/io/coded_stream.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace leasehold::bench {

// The length-delimited fields with numbers below `kNumbers` (texts, bytes, messages; of a repeated one the last), by
// number; empty where there is none. They are parts of `message`. nullopt if it is malformed or has fields of other
// kinds than these, varints and 64-bit numbers.
template <size_t kNumbers>
std::optional<std::array<std::string_view, kNumbers>> TextsOf(std::string_view message) {
  std::array<std::string_view, kNumbers> texts;
  google::protobuf::io::CodedInputStream in(reinterpret_cast<const uint8_t*>(message.data()),
                                            static_cast<int>(message.size()));
  while (const uint32_t tag = in.ReadTag()) {
    uint32_t length = 0;
    uint64_t number = 0;
    switch (tag & 7) {
      case 0:
        if (!in.ReadVarint64(&number)) return std::nullopt;
        break;
      case 1:
        if (!in.ReadLittleEndian64(&number)) return std::nullopt;
        break;
      case 2: {
        if (!in.ReadVarint32(&length)) return std::nullopt;
        const auto begin = static_cast<size_t>(in.CurrentPosition());
        if (length > message.size() - begin) return std::nullopt;
        in.Skip(static_cast<int>(length));
        if (tag >> 3 < kNumbers) texts[tag >> 3] = message.substr(begin, length);
        break;
      }
      default:
        return std::nullopt;
    }
  }
  if (!in.ConsumedEntireMessage()) return std::nullopt;
  return texts;
}

}  // namespace leasehold::bench
