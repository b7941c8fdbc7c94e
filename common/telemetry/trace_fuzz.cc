// What is a trace comes back the same from being written and read once more, whatever version it came in; its id is
// one.
#include <cstdint>
#include <string>

#include "absl/log/absl_check.h"
#include "common/telemetry/trace.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const leasehold::Trace trace = leasehold::ParseTraceparent(text);
  if (!trace) {
    ABSL_CHECK(leasehold::TraceId(trace).empty() && leasehold::ToTraceparent(trace).empty());
    return 0;
  }
  ABSL_CHECK_EQ(leasehold::TraceId(trace), text.substr(3, 32));
  const std::string written = leasehold::ToTraceparent(trace);
  ABSL_CHECK_EQ(written.size(), 55u);
  ABSL_CHECK(leasehold::ParseTraceparent(written) == trace) << written;
  return 0;
}
