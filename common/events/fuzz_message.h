// A message out of a fuzzer's bytes, so that corpus files can be read: the subject on the first line, one header a
// line, an empty line, the payload.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/jetstream/jetstream.h"

namespace leasehold::events {

struct FuzzMessage {
  std::string subject;
  jetstream::Headers headers;
  std::string_view payload;
};

inline FuzzMessage ParseFuzzMessage(const uint8_t* data, size_t size) {
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  const auto take_line = [&rest] {
    const size_t end = rest.find('\n');
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    return line;
  };
  FuzzMessage message;
  message.subject = take_line();
  for (std::string_view line = take_line(); !line.empty(); line = take_line()) {
    const size_t colon = line.find(": ");
    if (colon != std::string_view::npos) message.headers.emplace(line.substr(0, colon), line.substr(colon + 2));
  }
  message.payload = rest;
  return message;
}

}  // namespace leasehold::events
