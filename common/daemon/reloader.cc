#include "common/daemon/reloader.h"

#include <format>
#include <utility>

#include "common/config/config.h"
#include "common/status/error.h"
#include "common/status/view.h"
#include "common/telemetry/log.h"

namespace leasehold {
namespace {

prometheus::Counter& Reloads(Metrics& metrics, const std::string& file, bool good) {
  return good ? metrics.Counter("leasehold_reloads_total",
                                "Files of policy, tokens and keys that changed and were taken", {{"file", file}})
              : metrics.Counter("leasehold_reload_failures_total",
                                "Changed files of policy, tokens and keys that could not be used; the old ones stay",
                                {{"file", file}});
}

absl::StatusOr<Secret> ReadText(const std::string& what, const std::string& path) {
  LH_ASSIGN_OR_RETURN(std::string text, ReadTextFile(what, path));
  return Secret(std::move(text));
}

absl::StatusOr<Secret> ReadSecret(const std::string& /*what*/, const std::string& path) { return ReadSecretFile(path); }

}  // namespace

absl::Status Reloader::Watch(std::string what, std::string path, Take take) {
  return Watch(std::move(what), std::move(path), &ReadText, std::move(take));
}

absl::Status Reloader::WatchSecret(std::string what, std::string path, Take take) {
  return Watch(std::move(what), std::move(path), &ReadSecret, std::move(take));
}

absl::Status Reloader::Watch(std::string what, std::string path, Read read, Take take) {
  LH_ASSIGN_OR_RETURN(const Secret text, read(what, path));
  if (const absl::Status taken = take(text.reveal()); !taken.ok()) {
    const absl::Status named(taken.code(), AbslView(std::format("{}: {}", path, StdView(taken.message()))));
    const auto detail = DetailOf(taken);
    return detail ? WithDetail(named, *detail) : named;
  }
  Reloads(metrics_, what, true);
  Reloads(metrics_, what, false);
  const Digest digest = Sha256(text.reveal());
  absl::MutexLock lock(&mu_);
  files_.push_back({std::move(what), std::move(path), read, std::move(take), digest, digest});
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
  const absl::StatusOr<Secret> text = file.read(file.what, file.path);
  const Digest seen = Sha256(text.ok() ? text->reveal() : StdView(text.status().message()));
  const bool stays = seen == std::exchange(file.seen, seen);
  if (!stays || seen == file.taken) return;
  file.taken = seen;
  const absl::Status taken = text.ok() ? file.take(text->reveal()) : text.status();
  Reloads(metrics_, file.what, taken.ok()).Increment();
  if (taken.ok()) {
    Log(Level::kInfo, "a changed file was taken up", {{"file", file.what}, {"path", file.path}});
  } else {
    Log(Level::kError, "a changed file cannot be used; what was read before stays",
        {{"file", file.what}, {"path", file.path}, {"error", StdView(taken.message())}});
  }
}

}  // namespace leasehold
