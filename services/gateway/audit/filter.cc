#include "services/gateway/audit/filter.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/config/config.h"
#include "common/identity/identity.h"
#include "common/status/error.h"
#include "services/gateway/audit/line.h"

namespace leasehold::gateway {
namespace {

constexpr size_t kMostPrincipal = 256;

// A time that no event can have is a mistake.
absl::StatusOr<absl::Time> TimeOf(std::string_view field, const google::protobuf::Timestamp& time) {
  if (time.seconds() < 0 || time.seconds() > 253'402'300'799 || time.nanos() < 0 || time.nanos() > 999'999'999) {
    return InvalidField(field, absl::StrCat(time.seconds(), " s"), "a time from 1970 to 9999");
  }
  return ToTime(time);
}

}  // namespace

absl::StatusOr<AuditFilter> AuditFilter::Of(const v1::ListAuditEventsRequest& request) {
  AuditFilter filter;
  filter.request_ = request;
  const auto mark = [&filter](std::string_view name, const std::string& value) {
    if (!value.empty()) filter.marks_.push_back(AuditMember(name, value));
  };
  if (!request.tenant().empty()) LH_RETURN_IF_ERROR(TenantId::Parse(request.tenant()).status());
  if (!request.lease().empty()) LH_RETURN_IF_ERROR(LeaseId::Parse(request.lease()).status());
  if (!request.service().empty()) {
    LH_ASSIGN_OR_RETURN(const ServiceName service, ServiceName::Parse(request.service()));
    filter.request_.set_service(service.str());
  }
  if (request.principal().size() > kMostPrincipal) {
    return InvalidField("principal", request.principal(), absl::StrCat("at most ", kMostPrincipal, " bytes"));
  }
  if (!v1::AuditAction_IsValid(request.action())) {
    return InvalidField("action", absl::StrCat(static_cast<int>(request.action())), "an action of the audit");
  }
  mark("tenant", request.tenant());
  mark("service", filter.request_.service());
  mark("lease", request.lease());
  mark("principal", request.principal());
  if (request.action() != v1::AUDIT_ACTION_UNSPECIFIED) mark("action", v1::AuditAction_Name(request.action()));

  const std::string& outcome = request.outcome();
  if (outcome == "done") {
    filter.outcome_ = Outcome::kDone;
  } else if (outcome == "refused") {
    filter.outcome_ = Outcome::kRefused;
    filter.marks_.push_back("\"outcome\":");
  } else if (!outcome.empty()) {
    const std::string name = absl::StrCat("REASON_", absl::AsciiStrToUpper(outcome));
    if (!v1::Reason_Parse(name, &filter.reason_) || filter.reason_ == v1::REASON_UNSPECIFIED) {
      return InvalidField("outcome", outcome, "done, refused, or a reason such as SWITCH_NOT_ALLOWED");
    }
    filter.outcome_ = Outcome::kReason;
    mark("outcome", name);
  }
  if (request.has_since()) {
    LH_ASSIGN_OR_RETURN(filter.since_, TimeOf("since", request.since()));
  }
  if (request.has_until()) {
    LH_ASSIGN_OR_RETURN(filter.until_, TimeOf("until", request.until()));
  }
  if (filter.until_ <= filter.since_) {
    return InvalidField(
        "until", absl::FormatTime(absl::RFC3339_sec, filter.until_, absl::UTCTimeZone()),
        absl::StrCat("a time after since, ", absl::FormatTime(absl::RFC3339_sec, filter.since_, absl::UTCTimeZone())));
  }
  return filter;
}

bool AuditFilter::Matches(const v1::AuditEvent& event) const {
  const auto fits = [](const std::string& wanted, const std::string& is) { return wanted.empty() || wanted == is; };
  if (!fits(request_.tenant(), event.tenant()) || !fits(request_.service(), event.service()) ||
      !fits(request_.lease(), event.lease()) || !fits(request_.principal(), event.principal())) {
    return false;
  }
  if (request_.action() != v1::AUDIT_ACTION_UNSPECIFIED && request_.action() != event.action()) return false;
  const bool done = event.outcome() == v1::REASON_UNSPECIFIED;
  if ((outcome_ == Outcome::kDone && !done) || (outcome_ == Outcome::kRefused && done) ||
      (outcome_ == Outcome::kReason && event.outcome() != reason_)) {
    return false;
  }
  const absl::Time time = ToTime(event.time());
  return time >= since_ && time < until_;
}

}  // namespace leasehold::gateway
