#include "services/cli/stack/keeper.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "common/clock/clock.h"
#include "common/status/view.h"

namespace leasehold::stack {

Keeper::Keeper(std::unique_ptr<Component> component, KeeperOptions options, OnChange on_change)
    : component_(std::move(component)), options_(options), on_change_(std::move(on_change)) {
  state_.name = component_->name();
  state_.address = component_->address();
  state_.state = "starting";
}

Keeper::~Keeper() {
  RequestStop();
  AwaitStop();
}

void Keeper::Start() {
  thread_ = std::thread([this] { Run(); });
}

std::optional<absl::Status> Keeper::started() const {
  absl::MutexLock lock(&mu_);
  return started_;
}

void Keeper::RequestStop() {
  stopping_ = true;
  absl::MutexLock lock(&mu_);
  stop_ = true;
}

void Keeper::AwaitStop() {
  if (thread_.joinable()) thread_.join();
}

ComponentState Keeper::state() const {
  absl::MutexLock lock(&mu_);
  return state_;
}

bool Keeper::WaitForStop(absl::Duration at_most) {
  absl::MutexLock lock(&mu_);
  return mu_.AwaitWithTimeout(absl::Condition(&stop_), at_most);
}

void Keeper::Publish(const std::string& state, const std::string& news) {
  {
    absl::MutexLock lock(&mu_);
    state_.state = state;
    const pid_t pid = component_->Running() ? component_->pid() : 0;
    if (pid != state_.pid) state_.up_since = pid == 0 ? absl::InfinitePast() : absl::Now();
    state_.pid = pid;
  }
  on_change_(news);
}

void Keeper::Run() {
  const absl::Time begin = absl::Now();
  const absl::Status first = component_->Start(stopping_);
  {
    absl::MutexLock lock(&mu_);
    started_ = first;
  }
  Publish(first.ok() ? "ready" : "ended",
          first.ok() ? absl::StrFormat("ready  %-22s %-22s %5d ms", component_->name(), component_->address(),
                                       absl::ToInt64Milliseconds(absl::Now() - begin))
                     : "");
  if (!first.ok()) return;

  Backoff backoff(options_.min_backoff, options_.max_backoff);
  absl::Time up_since = absl::Now();
  int attempt = 0;
  while (!WaitForStop(absl::Milliseconds(50))) {
    if (component_->Running()) continue;
    const std::string how = component_->HowItEnded();
    std::string news = absl::StrCat(component_->name(), " has ended", how.empty() ? "" : absl::StrCat(" (", how, ")"));
    if (!options_.restart) {
      Publish("ended", absl::StrCat(news, "; it is not started again (--no-restart)"));
      WaitForStop(absl::InfiniteDuration());
      break;
    }
    if (absl::Now() - up_since > options_.steady) attempt = 0;
    absl::Status again = absl::UnknownError("");
    while (!again.ok()) {
      const absl::Duration wait = backoff.Wait(++attempt);
      Publish("waiting", absl::StrFormat("%s; starting it again in %.1f s", news, absl::ToDoubleSeconds(wait)));
      if (WaitForStop(wait)) break;
      const absl::Time start = absl::Now();
      again = component_->Start(stopping_);
      if (again.ok()) {
        {
          absl::MutexLock lock(&mu_);
          ++state_.restarts;
        }
        Publish("ready", absl::StrFormat("%s is ready again after %d ms", component_->name(),
                                         absl::ToInt64Milliseconds(absl::Now() - start)));
      } else {
        news = absl::StrCat(component_->name(), " did not start: ", std::string(StdView(again.message())));
      }
    }
    up_since = absl::Now();
  }
  component_->Stop();
  Publish("stopped", "");
}

}  // namespace leasehold::stack
