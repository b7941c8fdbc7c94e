#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "services/gateway/pgwire/error_fields.h"
#include "services/gateway/pgwire/extended.h"
#include "services/gateway/pgwire/frame.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace leasehold::gateway::pgwire;
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  Frame frame;
  while (ReadClientHeader(bytes, frame) == Answer::kDone) {
    if (frame.size < kHeaderSize) std::abort();
    if (frame.size > bytes.size()) break;
    const std::string_view body = bytes.substr(kHeaderSize, frame.size - kHeaderSize);
    if (const auto bind = ReadBind(body)) {
      for (size_t i = 0; i < bind->values.size(); ++i) static_cast<void>(bind->IsBinary(i));
      if (!ReadBindNames(body)) std::abort();
    }
    static_cast<void>(ReadParse(body));
    static_cast<void>(ReadTarget(body));
    static_cast<void>(ReadExecute(body));
    static_cast<void>(ReadErrorFields(body));
    bytes.remove_prefix(frame.size);
  }
  return 0;
}
