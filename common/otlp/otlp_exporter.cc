#include "common/otlp/otlp_exporter.h"

#include <httplib.h>

#include <algorithm>
#include <format>
#include <iterator>
#include <utility>

#include "common/clock/clock.h"
#include "common/status/error.h"
#include "common/telemetry/log.h"

namespace leasehold {
namespace {

// Nothing in it is of use but that it came.
constexpr size_t kMostOfAnAnswer = 64 * 1024;

constexpr char kQueueFull[] = "queue_full";
constexpr char kRefused[] = "refused";

prometheus::Counter& Exported(Metrics& metrics) {
  return metrics.Counter("leasehold_spans_exported_total", "Spans that a collector has taken");
}

prometheus::Counter& Dropped(Metrics& metrics, const std::string& reason) {
  return metrics.Counter("leasehold_spans_dropped_total", "Spans that reached no collector, by reason",
                         {{"reason", reason}});
}

// OTLP's word on which requests may be repeated.
bool MayBeRepeated(int http_status) {
  return http_status == 429 || http_status == 502 || http_status == 503 || http_status == 504;
}

}  // namespace

OtlpExporter::OtlpExporter(Options options, Metrics& metrics)
    : options_(std::move(options)),
      path_(options_.endpoint.path + "/v1/traces"),
      exported_(Exported(metrics)),
      overflowed_(Dropped(metrics, kQueueFull)),
      refused_(Dropped(metrics, kRefused)),
      headers_(options_.headers) {
  thread_.Start([this] { Run(); });
}

OtlpExporter::~OtlpExporter() {
  thread_.Stop();
  if (well_ != false) Drain();
  const absl::MutexLock lock(&mu_);
  refused_.Increment(static_cast<double>(batch_.size() + queue_.size()));
}

void OtlpExporter::Take(SpanRecord span) {
  bool full = false;
  {
    const absl::MutexLock lock(&mu_);
    if (queue_.size() >= options_.queue) {
      overflowed_.Increment();
      return;
    }
    queue_.push_back(std::move(span));
    full = queue_.size() == options_.batch;
  }
  if (full) thread_.Wake();
}

void OtlpExporter::UseHeaders(OtlpHeaders headers) {
  const absl::MutexLock lock(&mu_);
  headers_ = std::move(headers);
}

void OtlpExporter::Run() {
  Backoff backoff(options_.pause, options_.longest_pause);
  int failures = 0;
  while (!thread_.Stopping()) {
    const bool drained = Drain();
    failures = drained ? 0 : failures + 1;
    if (drained) {
      thread_.Rest(options_.pause, WorkerThread::Until::kWoken);
    } else {
      thread_.Rest(backoff.Wait(failures), WorkerThread::Until::kStopping);
    }
  }
}

bool OtlpExporter::Fill() {
  const absl::MutexLock lock(&mu_);
  const size_t more = std::min(options_.batch - batch_.size(), queue_.size());
  const auto end = queue_.begin() + static_cast<std::ptrdiff_t>(more);
  std::move(queue_.begin(), end, std::back_inserter(batch_));
  queue_.erase(queue_.begin(), end);
  return !batch_.empty();
}

bool OtlpExporter::Drain() {
  while (Fill()) {
    std::string why;
    const Answer answer = Send(OtlpJson(options_.source, batch_), why);
    Note(answer, why);
    if (answer == Answer::kLater) return false;
    (answer == Answer::kTaken ? exported_ : refused_).Increment(static_cast<double>(batch_.size()));
    batch_.clear();
  }
  return true;
}

OtlpExporter::Answer OtlpExporter::Send(const std::string& body, std::string& why) {
  httplib::Client client(options_.endpoint.origin);
  const auto patience = absl::ToChronoMilliseconds(options_.patience);
  client.set_connection_timeout(patience);
  client.set_read_timeout(patience);
  client.set_write_timeout(patience);
  httplib::Request request;
  request.method = "POST";
  request.path = path_;
  request.headers = {{"Content-Type", "application/json"}};
  {
    const absl::MutexLock lock(&mu_);
    for (const auto& [name, value] : headers_) request.headers.emplace(name, value.reveal());
  }
  request.body = body;
  int status = 0;
  size_t read = 0;
  request.response_handler = [&status](const httplib::Response& response) {
    status = response.status;
    return true;
  };
  request.content_receiver = [&read](const char*, size_t size, uint64_t, uint64_t) {
    read += size;
    return read <= kMostOfAnAnswer;
  };
  const httplib::Result result = client.send(request);
  if (status == 0) {
    why = httplib::to_string(result.error());
    return Answer::kLater;
  }
  if (status >= 200 && status < 300) return Answer::kTaken;
  why = std::format("HTTP status {}", status);
  return MayBeRepeated(status) ? Answer::kLater : Answer::kNever;
}

void OtlpExporter::Note(Answer answer, const std::string& why) {
  const bool well = answer == Answer::kTaken;
  if (std::exchange(well_, well) == well) return;
  const std::string endpoint = options_.endpoint.origin + path_;
  if (well) {
    Log(Level::kInfo, "spans are exported", {{"endpoint", endpoint}});
  } else {
    Log(Level::kWarning,
        answer == Answer::kLater ? "spans cannot be exported now; they wait" : "the collector refuses spans",
        {{"endpoint", endpoint}, {"error", why}});
  }
}

absl::StatusOr<std::unique_ptr<SpanExport>> SpanExport::Start(const v1::TracingConfig& config, SpanSource source,
                                                              const Environment& environment, Metrics& metrics) {
  // There from the start, so that the first loss is seen.
  Exported(metrics);
  Dropped(metrics, kQueueFull);
  Dropped(metrics, kRefused);
  if (config.otlp_endpoint().empty()) return nullptr;
  LH_ASSIGN_OR_RETURN(HttpUrl endpoint, ParseHttpUrl("tracing.otlp_endpoint", config.otlp_endpoint()));
  LH_ASSIGN_OR_RETURN(OtlpHeaders headers, ReadOtlpHeaders(environment));
  std::unique_ptr<SpanExport> started(new SpanExport(
      {.endpoint = std::move(endpoint), .headers = std::move(headers), .source = std::move(source)}, metrics));
  LH_RETURN_IF_ERROR(started->WatchHeaders(environment));
  CollectSpansWith(&started->exporter_);
  SetSampling(config.sample_percent());
  return started;
}

absl::Status SpanExport::WatchHeaders(const Environment& environment) {
  const std::string path = OtlpHeadersFile(environment);
  if (path.empty()) return absl::OkStatus();
  LH_ASSIGN_OR_RETURN(const OtlpHeaders own, ParseOtlpHeaderList(environment(kOtlpHeaders).value_or("")));
  LH_RETURN_IF_ERROR(headers_.WatchSecret("OTLP headers", path, [this, own](std::string_view text) -> absl::Status {
    LH_ASSIGN_OR_RETURN(OtlpHeaders headers, ParseOtlpHeaderLines(text));
    exporter_.UseHeaders(Merged(std::move(headers), own));
    return absl::OkStatus();
  }));
  headers_.Start();
  return absl::OkStatus();
}

SpanExport::~SpanExport() {
  SetSampling(0);
  CollectSpansWith(nullptr);
}

}  // namespace leasehold
