#include "common/telemetry/span.h"

#include <atomic>

#include "absl/time/clock.h"
#include "common/status/error.h"

namespace leasehold {
namespace {

std::atomic<SpanCollector*> the_collector = nullptr;

}  // namespace

void CollectSpansWith(SpanCollector* collector) { the_collector = collector; }

bool SpansAreCollected() { return the_collector.load(std::memory_order_relaxed) != nullptr; }

void Collect(SpanRecord span) {
  if (SpanCollector* const collector = the_collector.load()) collector->Take(std::move(span));
}

Span::Span(std::string_view name, SpanKind kind, std::initializer_list<SpanAttribute> attributes) {
  const Trace& parent = CurrentTrace();
  if (!parent.sampled || !SpansAreCollected()) return;
  Trace own = parent;
  own.span = NewSpanId();
  record_.emplace(
      SpanRecord{.name = std::string(name), .kind = kind, .trace = own, .parent = parent.span, .start = absl::Now()});
  for (const auto& [key, value] : attributes) Set(key, value);
  scope_.emplace(own);
}

Span::~Span() {
  if (!record_) return;
  scope_.reset();
  record_->end = absl::Now();
  Collect(*std::move(record_));
}

void Span::Set(std::string_view name, std::string_view value) {
  if (record_) record_->attributes.emplace_back(name, value);
}

const absl::Status& Span::Note(const absl::Status& status) {
  if (record_) {
    record_->failed = !status.ok();
    record_->error = status.ok() ? "" : std::string(ClientText(status));
  }
  return status;
}

}  // namespace leasehold
