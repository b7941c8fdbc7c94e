#include "services/gateway/lease/signed_authority.h"

#include <algorithm>
#include <format>
#include <utility>

#include "common/status/error.h"
#include "services/gateway/lease/claims.h"

namespace leasehold::gateway {
namespace {

Route RouteTo(const Grant& grant, const TenantId& tenant, std::string database_id) {
  Route route{grant.service,          tenant,         TenantDatabaseName(tenant, grant.service), "",
              std::move(database_id), grant.read_only};
  route.role = grant.read_only ? TenantReadOnlyRole(tenant, grant.service) : route.database;
  return route;
}

// What a session knows of the tenant that it is at.
struct Seat {
  TenantId tenant;
  ServiceName service;
  std::string database_id;  // of the database that it began in; empty until heard
};

// Why no session may be there any more, by what the directory says; OK if it may. Of a service that has failed sessions
// go on: they have their server connections, and PostgreSQL its say. One that has not followed the newest change yet is
// about to replace the database, for nobody is let in before it has followed any other.
absl::Status EndOfTenant(const absl::StatusOr<TenantViewPtr>& view, Seat& seat) {
  const std::string& tenant = seat.tenant.str();
  if (!view.ok()) {
    return ReasonOf(view.status()) == v1::REASON_TENANT_NOT_FOUND ? view.status() : absl::OkStatus();
  }
  switch ((*view)->state) {
    case v1::TENANT_STATE_SUSPENDED:
      return Error(v1::REASON_TENANT_SUSPENDED, std::format("tenant {} is suspended", tenant));
    case v1::TENANT_STATE_DELETED:
    case v1::TENANT_STATE_PURGING:
      return Error(v1::REASON_TENANT_DELETED, std::format("tenant {} is deleted", tenant));
    default:
      break;
  }
  const auto service = (*view)->services.find(seat.service.str());
  if (service == (*view)->services.end()) return absl::OkStatus();
  if (service->second.state == v1::SERVICE_STATE_PENDING) return (*view)->Usable(seat.service);
  if (seat.database_id.empty()) seat.database_id = service->second.database_id;
  if (seat.database_id == service->second.database_id) return absl::OkStatus();
  return Error(v1::REASON_TENANT_NOT_READY, std::format("the database of tenant {} was replaced", tenant));
}

// OK if `grant` leads to the tenant as it is.
absl::Status CheckRoute(const Grant& grant, const TenantView& view) {
  LH_RETURN_IF_ERROR(view.Usable(grant.service));
  // The id was purged and given to another tenant since, or a backup was restored: this lease is on the database that
  // is no more.
  if (view.id == grant.home_tenant && !grant.home_database_id.empty() &&
      grant.home_database_id != view.services.at(grant.service.str()).database_id) {
    return Error(v1::REASON_TENANT_DELETED,
                 std::format("the database of tenant {} that this lease was for is gone", view.id.str()));
  }
  return absl::OkStatus();
}

// Used by the session's thread alone; what runs elsewhere shares the Bell only.
//
// The order of destruction matters: first the follow, whose callback may be ringing, then the watch, whose Bell falls
// silent. Neither is dropped under a lock.
class SignedAttachment : public LeaseAuthority::Attachment {
 public:
  SignedAttachment(TenantDirectory& directory, ServiceName service, std::unique_ptr<LeaseWatchers::Watch> watch)
      : directory_(directory), service_(std::move(service)), watch_(std::move(watch)) {}

  void MovedTo(const std::optional<TenantId>& tenant) override {
    follow_.reset();
    if (!tenant) return;
    // One call at a time, as Follow says.
    const auto seat = std::make_shared<Seat>(Seat{.tenant = *tenant, .service = service_, .database_id = ""});
    follow_ = directory_.Follow(*tenant, [bell = watch_->bell(), seat](const absl::StatusOr<TenantViewPtr>& view) {
      if (absl::Status why = EndOfTenant(view, *seat); !why.ok()) bell->Ring(why);
    });
  }

