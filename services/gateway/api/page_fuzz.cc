// Page tokens, which come back from callers.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "common/status/error.h"
#include "services/gateway/api/page.h"
#include "services/gateway/api/timed_position.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace leasehold;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto position = gateway::PositionOf("tenants", text);
  if (!position.ok() && ReasonOf(position.status()) != v1::REASON_BAD_PAGE_TOKEN) std::abort();
  if (position.ok() && !text.empty() && gateway::PageToken("tenants", *position) != text) std::abort();
  if (gateway::PositionOf("leases", gateway::PageToken("tenants", text)).ok()) std::abort();
  if (size > 0 && size < 300 && gateway::PositionOf("tenants", gateway::PageToken("tenants", text)).value() != text) {
    std::abort();
  }
  const auto timed = gateway::TimedPosition::Parse(text);
  if (!timed.ok() && ReasonOf(timed.status()) != v1::REASON_BAD_PAGE_TOKEN) std::abort();
  return 0;
}
