// Carries spans to an OpenTelemetry collector, over HTTP and in JSON (OTLP/HTTP, docs/tracing.md). What makes spans
// never waits for it: spans wait in a bounded queue, and are dropped and counted when that is full.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/config/config.h"
#include "common/daemon/reloader.h"
#include "common/executor/worker_thread.h"
#include "common/otlp/otlp_headers.h"
#include "common/otlp/otlp_json.h"
#include "common/telemetry/metrics.h"
#include "common/telemetry/span.h"
#include "leasehold/v1/config.pb.h"

namespace leasehold {

class OtlpExporter : public SpanCollector {
 public:
  struct Options {
    HttpUrl endpoint{};
    OtlpHeaders headers{};  // of each request
    SpanSource source{};
    size_t queue = 8192;
    size_t batch = 512;                                // spans of one request
    absl::Duration pause = absl::Seconds(1);           // between batches that are not full
    absl::Duration longest_pause = absl::Seconds(30);  // while the collector does not take them
    absl::Duration patience = absl::Seconds(2);        // for each step of a request
  };
  // `metrics` outlives it. Begins at once, on a thread of its own.
  OtlpExporter(Options options, Metrics& metrics);
  // Sends what it has, unless the collector did not take what came before.
  ~OtlpExporter() override;

  void Take(SpanRecord span) override ABSL_LOCKS_EXCLUDED(mu_);

  // From the next request on. Any thread.
  void UseHeaders(OtlpHeaders headers) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  enum class Answer { kTaken, kLater, kNever };

  void Run();
  // The next spans, those first that could not be sent.
  bool Fill() ABSL_LOCKS_EXCLUDED(mu_);
  Answer Send(const std::string& body, std::string& why) ABSL_LOCKS_EXCLUDED(mu_);
  // Sends what is there. False: it is tried again later.
  bool Drain();
  void Note(Answer answer, const std::string& why);

  const Options options_;
  const std::string path_;
  prometheus::Counter& exported_;
  prometheus::Counter& overflowed_;
  prometheus::Counter& refused_;

  absl::Mutex mu_;
  std::deque<SpanRecord> queue_ ABSL_GUARDED_BY(mu_);
  OtlpHeaders headers_ ABSL_GUARDED_BY(mu_);

  // The thread's own.
  std::vector<SpanRecord> batch_;
  std::optional<bool> well_;  // the collector takes what comes
  WorkerThread thread_;       // goes first
};

// Collects this process's spans as `config` says, for as long as the object lives: longer than what makes spans.
class SpanExport {
 public:
  // Null if `config` names no collector. INVALID_FIELD and FAILED_PRECONDITION for headers that cannot be used.
  static absl::StatusOr<std::unique_ptr<SpanExport>> Start(const v1::TracingConfig& config, SpanSource source,
                                                           const Environment& environment, Metrics& metrics);
  ~SpanExport();
  SpanExport(const SpanExport&) = delete;
  SpanExport& operator=(const SpanExport&) = delete;

 private:
  SpanExport(OtlpExporter::Options options, Metrics& metrics)
      : exporter_(std::move(options), metrics), headers_(metrics) {}
  absl::Status WatchHeaders(const Environment& environment);

  OtlpExporter exporter_;
  Reloader headers_;  // goes first
};

}  // namespace leasehold