 private:
  TenantDirectory& directory_;
  const ServiceName service_;
  std::unique_ptr<LeaseWatchers::Watch> watch_;
  TenantDirectory::Handle follow_;
};

}  // namespace

bool Grant::MayUse(const TenantId& tenant) const {
  return tenant == home_tenant ||
         std::ranges::any_of(switch_to, [&](const std::string& glob) { return GlobMatches(glob, tenant.str()); });
}

absl::StatusOr<GrantPtr> SignedLeaseAuthority::Authenticate(std::string_view user_name) {
  LH_ASSIGN_OR_RETURN(v1::LeaseClaims claims, ParseUserName(user_name));
  absl::StatusOr<Secret> password = keys_.PasswordOf(claims.key_id(), user_name);
  const absl::StatusOr<ServiceName> service = ServiceName::Parse(claims.service());
  if (!password.ok() || !service.ok() || !services_.Check(*service).ok()) return BadCredentials();
  absl::StatusOr<LeaseBook::Standing> standing = book_.Check(claims);
  absl::Status ended = standing.status();
  if (!standing.ok()) standing = LeaseBook::Standing();
  LH_ASSIGN_OR_RETURN(const LeaseId id, LeaseId::FromBytes(claims.id()));

  Grant grant{.id = id,
              .service = *service,
              .home_tenant = std::nullopt,
              .connection = claims.connection(),
              .start_tenant = std::nullopt,
              .read_only = claims.access() == v1::ACCESS_READ_ONLY,
              .session = claims.session(),
              .switch_to = {claims.switch_to().begin(), claims.switch_to().end()},
              .home_database_id = claims.database_id(),
              .holder = standing->holder,
              .principal = standing->principal,
              .password = *std::move(password),
              .ended = std::move(ended),
              .claims = {}};
  if (!claims.tenant().empty()) {
    LH_ASSIGN_OR_RETURN(grant.home_tenant, TenantId::Parse(claims.tenant()));
  }
  if (!standing->current_tenant.empty()) {
    LH_ASSIGN_OR_RETURN(grant.start_tenant, TenantId::Parse(standing->current_tenant));
  }
  grant.claims = std::move(claims);
  return std::make_shared<const Grant>(std::move(grant));
}

void SignedLeaseAuthority::Resolve(const GrantPtr& grant, const std::optional<TenantId>& tenant, RouteCallback done) {
  if (const auto standing = book_.Check(grant->claims); !standing.ok()) return done(standing.status());
  if (!tenant) {
    if (grant->home_tenant) {
      return done(Error(v1::REASON_SWITCH_NOT_ALLOWED, "this lease has no named connection"));
    }
    return done(Route{grant->service, std::nullopt, services_.CentralDatabase(grant->service),
                      grant->read_only ? CentralReadOnlyRole(grant->service) : CentralRole(grant->service),
                      std::string(RoleKey::kCentralId), grant->read_only});
  }
  if (!grant->MayUse(*tenant)) {
    return done(Error(v1::REASON_SWITCH_NOT_ALLOWED, std::format("this lease may not use tenant {}", tenant->str())));
  }
  const auto leads = [&grant](const TenantView& view) { return CheckRoute(*grant, view).ok(); };
  directory_.Lookup(*tenant, leads,
                    [grant, id = *tenant, done = std::move(done)](absl::StatusOr<TenantViewPtr> view) mutable {
                      if (!view.ok()) {
                        // The registry does not answer, but the lease itself says where its home is. Were the tenant
                        // suspended meanwhile, PostgreSQL would refuse its roles.
                        if (view.status().code() == absl::StatusCode::kUnavailable && id == grant->home_tenant) {
                          return done(RouteTo(*grant, id, grant->home_database_id));
                        }
                        return done(view.status());
                      }
                      if (absl::Status status = CheckRoute(*grant, **view); !status.ok()) return done(status);
                      done(RouteTo(*grant, id, (*view)->services.at(grant->service.str()).database_id));
                    });
}

std::unique_ptr<LeaseAuthority::Attachment> SignedLeaseAuthority::Attach(const GrantPtr& grant,
                                                                         const std::optional<TenantId>& tenant,
                                                                         std::function<void(absl::Status)> on_end) {
  auto watch = watchers_.Add(grant->id, LeaseWatchers::Kind::kSession, std::move(on_end));
  // Counted with this one: of two that come at once, one is too many at least.
  const uint32_t bound = grant->claims.max_sessions();
  if (bound > 0 && watchers_.Sessions(grant->id) > static_cast<int64_t>(bound)) {
    sessions_refused_.fetch_add(1, std::memory_order_relaxed);
    watch->bell()->Ring(WithRetryAfter(
        Error(v1::REASON_QUOTA_EXCEEDED, std::format("this lease has {} sessions on this gateway, its quota", bound)),
        absl::Seconds(1)));
  }
  book_.Adopt(grant->claims);
  if (const auto standing = book_.Check(grant->claims); !standing.ok()) watch->bell()->Ring(standing.status());
  auto attachment = std::make_unique<SignedAttachment>(directory_, grant->service, std::move(watch));
  attachment->MovedTo(tenant);
  return attachment;
}

absl::Time SignedLeaseAuthority::ExpiryOf(const GrantPtr& grant) {
  const auto standing = book_.Check(grant->claims);
  return standing.ok() ? absl::FromUnixMillis(standing->expire_ms) : absl::InfinitePast();
}

}  // namespace leasehold::gateway
