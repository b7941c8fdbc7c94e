#include "services/gateway/pgwire/frame.h"

namespace leasehold::gateway::pgwire {

Answer ReadClientHeader(std::string_view bytes, Frame& frame) {
  if (bytes.empty()) return Answer::kNeedMore;
  uint32_t largest = 0;
  switch (bytes[0]) {
    case 'Q':  // Query
    case 'P':  // Parse
    case 'B':  // Bind
    case 'F':  // FunctionCall
    case 'd':  // CopyData
      largest = kLargestBody;
      break;
    case 'D':  // Describe
    case 'E':  // Execute
    case 'C':  // Close
    case 'S':  // Sync
    case 'H':  // Flush
    case 'X':  // Terminate
    case 'c':  // CopyDone
    case 'f':  // CopyFail
      largest = kSmallBody;
      break;
    default:
      return Answer::kStop;
  }
  return ReadHeader(bytes, largest, frame);
}

bool BodyReader::Has(size_t count) {
  if (ok_ && rest_.size() >= count) return true;
  ok_ = false;
  rest_ = {};
  return false;
}

std::string_view BodyReader::CString() {
  const size_t end = rest_.find('\0');
  if (end == std::string_view::npos) {
    Has(rest_.size() + 1);
    return {};
  }
  const std::string_view text = rest_.substr(0, end);
  rest_.remove_prefix(end + 1);
  return text;
}

uint16_t BodyReader::U16() {
  if (!Has(2)) return 0;
  const uint16_t value = ReadU16(rest_.data());
  rest_.remove_prefix(2);
  return value;
}

uint32_t BodyReader::U32() {
  if (!Has(4)) return 0;
  const uint32_t value = ReadU32(rest_.data());
  rest_.remove_prefix(4);
  return value;
}

std::string_view BodyReader::Bytes(size_t count) {
  if (!Has(count)) return {};
  const std::string_view bytes = rest_.substr(0, count);
  rest_.remove_prefix(count);
  return bytes;
}

}  // namespace leasehold::gateway::pgwire
