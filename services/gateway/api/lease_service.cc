#include "services/gateway/api/lease_service.h"

#include <algorithm>
#include <format>
#include <utility>
#include <vector>

#include "common/config/config.h"
#include "common/identity/identity.h"
#include "common/status/error.h"
#include "common/telemetry/log.h"
#include "services/gateway/api/page.h"
#include "services/gateway/api/unary.h"
#include "services/gateway/caller/caller.h"
#include "services/gateway/lease/claims.h"
#include "services/gateway/lease/record.h"
#include "services/gateway/lease/terms.h"

namespace leasehold::gateway {
namespace {

constexpr std::string_view kHoldLease = "/leasehold.v1.LeaseService/HoldLease";
constexpr absl::Duration kHoldTtl = absl::Seconds(15);
constexpr int kDefaultPage = 100;
constexpr int kMaxPage = 1000;
constexpr std::string_view kList = "leases";
constexpr std::string_view kAcquires = "leasehold_lease_acquires_total";

absl::StatusOr<LeaseId> ParseId(const std::string& text) {
  auto id = LeaseId::Parse(text);
  if (!id.ok()) return WithField(id.status(), "id");
  return id;
}

absl::Status ShuttingDown() { return Error(v1::REASON_SHUTTING_DOWN, "this gateway is shutting down"); }

void LogLease(std::string_view event, const v1::Lease& lease) {
  Log(Level::kInfo, event,
      {{"lease", lease.id()},
       {lease.has_tenant() ? "tenant" : "connection", lease.has_tenant() ? lease.tenant() : lease.connection()},
       {"service", lease.service()},
       {"holder", lease.holder()}});
}

void Attribute(const grpc::CallbackServerContext& context, LeaseTerms& terms) {
  terms.principal = CallerOf(context).principal;
  terms.bounds = BoundsOf(context);
}

prometheus::Counter& QuotaRefusals(Metrics& metrics, const std::string& quota) {
  return metrics.Counter("leasehold_quota_refusals_total", "Leases and sessions refused for a quota of the policy",
                         {{"quota", quota}});
}

prometheus::Counter& AcquiresOf(Metrics& metrics, const char* outcome) {
  return metrics.Counter(std::string(kAcquires), "Leases asked for, by how it went", {{"outcome", outcome}});
}

}  // namespace

// Answers when the acquisition does; a caller that gives up abandons it.
class LeaseService::AcquireCall : public grpc::ServerUnaryReactor {
 public:
  // gRPC ends a call with its own reactor on the thread that brought it, one with a reactor of ours on another thread:
  // that takes more time than making a lease. So ours is for calls that wait.
  static grpc::ServerUnaryReactor* Begin(LeaseService& service, LeaseTerms terms, grpc::CallbackServerContext& context,
                                         v1::AcquireLeaseResponse& response) {
    auto call = std::make_unique<AcquireCall>(service, response);
    if (std::optional<grpc::Status> now = call->Start(std::move(terms))) {
      grpc::ServerUnaryReactor* reactor = context.DefaultReactor();
      reactor->Finish(*std::move(now));
      return reactor;
    }
    return call.release();  // deletes itself when gRPC is done with it
  }

  AcquireCall(LeaseService& service, v1::AcquireLeaseResponse& response) : service_(service), response_(response) {}

  void OnCancel() override { acquisition_->Abandon(absl::CancelledError("the caller gave up")); }
  void OnDone() override {
    service_.Untrack(*acquisition_);
    delete this;
  }

 private:
  // The answer if there is one already; else it comes by Finish().
  std::optional<grpc::Status> Start(LeaseTerms terms) {
    acquisition_ =
        Acquisition::Start(service_.acquisition_parts(), std::move(terms),
                           [this](absl::StatusOr<LeaseIssuer::Issued>&& issued) { Answer(std::move(issued)); });
    const bool waits = !acquisition_->answered();
    if (waits && !service_.Track(acquisition_)) acquisition_->Abandon(ShuttingDown());
    std::optional<grpc::Status> early;
    {
      absl::MutexLock lock(&mu_);
      started_ = true;
      early = std::move(early_);
    }
    if (early && waits) service_.Untrack(*acquisition_);
    return early;
  }

