#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "services/gateway/pgwire/startup.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace leasehold::gateway::pgwire;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const StartupDecoded whole = DecodeStartup(bytes);
  if (whole.answer == Answer::kDone && whole.consumed > size) std::abort();
  // More bytes never turn a refusal into anything else, and a packet decodes no matter how it was cut.
  for (size_t cut = 0; cut < size && cut < 64; ++cut) {
    const StartupDecoded part = DecodeStartup(bytes.substr(0, cut));
    if (part.answer == Answer::kStop && whole.answer != Answer::kStop) std::abort();
    if (part.answer == Answer::kDone && whole.answer != Answer::kDone) std::abort();
  }
  if (const auto options = ParseOptions(bytes)) {
    for (const auto& [name, value] : *options) {
      if (name.empty() || name.size() + value.size() > size) std::abort();
    }
  }
  return 0;
}
