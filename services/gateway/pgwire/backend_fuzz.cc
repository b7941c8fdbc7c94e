// What a server says, or who is taken for one: headers, and the bodies that the gateway looks into.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "services/gateway/pgwire/encode.h"
#include "services/gateway/pgwire/error_fields.h"
#include "services/gateway/pgwire/frame.h"

namespace {

using namespace leasehold::gateway::pgwire;

void Require(bool holds) {
  if (!holds) std::abort();
}

void CheckError(std::string_view body) {
  const ErrorFields fields = ReadErrorFields(body);
  for (const std::string& field : {fields.code, fields.message, fields.detail, fields.hint}) {
    Require(field.empty() || body.contains(field));
  }
  if (IsStalePlan(body)) Require(body.contains("0A000"));
  if (IsFatal(body)) Require(body.contains("FATAL") || body.contains("PANIC"));
  // As it reaches a client in the gateway's own words.
  std::string message;
  ErrorResponse(message, Severity::kError, fields);
  const ErrorFields again = ReadErrorFields(std::string_view(message).substr(kHeaderSize));
  Require(again.code == fields.code && again.message == fields.message && again.detail == fields.detail &&
          again.hint == fields.hint && !IsFatal(std::string_view(message).substr(kHeaderSize)));
}

// A DataRow, as settings are read back from it.
void CheckRow(std::string_view body) {
  BodyReader reader(body);
  size_t bytes = 0;
  for (uint16_t left = reader.U16(); left > 0 && reader.ok(); --left) {
    const uint32_t size = reader.U32();
    if (size != 0xffffffff) bytes += reader.Bytes(size).size();
  }
  Require(bytes <= body.size());
  if (!reader.ok()) Require(reader.rest().empty());
}

void CheckParameter(std::string_view body) {
  BodyReader reader(body);
  const std::string_view name = reader.CString();
  const std::string_view value = reader.CString();
  if (reader.ok()) Require(name.size() + value.size() + 2 <= body.size());
  if (!reader.ok()) Require(value.empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  Frame frame;
  while (ReadHeader(bytes, kLargestBody, frame) == Answer::kDone) {
    Require(frame.size >= kHeaderSize && frame.size <= size_t{kLargestBody} + 1);
    const std::string_view body = bytes.substr(kHeaderSize, frame.size - kHeaderSize);
    if (frame.type == 'E' || frame.type == 'N') CheckError(body);
    if (frame.type == 'D') CheckRow(body);
    if (frame.type == 'S') CheckParameter(body);
    if (frame.size > bytes.size()) break;
    if (frame.type == 'A' && frame.size >= kHeaderSize + 4) {
      std::string notification;
      NotificationResponse(notification, ReadU32(body.data()), body.substr(4));
      Require(notification == bytes.substr(0, frame.size));
    }
    bytes.remove_prefix(frame.size);
  }
  return 0;
}
