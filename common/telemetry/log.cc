#include "common/telemetry/log.h"

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>

#include "absl/base/no_destructor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "common/telemetry/log_line.h"
#include "common/telemetry/trace.h"

namespace leasehold {
namespace {

// stderr is the process's own, and so is what is known of it here; never destroyed, so that late threads may log.
struct Sink {
  std::string component;
  LogFormat format = LogFormat::kJson;
  bool colours = false;
  std::atomic<Level> level = Level::kInfo;
  absl::Mutex write;  // keeps lines whole
};

Sink& TheSink() {
  static absl::NoDestructor<Sink> sink;
  return *sink;
}

bool OnTerminal() { return isatty(STDERR_FILENO) == 1; }

void Write(Level level, std::string_view message, std::initializer_list<LogField> fields) {
  Sink& sink = TheSink();
  const std::string trace_id = TraceId(CurrentTrace());
  const LogEvent event{.time = absl::Now(),
                       .level = level,
                       .component = sink.component,
                       .message = message,
                       .trace_id = trace_id,
                       .fields = {fields.begin(), fields.size()}};
  const std::string line = sink.format == LogFormat::kJson ? JsonLine(event) : TextLine(event, sink.colours);
  std::string_view rest = line;
  absl::MutexLock lock(&sink.write);
  while (!rest.empty()) {
    const ssize_t n = write(STDERR_FILENO, rest.data(), rest.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return;  // nobody to tell
    rest.remove_prefix(static_cast<size_t>(n));
  }
}

}  // namespace

std::optional<Level> ParseLevel(std::string_view text) {
  if (text == "debug") return Level::kDebug;
  if (text == "info") return Level::kInfo;
  if (text == "warning") return Level::kWarning;
  if (text == "error") return Level::kError;
  return std::nullopt;
}

std::string_view NameOf(Level level) {
  switch (level) {
    case Level::kDebug:
      return "debug";
    case Level::kInfo:
      return "info";
    case Level::kWarning:
      return "warning";
    case Level::kError:
      return "error";
  }
  return "error";
}

std::optional<LogFormat> ParseLogFormat(std::string_view text) {
  if (text == "json") return LogFormat::kJson;
  if (text == "text") return LogFormat::kText;
  return std::nullopt;
}

LogFormat DefaultLogFormat() { return OnTerminal() ? LogFormat::kText : LogFormat::kJson; }

void ConfigureLog(std::string component, Level level, LogFormat format) {
  Sink& sink = TheSink();
  sink.component = std::move(component);
  sink.format = format;
  sink.colours = OnTerminal() && std::getenv("NO_COLOR") == nullptr;
  sink.level = level;
}

void SetLogLevel(Level level) { TheSink().level = level; }

Level CurrentLogLevel() { return TheSink().level.load(std::memory_order_relaxed); }

bool LogEnabled(Level level) { return level >= CurrentLogLevel(); }

void ChangeLogLevel(Level level) {
  const Level before = TheSink().level.exchange(level);
  Write(Level::kInfo, "log level changed", {{"from", NameOf(before)}, {"to", NameOf(level)}});
}

void Log(Level level, std::string_view message, std::initializer_list<LogField> fields) {
  if (LogEnabled(level)) Write(level, message, fields);
}

}  // namespace leasehold
