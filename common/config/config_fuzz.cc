// A configuration file, which may be half written or somebody's mistake. What is not taken names the field; what is
// taken says the same once it is written down and read again.
#include <google/protobuf/util/message_differencer.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

#include "common/config/config.h"
#include "common/status/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace leasehold;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const Environment none = [](const char*) { return std::nullopt; };
  const auto config = ParseConfig(text, "/etc/leasehold", none);
  if (!config.ok()) {
    if (ReasonOf(config.status()) != v1::REASON_INVALID_FIELD) std::abort();
    return 0;
  }
  // Paths may be in any encoding; what is written down is UTF-8.
  if (!std::ranges::all_of(text, [](unsigned char c) { return c < 0x80; })) return 0;
  const auto again = ParseConfig(ToYaml(*config), "/", none);
  if (!again.ok() || !google::protobuf::util::MessageDifferencer::Equals(*config, *again)) std::abort();
  return 0;
}
