#include "services/gateway/registry/tenant_state.h"

#include <google/protobuf/util/message_differencer.h>

#include <algorithm>
#include <array>
#include <compare>
#include <format>
#include <utility>
#include <vector>

#include "absl/log/check.h"
#include "absl/strings/str_join.h"
#include "common/config/config.h"
#include "common/status/error.h"

namespace leasehold::gateway {
namespace {

using States = uint32_t;

constexpr States In(std::initializer_list<v1::TenantState> states) {
  States set = 0;
  for (const v1::TenantState state : states) set |= 1u << state;
  return set;
}
constexpr bool Contains(States set, v1::TenantState state) { return (set & (1u << state)) != 0; }

constexpr v1::TenantState kAbsent = v1::TENANT_STATE_UNSPECIFIED;
constexpr v1::TenantState kProvisioning = v1::TENANT_STATE_PROVISIONING;
constexpr v1::TenantState kActive = v1::TENANT_STATE_ACTIVE;
constexpr v1::TenantState kDegraded = v1::TENANT_STATE_DEGRADED;
constexpr v1::TenantState kSuspended = v1::TENANT_STATE_SUSPENDED;
constexpr v1::TenantState kDeleted = v1::TENANT_STATE_DELETED;
constexpr v1::TenantState kPurging = v1::TENANT_STATE_PURGING;

constexpr States kOpen = In({kProvisioning, kActive, kDegraded});

// Where a tenant may go from each state, in the order of v1::TenantState.
constexpr std::array<States, 7> kLegalMoves = {
    /* absent */ In({kProvisioning, kSuspended}),
    /* PROVISIONING */ In({kActive, kDegraded, kSuspended, kDeleted, kPurging}),
    /* ACTIVE */ In({kProvisioning, kDegraded, kSuspended, kDeleted}),
    /* DEGRADED */ In({kProvisioning, kActive, kSuspended, kDeleted, kPurging}),
    /* SUSPENDED */ In({kProvisioning, kDeleted}),
    /* DELETED */ In({kProvisioning, kPurging}),
    /* PURGING */ In({kAbsent}),
};

// The one place where a tenant's state moves. An illegal move is a defect of the rules below, not of the caller's
// request.
bool MoveTo(Standing& standing, v1::TenantState next) {
  if (standing.state == next) return false;
  CHECK(Contains(kLegalMoves[standing.state], next))
      << v1::TenantState_Name(standing.state) << " to " << v1::TenantState_Name(next);
  standing.state = next;
  return true;
}

// What a change asks for. In a state that is neither in `from` nor in `already`, it is refused.
struct Rule {
  Change change;
  States from;
  States already;            // there is nothing to do
  v1::TenantState to;        // UNSPECIFIED: stays
  v1::DesiredState desired;  // UNSPECIFIED: stays, and the instances have nothing to follow
};

constexpr std::array<Rule, 15> kRules = {{
    {Change::kCreate, In({kAbsent}), 0, kProvisioning, v1::DESIRED_STATE_PRESENT},
    {Change::kCreateSuspended, In({kAbsent}), 0, kSuspended, v1::DESIRED_STATE_CLOSED},
    {Change::kUpdate, kOpen | In({kSuspended}), 0, kAbsent, v1::DESIRED_STATE_UNSPECIFIED},
    {Change::kSuspend, kOpen, In({kSuspended}), kSuspended, v1::DESIRED_STATE_CLOSED},
    {Change::kResume, In({kSuspended}), kOpen, kProvisioning, v1::DESIRED_STATE_PRESENT},
    {Change::kDelete, kOpen | In({kSuspended}), In({kDeleted, kPurging}), kDeleted, v1::DESIRED_STATE_CLOSED},
    {Change::kDeleteFor, kOpen | In({kSuspended, kDeleted}), In({kPurging}), kDeleted, v1::DESIRED_STATE_CLOSED},
    {Change::kPurge, In({kDeleted}), In({kPurging}), kPurging, v1::DESIRED_STATE_ABSENT},
    {Change::kUndelete, In({kDeleted}), kOpen | In({kSuspended}), kProvisioning, v1::DESIRED_STATE_PRESENT},
    {Change::kClone, In({kAbsent}), 0, kProvisioning, v1::DESIRED_STATE_PRESENT},
    {Change::kRestoreNew, In({kAbsent}), 0, kProvisioning, v1::DESIRED_STATE_PRESENT},
    {Change::kRestore, kOpen | In({kSuspended}), 0, kProvisioning, v1::DESIRED_STATE_PRESENT},
    {Change::kKeep, kOpen, 0, kProvisioning, v1::DESIRED_STATE_PRESENT},
    {Change::kAbandon, In({kProvisioning, kDegraded}), In({kPurging}), kPurging, v1::DESIRED_STATE_ABSENT},
    {Change::kBackup, kOpen | In({kSuspended}), 0, kAbsent, v1::DESIRED_STATE_UNSPECIFIED},
}};

// A retry has no rule: it leaves state and desire as they are.
bool MakesTenant(Change change) {
  return change == Change::kCreate || change == Change::kCreateSuspended || change == Change::kClone ||
         change == Change::kRestoreNew;
}

const Rule& RuleOf(Change change) {
  return *std::find_if(kRules.begin(), kRules.end(), [change](const Rule& rule) { return rule.change == change; });
}

absl::Status NoTenant(std::string_view id) {
  return Error(v1::REASON_TENANT_NOT_FOUND, std::format("there is no tenant {}", id));
}

absl::Status Refuse(std::string_view id, v1::TenantState state, Change change) {
  if (MakesTenant(change)) {
    return Error(v1::REASON_TENANT_EXISTS,
                 Contains(In({kDeleted, kPurging}), state)
                     ? std::format("tenant {} exists: it is deleted, and its id is free once its data is dropped", id)
                     : std::format("tenant {} exists", id));
  }
  if (state == kAbsent) return NoTenant(id);
  if (change == Change::kPurge) {
    return absl::FailedPreconditionError(std::format("tenant {} is not deleted", id));
  }
  return Error(v1::REASON_TENANT_DELETED, std::format("tenant {} is deleted", id));
}

v1::ServiceState WantedOf(v1::DesiredState desired) {
  switch (desired) {
    case v1::DESIRED_STATE_PRESENT:
      return v1::SERVICE_STATE_READY;
    case v1::DESIRED_STATE_CLOSED:
      return v1::SERVICE_STATE_CLOSED;
    case v1::DESIRED_STATE_ABSENT:
      return v1::SERVICE_STATE_REMOVED;
    default:
      return v1::SERVICE_STATE_UNSPECIFIED;
  }
}

// What becomes of an origin. A tenant that began with one needs it until its databases are there, whatever happens
// meanwhile; what was to be restored in place is only wanted by the operation that asked for it.
Source OriginAfter(const Standing& standing, Change change, const Source& source) {
  Source origin;
  switch (change) {
    case Change::kClone:
    case Change::kRestoreNew:
    case Change::kRestore:
      origin = source;
      origin.generation = standing.generation;
      origin.in_place = change == Change::kRestore;
      return origin;
    case Change::kSuspend:
    case Change::kResume:
    case Change::kDelete:
    case Change::kDeleteFor:
    case Change::kUndelete:
      if (!standing.origin.in_place) origin = standing.origin;
      return origin;
    case Change::kUpdate:
    case Change::kBackup:
    case Change::kRetry:
      return standing.origin;
    default:
      return origin;
  }
}

bool AnyFailed(const Standing& standing, Services services) {
  return std::ranges::any_of(services, [&standing](const std::string& service) {
    return CurrentStatus(standing, service).state() == v1::SERVICE_STATE_FAILED;
  });
}

// The instances have to follow it, yet what they report on the generation before goes on to hold: so who is ready can
// be leased meanwhile. If nothing has failed, the new generation has each of them look once more.
absl::StatusOr<bool> Retry(Standing& standing, std::string_view id, Services services) {
  if (standing.state == kAbsent) return NoTenant(id);
  if (!AnyFailed(standing, services)) {
    if (!ProgressOf(standing, services).settled()) return false;  // they are at it
    ++standing.generation;
    return true;
  }
  const int64_t before = standing.provision_generation;
  standing.provision_generation = ++standing.generation;
  for (auto& [service, report] : standing.reports) {
    if (report.generation() < before) continue;
    report.set_generation(standing.generation);
    if (report.state() != v1::SERVICE_STATE_FAILED) continue;
    report.clear_attempts();
    report.clear_next_attempt_time();
  }
  return true;
}

std::string WhyFailed(const v1::ServiceStatus& status) {
  std::string why = status.message().empty() ? status.service() + " failed"
                                             : std::format("{} failed: {}", status.service(), status.message());
  if (status.attempts() == 0) return why;
  why += std::format(" (attempt {}", status.attempts());
  if (status.has_next_attempt_time()) {
    why += std::format(", the next at {}",
                       absl::FormatTime("%H:%M:%S UTC", ToTime(status.next_attempt_time()), absl::UTCTimeZone()));
  }
  return why + ")";
}

std::pair<int64_t, int32_t> TimeOf(const v1::ServiceStatus& report) {
  return {report.update_time().seconds(), report.update_time().nanos()};
}

// Of two reports on one generation. Older in one and newer in neither: a provisioner whose records were restored counts
// its versions from an older one, and is heard all the same.
bool IsOlder(const v1::ServiceStatus& report, const v1::ServiceStatus& known) {
  const auto version = report.version() <=> known.version();
  const auto time = TimeOf(report) <=> TimeOf(known);
  return (version < 0 && time <= 0) || (version <= 0 && time < 0);
}

}  // namespace

absl::StatusOr<bool> ApplyChange(Standing& standing, std::string_view id, Change change, Services services,
                                 const Source& source) {
  if (change == Change::kRetry) return Retry(standing, id, services);
  const Rule& rule = RuleOf(change);
  if (Contains(rule.already, standing.state)) return false;
  if (!Contains(rule.from, standing.state)) return Refuse(id, standing.state, change);
  if (change == Change::kBackup) LH_RETURN_IF_ERROR(CheckComplete(standing, id, services));
  ++standing.generation;
  standing.origin = OriginAfter(standing, change, source);
  if (standing.state == kAbsent) {
    standing.reports.clear();  // of the tenant that had the id before
    standing.create_generation = standing.generation;
  }
  if (rule.desired != v1::DESIRED_STATE_UNSPECIFIED) {
    standing.desired = rule.desired;
    standing.provision_generation = standing.generation;
  }
  if (rule.to != kAbsent) MoveTo(standing, rule.to);
  Reconsider(standing, services);
  return true;
}

absl::Status CheckComplete(const Standing& standing, std::string_view id, Services services) {
  if (standing.state == kAbsent) return NoTenant(id);
  if (Contains(In({kDeleted, kPurging}), standing.state)) {
    return Error(v1::REASON_TENANT_DELETED, std::format("tenant {} is deleted", id));
  }
  // A report of an older generation speaks of the same database, unless that is another tenant's or about to be
  // replaced.
  const int64_t since = std::max(standing.create_generation, standing.origin.generation);
  for (const std::string& service : services) {
    const auto report = standing.reports.find(service);
    const bool made =
        report != standing.reports.end() && report->second.generation() >= since &&
        (report->second.state() == v1::SERVICE_STATE_READY || report->second.state() == v1::SERVICE_STATE_CLOSED);
    if (made) continue;
    return Error(v1::REASON_TENANT_NOT_READY, std::format("tenant {} is not ready in service {}", id, service));
  }
  return absl::OkStatus();
}

bool RefuseAnnouncement(Standing& standing) {
  if (standing.generation != 0) return false;
  standing.generation = standing.provision_generation = standing.create_generation = 1;
  standing.desired = v1::DESIRED_STATE_ABSENT;
  return true;
}

bool ApplyReport(Standing& standing, const v1::ServiceStatus& report, Services services) {
  if (!std::ranges::binary_search(services, report.service())) return false;
  if (standing.state == kAbsent && report.state() != v1::SERVICE_STATE_REMOVED) return false;
  if (report.state() == v1::SERVICE_STATE_UNSPECIFIED || report.state() == v1::SERVICE_STATE_PENDING) return false;
  if (report.generation() < standing.provision_generation || report.generation() > standing.generation) return false;
  v1::ServiceStatus& known = standing.reports[report.service()];
  if (report.generation() < known.generation()) return false;
  if (report.generation() == known.generation() && IsOlder(report, known)) return false;
  if (google::protobuf::util::MessageDifferencer::Equals(known, report)) return false;
  known = report;
  Reconsider(standing, services);
  return true;
}

bool Reconsider(Standing& standing, Services services) {
  const Progress progress = ProgressOf(standing, services);
  if (progress.settled()) standing.origin = {};
  switch (standing.state) {
    case v1::TENANT_STATE_PROVISIONING:
    case v1::TENANT_STATE_ACTIVE:
    case v1::TENANT_STATE_DEGRADED: {
      if (progress.settled()) return MoveTo(standing, kActive);
      return MoveTo(standing, AnyFailed(standing, services) ? kDegraded : kProvisioning);
    }
    case v1::TENANT_STATE_PURGING:
      return progress.settled() && MoveTo(standing, kAbsent);
    default:
      return false;
  }
}

v1::ServiceStatus CurrentStatus(const Standing& standing, const std::string& service) {
  v1::ServiceStatus status;
  const auto report = standing.reports.find(service);
  if (report != standing.reports.end()) status = report->second;
  status.set_service(service);
  if (status.generation() < standing.provision_generation || status.state() == v1::SERVICE_STATE_UNSPECIFIED) {
    status.set_state(v1::SERVICE_STATE_PENDING);
    status.clear_message();
    status.clear_attempts();
    status.clear_next_attempt_time();
  }
  return status;
}

Progress ProgressOf(const Standing& standing, Services services, int64_t since) {
  const v1::ServiceState wanted = WantedOf(standing.desired);
  Progress progress{.done = 0, .total = static_cast<int>(services.size()), .message = "", .services = {}};
  std::vector<std::string> waiting, failed;
  for (const std::string& service : services) {
    const v1::ServiceStatus status = CurrentStatus(standing, service);
    v1::ServiceProgress& each = progress.services.emplace_back();
    each.set_service(service);
    if (status.state() == wanted && status.generation() >= since) {
      ++progress.done;
      each.set_done(true);
    } else if (status.state() == v1::SERVICE_STATE_FAILED) {
      failed.push_back(WhyFailed(status));
      each.set_message(failed.back());
    } else {
      waiting.push_back(service);
      each.set_message(std::format("waiting for {}", service));
    }
  }
  progress.message = ProgressMessage(failed, waiting);
  return progress;
}

std::string ProgressMessage(std::span<const std::string> failed, std::span<const std::string> waiting) {
  std::string message;
  if (!failed.empty()) message = absl::StrJoin(failed, "; ") + "; another attempt follows";
  if (waiting.empty()) return message;
  if (!message.empty()) message += "; ";
  return message + "waiting for " + absl::StrJoin(waiting, ", ");
}

std::string MessageOf(const Standing& standing, Services services) {
  std::string_view what;
  switch (standing.state) {
    case v1::TENANT_STATE_SUSPENDED:
      what = "suspended";
      break;
    case v1::TENANT_STATE_DELETED:
      what = "deleted";
      break;
    case v1::TENANT_STATE_PURGING:
      what = "being dropped for good";
      break;
    default:
      break;
  }
  std::string message = ProgressOf(standing, services).message;
  if (what.empty() || message.empty()) return what.empty() ? message : std::string(what);
  return std::format("{}; {}", what, message);
}

}  // namespace leasehold::gateway
