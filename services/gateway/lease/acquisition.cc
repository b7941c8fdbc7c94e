#include "services/gateway/lease/acquisition.h"

#include <format>
#include <utility>

#include "common/status/error.h"

namespace leasehold::gateway {

std::shared_ptr<Acquisition> Acquisition::Start(const Parts& parts, LeaseTerms terms, Done done) {
  auto acquisition = std::shared_ptr<Acquisition>(new Acquisition(parts, std::move(terms), std::move(done)));
  acquisition->Run();
  return acquisition;
}

Acquisition::~Acquisition() { DropLater(std::move(follow_)); }

bool Acquisition::answered() const {
  absl::MutexLock lock(&mu_);
  return !done_;
}

void Acquisition::Run() {
  auto earlier = parts_.issuer.FindIssued(terms_);
  if (!earlier.ok()) return TakeDone()(earlier.status());
  if (*earlier) return TakeDone()(**std::move(earlier));
  if (!terms_.connection.empty()) return TakeDone()(parts_.issuer.Issue(terms_, std::nullopt, ""));
  const auto on_view = [self = shared_from_this()](absl::StatusOr<TenantViewPtr> view) {
    self->OnView(std::move(view));
  };
  if (terms_.tenant) {
    parts_.directory.Lookup(
        *terms_.tenant, [this](const TenantView& view) { return view.Usable(terms_.service).ok(); }, on_view);
    return;
  }
  parts_.directory.LookupDomain(
      terms_.domain, [self = shared_from_this(), on_view](absl::StatusOr<TenantViewPtr> view) {
        if (!view.ok() || !self->MayWait((*view)->Usable(self->terms_.service))) return on_view(std::move(view));
        // Following begins with what is cached; this brings the cache up to date first.
        self->parts_.directory.Lookup((*view)->id, [](const TenantView&) { return false; }, on_view);
      });
}

bool Acquisition::MayWait(const absl::Status& usable) const {
  return ReasonOf(usable) == v1::REASON_TENANT_NOT_READY && terms_.wait_ready > absl::ZeroDuration();
}

void Acquisition::OnView(absl::StatusOr<TenantViewPtr> view) {
  absl::Status usable = view.ok() ? (*view)->Usable(terms_.service) : view.status();
  if (usable.ok()) return Issue(*view);
  if (MayWait(usable)) return Wait((*view)->id);
  Abandon(usable);
}

void Acquisition::Wait(const TenantId& tenant) {
  const std::weak_ptr<Acquisition> weak = weak_from_this();
  parts_.timer.After(terms_.wait_ready, [weak] {
    if (auto self = weak.lock()) self->OnDeadline();
  });
  auto follow = parts_.directory.Follow(tenant, [weak](const absl::StatusOr<TenantViewPtr>& view) {
    if (auto self = weak.lock()) self->OnFollowed(view);
  });
  {
    absl::MutexLock lock(&mu_);
    if (done_) follow_ = std::exchange(follow, nullptr);
  }
  DropLater(std::move(follow));  // it has called back already, and that was the answer
}

void Acquisition::OnFollowed(const absl::StatusOr<TenantViewPtr>& view) {
  const absl::Status usable = view.ok() ? (*view)->Usable(terms_.service) : view.status();
  if (usable.ok()) return Issue(*view);
  const Reason reason = ReasonOf(usable);
  if (reason != v1::REASON_TENANT_NOT_READY && reason != v1::REASON_REGISTRY_UNAVAILABLE) return Abandon(usable);
  absl::MutexLock lock(&mu_);
  waiting_for_ = ClientText(usable);
}

void Acquisition::OnDeadline() {
  std::string waiting_for;
  {
    absl::MutexLock lock(&mu_);
    waiting_for = waiting_for_;
  }
  Abandon(Error(v1::REASON_DEADLINE_EXCEEDED,
                std::format("not ready within {}: {}", absl::FormatDuration(terms_.wait_ready), waiting_for)));
}

void Acquisition::Issue(const TenantViewPtr& view) {
  if (Done done = TakeDone()) {
    done(parts_.issuer.Issue(terms_, view->id, view->services.at(terms_.service.str()).database_id));
  }
}

void Acquisition::Abandon(const absl::Status& why) {
  if (Done done = TakeDone()) done(why);
}

Acquisition::Done Acquisition::TakeDone() {
  TenantDirectory::Handle follow;
  Done done;
  {
    absl::MutexLock lock(&mu_);
    follow = std::exchange(follow_, nullptr);
    done = std::exchange(done_, nullptr);
  }
  DropLater(std::move(follow));
  return done;
}

void Acquisition::DropLater(TenantDirectory::Handle follow) {
  if (follow) parts_.timer.At(absl::InfinitePast(), [follow = std::move(follow)] {});
}

}  // namespace leasehold::gateway
