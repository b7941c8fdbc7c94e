#include "services/gateway/gate/call_check.h"

#include <algorithm>
#include <format>
#include <utility>

#include "absl/strings/str_join.h"
#include "common/config/config.h"
#include "common/identity/identity.h"
#include "common/status/error.h"
#include "leasehold/v1/lease.pb.h"
#include "leasehold/v1/tenant.pb.h"

namespace leasehold::gateway {
namespace {

// As handlers will read it: "identity-service" is "identity".
std::string Normalized(std::string service) {
  const absl::StatusOr<ServiceName> name = ServiceName::Parse(service);
  return name.ok() ? name->str() : std::move(service);
}

// Of RenewLease and what acquires.
google::protobuf::Duration* MutableTtl(google::protobuf::Message& request) {
  if (auto* acquire = dynamic_cast<v1::AcquireLeaseRequest*>(&request)) return acquire->mutable_ttl();
  if (auto* renew = dynamic_cast<v1::RenewLeaseRequest*>(&request)) return renew->mutable_ttl();
  return nullptr;
}

}  // namespace

void CallCheck::Run() {
  ReadRequest();
  if (method_.by_domain && !tenants_.empty() && tenants_.front() == kAll) {
    domain_ = TextAt(request_, "domain");
    if (!domain_.empty()) return LookUpDomain();
  }
  CheckTenants(0);
}

void CallCheck::ReadRequest() {
  for (const Named& named : method_.tenants) tenants_.push_back(NameIn(request_, named));
  service_ = Normalized(NameIn(request_, method_.service));
  others_lease_ = method_.any_lease;
  if (method_.of_lease) ReadLease();
  ReadWishes();
}

// Nobody can say here whose an unknown lease is, and the handler may know it, should another gateway tell of it until
// then: so that it is answered here. What ends leases known or not is held to others' already.
void CallCheck::ReadLease() {
  const absl::StatusOr<LeaseId> id = LeaseId::Parse(TextAt(request_, "id"));
  if (!id.ok()) return;
  const absl::Status read = gate_.parts_.book.Read(*id, [this](const v1::LeaseRecord& record, v1::LeaseState) {
    const std::string& tenant = record.claims().tenant();
    // One that the request names beside the lease is looked up too, and the answer tells whether it exists.
    std::erase_if(tenants_, [&tenant](const std::string& named) { return named == kAll || named == tenant; });
    if (!tenant.empty()) tenants_.insert(tenants_.begin(), tenant);
    connection_ = record.claims().connection();
    service_ = record.claims().service();
    others_lease_ = record.principal() != principal_;
  });
  if (!others_lease_ && !read.ok()) unknown_lease_ = read;
}

void CallCheck::ReadWishes() {
  if (const auto* acquire = dynamic_cast<const v1::AcquireLeaseRequest*>(&request_)) {
    if (acquire->home_case() == v1::AcquireLeaseRequest::kConnection) {
      tenants_.clear();
      connection_ = acquire->connection().empty() ? std::string(kAll) : acquire->connection();
    }
    access_ = acquire->access() == v1::ACCESS_READ_ONLY ? v1::ACCESS_READ_ONLY : v1::ACCESS_READ_WRITE;
    if (acquire->has_ttl()) ttl_ = ToDuration(acquire->ttl());
    switch_to_texts_.assign(acquire->switch_to().begin(), acquire->switch_to().end());
  } else if (const auto* renew = dynamic_cast<const v1::RenewLeaseRequest*>(&request_)) {
    if (renew->has_ttl()) ttl_ = ToDuration(renew->ttl());
  } else if (const auto* move = dynamic_cast<const v1::SwitchLeaseRequest*>(&request_)) {
    if (!move->tenant().empty()) switch_to_texts_.push_back(move->tenant());
  }
  for (const std::string& glob : switch_to_texts_) switch_to_.push_back(&glob);
}

void CallCheck::LookUpDomain() {
  // Whoever may lease no tenant at all of this service does not learn whose domain it is, nor costs a look-up.
  if (policy_->Allowing(
          {.principal = principal_, .operation = method_.operation, .service = service_, .access = access_}) ==
      nullptr) {
    return Finish(Refused(""));
  }
  const auto self = shared_from_this();
  gate_.parts_.directory.LookupDomain(domain_, [self](const absl::StatusOr<TenantViewPtr>& view) {
    if (view.ok()) {
      self->tenants_.front() = (*view)->id.str();
      // The domain may be another's by the time that the handler looks.
      if (auto* acquire = dynamic_cast<v1::AcquireLeaseRequest*>(&self->request_)) {
        acquire->set_tenant(self->tenants_.front());
      } else if (auto* get = dynamic_cast<v1::GetTenantRequest*>(&self->request_)) {
        get->set_id(self->tenants_.front());
      }
    } else if (ReasonOf(view.status()) != v1::REASON_TENANT_NOT_FOUND) {
      return self->Finish(view.status());
    }
    // That there is no such domain is for those who may know of all.
    self->CheckTenants(0);
  });
}

void CallCheck::CheckTenants(size_t i) {
  if (tenants_.empty()) return CheckTenant(0, nullptr);
  if (i == tenants_.size()) return Finish(absl::OkStatus());
  const absl::StatusOr<TenantId> id = TenantId::Parse(tenants_[i]);
  const Ask ask = AskFor(tenants_[i]);
  if (!id.ok() || !policy_->NeedsSettingsFor(ask) || policy_->Allowing(ask) != nullptr) {
    return CheckTenant(i, nullptr);
  }
  const auto self = shared_from_this();
  gate_.parts_.directory.Lookup(
      *id, [](const TenantView&) { return true; },
      [self, i](const absl::StatusOr<TenantViewPtr>& view) {
        if (!view.ok() && ReasonOf(view.status()) != v1::REASON_TENANT_NOT_FOUND) return self->Finish(view.status());
        self->CheckTenant(i, view.ok() ? &(*view)->settings : nullptr);
      });
}

void CallCheck::CheckTenant(size_t i, const std::map<std::string, std::string>* settings) {
  const std::string_view tenant = tenants_.empty() ? "" : std::string_view(tenants_[i]);
  Ask ask = AskFor(tenant);
  ask.settings = settings;
  const v1::PolicyRule* rule = policy_->Allowing(ask);
  if (rule == nullptr) return Finish(Refused(tenant));
  if (rule->has_max_ttl()) max_ttl_ = std::min(max_ttl_, ToDuration(rule->max_ttl()));
  if (tenants_.empty()) return Finish(absl::OkStatus());
  CheckTenants(i + 1);
}

void CallCheck::Finish(absl::Status decision) {
  if (decision.ok() && !ttl_ && max_ttl_ < gate_.parts_.default_ttl) {
    if (auto* ttl = MutableTtl(request_)) *ttl = FromDuration(max_ttl_);
  }
  done_({.decision = std::move(decision),
         .unknown_lease = unknown_lease_,
         .tenant = tenants_.empty() ? "" : tenants_.front()});
}

Ask CallCheck::AskFor(std::string_view tenant) const {
  return {.principal = principal_,
          .operation = method_.operation,
          .service = service_,
          .tenant = tenant,
          .connection = connection_,
          .access = access_,
          .ttl = ttl_,
          .switch_to = switch_to_,
          .others_lease = others_lease_};
}

// What was asked for, and nothing of what would have been allowed.
absl::Status CallCheck::Refused(std::string_view tenant) const {
  if (principal_ == kAnonymous) {
    return Error(v1::REASON_NO_CREDENTIALS,
                 "this gateway has to know who calls: show a token (--token-file or LEASEHOLD_TOKEN_FILE) or a client "
                 "certificate");
  }
  std::string text = std::format("{} may not {}", Printable(principal_, 300), method_.operation);
  const auto add = [&text](std::string_view word, std::string_view value) {
    if (!value.empty()) text += std::format("{} {}", word, value == kAll ? "all" : Printable(value));
  };
  // Whose domain it is, is for those who may lease of that tenant.
  domain_.empty() ? add(", tenant", tenant) : add(", domain", domain_);
  add(", connection", connection_);
  add(", service", service_);
  if (access_ != v1::ACCESS_UNSPECIFIED) text += access_ == v1::ACCESS_READ_ONLY ? ", read-only" : ", read-write";
  if (ttl_) text += std::format(", for {}", absl::FormatDuration(*ttl_));
  if (!switch_to_texts_.empty())
    text += std::format(", switching to {}", Printable(absl::StrJoin(switch_to_texts_, " ")));
  if (others_lease_) text += ", another principal's lease";
  return Error(v1::REASON_NOT_PERMITTED, text);
}

}  // namespace leasehold::gateway