  void Answer(absl::StatusOr<LeaseIssuer::Issued>&& issued) {
    service_.OnAcquired(issued);
    if (issued.ok()) {
      *response_.mutable_lease() = std::move(issued->lease);
      *response_.mutable_credentials() = std::move(issued->credentials);
      if (issued->repeated) response_.mutable_lease()->set_sessions(service_.parts_.watchers.Sessions(issued->id));
    }
    grpc::Status status = ToGrpc(issued.status());
    {
      absl::MutexLock lock(&mu_);
      if (!started_) {
        early_ = std::move(status);
        return;
      }
    }
    Finish(std::move(status));
  }

  LeaseService& service_;
  v1::AcquireLeaseResponse& response_;
  std::shared_ptr<Acquisition> acquisition_;
  absl::Mutex mu_;
  bool started_ ABSL_GUARDED_BY(mu_) = false;
  std::optional<grpc::Status> early_ ABSL_GUARDED_BY(mu_);
};

LeaseService::LeaseService(const Parts& parts, const v1::LeasesConfig& config, Metrics& metrics)
    : parts_(parts),
      default_ttl_(ToDuration(config.default_ttl())),
      max_ttl_(ToDuration(config.max_ttl())),
      acquired_(AcquiresOf(metrics, "ok")),
      repeated_(AcquiresOf(metrics, "repeated")),
      refused_(AcquiresOf(metrics, "refused")),
      failed_(AcquiresOf(metrics, "failed")),
      principal_quota_(QuotaRefusals(metrics, "principal_leases")),
      tenant_quota_(QuotaRefusals(metrics, "tenant_leases")),
      revocations_(metrics.Counter("leasehold_lease_revocations_total", "Calls that revoked leases")) {}

void LeaseService::Shutdown() {
  std::vector<std::weak_ptr<Acquisition>> waiting;
  std::vector<std::shared_ptr<LeaseHold>> holds;
  {
    absl::MutexLock lock(&mu_);
    shutting_down_ = true;
    for (const auto& [_, acquisition] : waiting_) waiting.push_back(acquisition);
    for (const auto& [_, hold] : holds_) holds.push_back(hold);
  }
  for (const auto& hold : holds) hold->Close(ShuttingDown());
  for (const auto& weak : waiting) {
    if (const auto acquisition = weak.lock()) acquisition->Abandon(ShuttingDown());
  }
}

bool LeaseService::Track(const std::shared_ptr<Acquisition>& acquisition) {
  absl::MutexLock lock(&mu_);
  if (shutting_down_) return false;
  waiting_.emplace(acquisition.get(), acquisition);
  return true;
}

void LeaseService::Untrack(const Acquisition& acquisition) {
  absl::MutexLock lock(&mu_);
  waiting_.erase(&acquisition);
}

bool LeaseService::Track(const std::shared_ptr<LeaseHold>& hold) {
  absl::MutexLock lock(&mu_);
  if (shutting_down_) return false;
  holds_.emplace(hold.get(), hold);
  return true;
}

void LeaseService::OnAcquired(const absl::StatusOr<LeaseIssuer::Issued>& issued) {
  if (issued.ok()) {
    (issued->repeated ? repeated_ : acquired_).Increment();
    LogLease(issued->repeated ? "lease given out again" : "lease acquired", issued->lease);
    return;
  }
  const absl::StatusCode code = issued.status().code();
  if (const auto detail = DetailOf(issued.status()); detail && detail->reason() == v1::REASON_QUOTA_EXCEEDED) {
    (detail->field() == "tenant_leases" ? tenant_quota_ : principal_quota_).Increment();
    refused_.Increment();
    return;
  }
  const bool failed = code == absl::StatusCode::kUnavailable || code == absl::StatusCode::kInternal ||
                      code == absl::StatusCode::kResourceExhausted || code == absl::StatusCode::kDeadlineExceeded;
  (failed ? failed_ : refused_).Increment();
  if (!ClientSafe(issued.status()) && code != absl::StatusCode::kCancelled) {
    Log(Level::kError, "a lease could not be made", {{"error", StdView(issued.status().message())}});
  }
}

grpc::ServerUnaryReactor* LeaseService::AcquireLease(grpc::CallbackServerContext* context,
                                                     const v1::AcquireLeaseRequest* request,
                                                     v1::AcquireLeaseResponse* response) {
  auto terms = ParseTerms(*request, parts_.services, default_ttl_, max_ttl_);
  if (const absl::Status admitted = Admit(); terms.ok() && !admitted.ok()) terms = admitted;
  if (!terms.ok()) {
    OnAcquired(terms.status());
    return AnswerNow(context, terms.status());
  }
  Attribute(*context, *terms);
  return AcquireCall::Begin(*this, *std::move(terms), *context, *response);
}

grpc::ServerWriteReactor<v1::AcquireLeaseResponse>* LeaseService::HoldLease(grpc::CallbackServerContext* context,
                                                                            const v1::AcquireLeaseRequest* request) {
  auto terms = ParseTerms(*request, parts_.services, kHoldTtl, max_ttl_);
  if (const absl::Status admitted = Admit(); terms.ok() && !admitted.ok()) terms = admitted;
  if (!terms.ok()) {
    OnAcquired(terms.status());
    return Refused<v1::AcquireLeaseResponse>(terms.status());
  }
  Attribute(*context, *terms);
  // Two streams never share a lease: the end of one would end the other's.
  terms->request_id.clear();
  terms->request_hash = 0;
  LeaseHold::Events events;
  events.on_acquired = [this](const absl::StatusOr<LeaseIssuer::Issued>& issued) { OnAcquired(issued); };
  events.on_over = [this](LeaseHold* hold) {
    absl::MutexLock lock(&mu_);
    holds_.erase(hold);
  };
  Rechecker::Recheck recheck;
  if (parts_.rechecker != nullptr) recheck = parts_.rechecker->RecheckOf(*context, kHoldLease, *request);
  const auto hold = std::make_shared<LeaseHold>(
      LeaseHold::Parts{acquisition_parts(), parts_.book, parts_.watchers, std::move(recheck)}, std::move(events));
  if (!Track(hold)) return Refused<v1::AcquireLeaseResponse>(ShuttingDown());
  return hold->Begin(*std::move(terms));
}

grpc::ServerUnaryReactor* LeaseService::RenewLease(grpc::CallbackServerContext* context,
                                                   const v1::RenewLeaseRequest* request, v1::Lease* response) {
  return AnswerNow(context, Renew(*request, *response));
}

grpc::ServerUnaryReactor* LeaseService::ReleaseLease(grpc::CallbackServerContext* context,
                                                     const v1::ReleaseLeaseRequest* request, v1::Lease* response) {
  return AnswerNow(context, Release(*request, *response));
}

grpc::ServerUnaryReactor* LeaseService::GetLease(grpc::CallbackServerContext* context,
                                                 const v1::GetLeaseRequest* request, v1::Lease* response) {
  return AnswerNow(context, Get(*request, *response));
}

grpc::ServerUnaryReactor* LeaseService::ListLeases(grpc::CallbackServerContext* context,
                                                   const v1::ListLeasesRequest* request,
                                                   v1::ListLeasesResponse* response) {
  return AnswerNow(context, List(*request, *response));
}

grpc::ServerUnaryReactor* LeaseService::RevokeLeases(grpc::CallbackServerContext* context,
                                                     const v1::RevokeLeasesRequest* request,
                                                     v1::RevokeLeasesResponse* response) {
  absl::Status done = Revoke(*request, *response);
  if (done.ok() && response->revoked() == 0 && !request->id().empty()) {
    const auto id = ParseId(request->id());
    done = parts_.book.Get(*id).status();
  }
  if (!done.ok() || response->revoked() > 0 || request->tenant().empty()) return AnswerNow(context, done);
  // Nobody had to wait for this: what another gateway may know of the tenant has ended already.
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  parts_.directory.Lookup(
      *TenantId::Parse(request->tenant()), [](const TenantView&) { return true; },
      [reactor](const absl::StatusOr<TenantViewPtr>& view) {
        const bool unknown = ReasonOf(view.status()) == v1::REASON_TENANT_NOT_FOUND;
        reactor->Finish(unknown ? ToGrpc(view.status()) : grpc::Status::OK);
      });
  return reactor;
}

grpc::ServerUnaryReactor* LeaseService::SwitchLease(grpc::CallbackServerContext* context,
                                                    const v1::SwitchLeaseRequest* request, v1::Lease* response) {
  auto target = CheckSwitch(*request);
  if (!target.ok()) return AnswerNow(context, target.status());
  if (!target->tenant) return AnswerNow(context, Switch(*target, *response));
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  parts_.directory.Lookup(
      *target->tenant, [&target](const TenantView& view) { return view.Usable(target->service).ok(); },
      [this, reactor, response, target = *target](absl::StatusOr<TenantViewPtr> view) {
        absl::Status status = view.ok() ? (*view)->Usable(target.service) : view.status();
        if (status.ok()) status = Switch(target, *response);
        reactor->Finish(ToGrpc(status));
      });
  return reactor;
}

absl::StatusOr<LeaseService::SwitchTarget> LeaseService::CheckSwitch(const v1::SwitchLeaseRequest& request) const {
  LH_RETURN_IF_ERROR(CheckLabel("request_id", request.request_id()));
  LH_ASSIGN_OR_RETURN(LeaseId id, ParseId(request.id()));
  LH_RETURN_IF_ERROR(Admit());
  LH_ASSIGN_OR_RETURN(const v1::LeaseRecord record, parts_.book.Get(id));
  LH_RETURN_IF_ERROR(StatusOfState(record.state()));
  LH_ASSIGN_OR_RETURN(ServiceName service, ServiceName::Parse(record.claims().service()));
  SwitchTarget target{std::move(id), std::move(service), std::nullopt};
  const std::string& wanted = request.tenant().empty() ? record.claims().tenant() : request.tenant();
  if (wanted.empty()) return target;
  LH_ASSIGN_OR_RETURN(target.tenant, TenantId::Parse(wanted));
  if (!MayReach(record.claims(), *target.tenant)) {
    return Error(v1::REASON_SWITCH_NOT_ALLOWED,
                 std::format("lease {} may not use tenant {}", target.id.str(), target.tenant->str()));
  }
  return target;
}

absl::Status LeaseService::Switch(const SwitchTarget& target, v1::Lease& response) {
  LH_ASSIGN_OR_RETURN(const v1::LeaseRecord record,
                      parts_.book.Switch(target.id, target.tenant ? target.tenant->str() : ""));
  Log(Level::kInfo, "lease switched",
      {{"lease", target.id.str()}, {"to", record.current_tenant()}, {"service", record.claims().service()}});
  response = LeaseNow(record);
  return absl::OkStatus();
}

absl::Status LeaseService::Renew(const v1::RenewLeaseRequest& request, v1::Lease& response) {
  LH_RETURN_IF_ERROR(CheckLabel("request_id", request.request_id()));
  LH_ASSIGN_OR_RETURN(const LeaseId id, ParseId(request.id()));
  absl::Duration ttl = default_ttl_;
  if (request.has_ttl()) {
    LH_ASSIGN_OR_RETURN(ttl, ParseTtl(request.ttl(), max_ttl_));
  }
  LH_RETURN_IF_ERROR(Admit());
  LH_ASSIGN_OR_RETURN(const v1::LeaseRecord record, parts_.book.Renew(id, ttl));
  response = LeaseNow(record);
  LogLease("lease renewed", response);
  return absl::OkStatus();
}

absl::Status LeaseService::Release(const v1::ReleaseLeaseRequest& request, v1::Lease& response) {
  LH_RETURN_IF_ERROR(CheckLabel("request_id", request.request_id()));
  LH_ASSIGN_OR_RETURN(const LeaseId id, ParseId(request.id()));
  LH_ASSIGN_OR_RETURN(const v1::LeaseRecord record, parts_.book.Release(id));
  response = LeaseNow(record);
  LogLease("lease released", response);
  return absl::OkStatus();
}

absl::Status LeaseService::Get(const v1::GetLeaseRequest& request, v1::Lease& response) const {
  LH_ASSIGN_OR_RETURN(const LeaseId id, ParseId(request.id()));
  LH_ASSIGN_OR_RETURN(const v1::LeaseRecord record, parts_.book.Get(id));
  response = LeaseNow(record);
  return absl::OkStatus();
}

absl::Status LeaseService::List(const v1::ListLeasesRequest& request, v1::ListLeasesResponse& response) const {
  LH_ASSIGN_OR_RETURN(const int page_size, PageSize(request.page_size(), kDefaultPage, kMaxPage));
  LH_ASSIGN_OR_RETURN(const std::string position, PositionOf(kList, request.page_token()));
  LeaseBook::Filter filter;
  if (!request.tenant().empty()) {
    LH_ASSIGN_OR_RETURN(const TenantId tenant, TenantId::Parse(request.tenant()));
    filter.tenant = tenant.str();
  }
  if (!request.service().empty()) {
    LH_ASSIGN_OR_RETURN(const ServiceName service, ServiceName::Parse(request.service()));
    LH_RETURN_IF_ERROR(parts_.services.Check(service));
    filter.service = service.str();
  }
  LH_RETURN_IF_ERROR(CheckLabel("holder", request.holder()));
  filter.holder = request.holder();
  std::optional<LeaseId> after;
  if (!position.empty()) {
    const auto id = LeaseId::Parse(position);
    if (!id.ok()) return BadPageToken();
    after = *id;
  }
  const size_t page = page_size;
  const std::vector<v1::LeaseRecord> records = parts_.book.List(filter, after, page + 1);
  for (size_t i = 0; i < std::min(records.size(), page); ++i) *response.add_leases() = LeaseNow(records[i]);
  if (records.size() > page) response.set_next_page_token(PageToken(kList, response.leases().rbegin()->id()));
  return absl::OkStatus();
}

absl::Status LeaseService::Revoke(const v1::RevokeLeasesRequest& request, v1::RevokeLeasesResponse& response) {
  LH_RETURN_IF_ERROR(CheckLabel("request_id", request.request_id()));
  v1::Revocation conditions;
  if (!request.id().empty()) {
    LH_ASSIGN_OR_RETURN(const LeaseId id, ParseId(request.id()));
    conditions.set_lease_id(std::string(id.bytes()));
  }
  if (!request.tenant().empty()) {
    LH_ASSIGN_OR_RETURN(const TenantId tenant, TenantId::Parse(request.tenant()));
    conditions.set_tenant(tenant.str());
  }
  if (!request.service().empty()) {
    LH_ASSIGN_OR_RETURN(const ServiceName service, ServiceName::Parse(request.service()));
    LH_RETURN_IF_ERROR(parts_.services.Check(service));
    conditions.set_service(service.str());
  }
  LH_RETURN_IF_ERROR(CheckLabel("holder", request.holder()));
  conditions.set_holder_hash(HolderHash(request.holder()));
  if (request.id().empty() && request.tenant().empty() && request.service().empty() && request.holder().empty()) {
    return InvalidField("id", "", "at least one of id, tenant, service, holder");
  }
  response.set_revoked(parts_.book.Revoke(std::move(conditions)));
  revocations_.Increment();
  Log(Level::kInfo, "leases revoked",
      {{"lease", request.id()},
       {"tenant", request.tenant()},
       {"service", request.service()},
       {"holder", request.holder()},
       {"known", std::to_string(response.revoked())}});
  return absl::OkStatus();
}

v1::Lease LeaseService::LeaseNow(const v1::LeaseRecord& record) const {
  const auto id = LeaseId::FromBytes(record.claims().id());
  return LeaseOf(record, id.ok() ? parts_.watchers.Sessions(*id) : 0);
}

}  // namespace leasehold::gateway
