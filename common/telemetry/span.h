// Spans: of which pieces of work a trace consists, and how long each took. As long as nobody collects them, and in a
// trace that is not sampled, a Span is two comparisons.
//
//   const Span span("publish event", SpanKind::kProducer, {{"subject", subject}});
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/telemetry/trace.h"

namespace leasehold {

// OpenTelemetry's, by its numbers.
enum class SpanKind { kInternal = 1, kServer = 2, kClient = 3, kProducer = 4, kConsumer = 5 };

using SpanAttribute = std::pair<std::string_view, std::string_view>;

struct SpanRecord {
  std::string name{};
  SpanKind kind = SpanKind::kInternal;
  Trace trace{};        // whose `span` is this one
  uint64_t parent = 0;  // 0: the trace begins here
  absl::Time start{};
  absl::Time end{};
  bool failed = false;
  std::string error{};  // safe to show
  std::vector<std::pair<std::string, std::string>> attributes{};
};

class SpanCollector {
 public:
  virtual ~SpanCollector() = default;
  // Any thread; does not block.
  virtual void Take(SpanRecord span) = 0;
};

// Process-wide: spans go to `collector` from now on; null: nowhere. It outlives what makes spans.
void CollectSpansWith(SpanCollector* collector);
bool SpansAreCollected();
// One that was made by hand, for work that no thread stays with. Dropped if nobody collects.
void Collect(SpanRecord span);

// Work of this thread, from now to the end of the object's life. What the thread does meanwhile is its child. Names are
// few and constant; what varies goes into attributes. Never a secret.
class Span {
 public:
  explicit Span(std::string_view name, SpanKind kind = SpanKind::kInternal,
                std::initializer_list<SpanAttribute> attributes = {});
  ~Span();
  Span(const Span&) = delete;
  Span& operator=(const Span&) = delete;

  void Set(std::string_view name, std::string_view value);
  // How it went; the last word counts. Returns it.
  const absl::Status& Note(const absl::Status& status);

 private:
  std::optional<SpanRecord> record_;  // nullopt: nobody wants to know
  std::optional<TraceScope> scope_;
};

}  // namespace leasehold
