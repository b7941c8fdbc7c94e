// W3C Trace Context, level 1 (https://www.w3.org/TR/trace-context-1): which trace some work belongs to, on whatever
// machine it is done (docs/tracing.md).
//
// The trace of the work that a thread is at is kept with the thread: what it logs, publishes and asks for bears the id
// without being told. Whoever hands work to another thread hands the trace over, as Executor does.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace leasehold {

// The header in gRPC's metadata and in NATS' messages.
inline constexpr std::string_view kTraceparent = "traceparent";

struct Trace {
  bool operator==(const Trace&) const = default;
  // False: work that nobody asked for.
  explicit operator bool() const { return (high | low) != 0; }

  uint64_t high = 0;  // the trace id's halves
  uint64_t low = 0;
  uint64_t span = 0;     // the work that asks for this work: traceparent's parent-id
  bool sampled = false;  // somebody records the spans
};

// Reads 56 bytes at most. No trace for anything that is not version 00 to fe with ids that are not all zeros.
Trace ParseTraceparent(std::string_view text);

// With random ids.
Trace NewTrace(bool sampled);
// The same of work that begins here: sampled as IsSampled() says.
Trace BeginTrace();
// Whether a trace that begins here is to have spans. It goes by the id, so all daemons of one mind agree.
bool IsSampled(const Trace& trace);
// Of a hundred traces that begin here; 0, until somebody says otherwise, is none. Any time.
void SetSampling(int percent);

uint64_t NewSpanId();

// 32 lower-case hex digits; empty for no trace.
std::string TraceId(const Trace& trace);
// In version 00; empty for no trace.
std::string ToTraceparent(const Trace& trace);

// Of what this thread is at.
const Trace& CurrentTrace();

// While it lives, the thread is at work for `trace`, also if that is none. Scopes end in the reverse order.
class TraceScope {
 public:
  explicit TraceScope(const Trace& trace);
  ~TraceScope();
  TraceScope(const TraceScope&) = delete;
  TraceScope& operator=(const TraceScope&) = delete;

 private:
  const Trace before_;
};

}  // namespace leasehold
