// A line of the audit trail as it is read back, and a text of a caller's as it is written: what is written is read as
// it was meant, whatever it holds.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "common/status/error.h"
#include "services/gateway/audit/line.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace leasehold;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)gateway::ParseAuditLine(text);

  std::string line;
  gateway::AppendAuditLine(line, absl::UnixEpoch(),
                           {.action = v1::AUDIT_ACTION_CALL,
                            .outcome = v1::REASON_NOT_PERMITTED,
                            .principal = text,
                            .holder = text,
                            .tenant = text,
                            .service = text,
                            .lease = text,
                            .subject = text,
                            .detail = text});
  if (line.find('\n') != line.size() - 1) std::abort();  // one event, one line
  const auto event = gateway::ParseAuditLine(line);
  if (!event.ok()) std::abort();
  if (event->action() != v1::AUDIT_ACTION_CALL || event->outcome() != v1::REASON_NOT_PERMITTED) std::abort();
  return 0;
}
