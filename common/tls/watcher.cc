#include "common/tls/watcher.h"

#include <utility>

#include "common/status/error.h"
#include "common/status/view.h"
#include "common/telemetry/log.h"

namespace leasehold::tls {
namespace {

double UnixSeconds(absl::Time time) { return static_cast<double>(absl::ToUnixSeconds(time)); }

}  // namespace

absl::StatusOr<std::shared_ptr<const LiveCredentials>> Watcher::Watch(const std::string& use, Options options) {
  LH_ASSIGN_OR_RETURN(auto opened, LiveCredentials::Open(std::move(options), clock_.Now()));
  Watched watched{
      .credentials = std::move(opened),
      .expiry =
          &metrics_.Gauge("leasehold_certificate_expiry_timestamp_seconds",
                          "When the certificate in use ends; where only CAs are, the last of them", {{"use", use}}),
      .failures = &metrics_.Counter("leasehold_certificate_reload_failures_total",
                                    "Changed certificates that could not be used; the old ones stay", {{"use", use}})};
  watched.expiry->Set(UnixSeconds(watched.credentials->Get()->expiry()));
  std::shared_ptr<const LiveCredentials> live = watched.credentials;
  absl::MutexLock lock(&mu_);
  watched_.insert_or_assign(use, std::move(watched));
  return live;
}

void Watcher::Start() {
  thread_.StartEvery(kPeriod, [this] { Look(); });
}

void Watcher::Look() {
  absl::MutexLock lock(&mu_);
  for (auto& [use, watched] : watched_) LookAt(use, watched);
}

void Watcher::LookAt(const std::string& use, Watched& watched) {
  const std::optional<absl::Status> news = watched.credentials->Look(clock_.Now());
  if (!news) return;
  if (!news->ok()) {
    watched.failures->Increment();
    Log(Level::kError, "changed certificates cannot be used; the old ones stay",
        {{"use", use}, {"error", StdView(news->message())}});
    return;
  }
  const absl::Time expiry = watched.credentials->Get()->expiry();
  watched.expiry->Set(UnixSeconds(expiry));
  Log(Level::kInfo, "certificates were renewed", {{"use", use}, {"expiry", absl::FormatTime(expiry)}});
}

}  // namespace leasehold::tls
