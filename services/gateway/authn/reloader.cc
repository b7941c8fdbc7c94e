#include "services/gateway/authn/reloader.h"

#include <format>
#include <utility>

#include "common/config/config.h"
#include "common/status/error.h"
#include "common/status/view.h"
#include "common/telemetry/log.h"

namespace leasehold::gateway {
namespace {

prometheus::Counter& Reloads(Metrics& metrics, const std::string& file, bool good) {
  return good ? metrics.Counter("leasehold_reloads_total",
                                "Files of policy, tokens and keys that changed and were taken", {{"file", file}})
              : metrics.Counter("leasehold_reload_failures_total",
                                "Changed files of policy, tokens and keys that could not be used; the old ones stay",
                                {{"file", file}});
}

}  // namespace

absl::Status Reloader::Watch(std::string what, std::string path, Take take) {
  LH_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(what, path));
  if (const absl::Status taken = take(text); !taken.ok()) {
    const absl::Status named(taken.code(), AbslView(std::format("{}: {}", path, StdView(taken.message()))));
    const auto detail = DetailOf(taken);
    return detail ? WithDetail(named, *detail) : named;
  }
  Reloads(metrics_, what, true);
  Reloads(metrics_, what, false);
  absl::MutexLock lock(&mu_);
  files_.push_back({std::move(what), std::move(path), std::move(take), text, text});
  return absl::OkStatus();
}

void Reloader::Start() {
  thread_.StartEvery(kPeriod, [this] { Look(); });
}

void Reloader::Look() {
  absl::MutexLock lock(&mu_);
  for (File& file : files_) LookAt(file);
}

void Reloader::LookAt(File& file) {
  const absl::StatusOr<std::string> text = ReadTextFile(file.what, file.path);
  std::string seen = text.ok() ? *text : std::string(text.status().message());
  const bool stays = seen == std::exchange(file.seen, seen);
  if (!stays || seen == file.taken) return;
  file.taken = std::move(seen);
  const absl::Status taken = text.ok() ? file.take(*text) : text.status();
  Reloads(metrics_, file.what, taken.ok()).Increment();
  if (taken.ok()) {
    Log(Level::kInfo, "a changed file was taken up", {{"file", file.what}, {"path", file.path}});
  } else {
    Log(Level::kError, "a changed file cannot be used; what was read before stays",
        {{"file", file.what}, {"path", file.path}, {"error", StdView(taken.message())}});
  }
}

}  // namespace leasehold::gateway
