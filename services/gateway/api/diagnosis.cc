#include "services/gateway/api/diagnosis.h"

#include <format>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_join.h"
#include "common/config/config.h"

namespace leasehold::gateway {
namespace {

std::string Tenants(int count) { return count == 1 ? "a tenant" : std::format("{} tenants", count); }

// What the service needs of somebody; `health.message` names a failed tenant.
std::string MessageOf(const v1::ServiceHealth& health, absl::Time now, absl::Duration longest) {
  std::vector<std::string> parts;
  if (!health.trouble().empty()) parts.push_back(std::format("its provisioner says: {}", health.trouble()));
  if (!health.has_last_pass_time()) {
    parts.emplace_back("no provisioner of it has ever looked at its instance");
  } else if (const absl::Duration ago = now - ToTime(health.last_pass_time()); ago > longest) {
    parts.push_back(std::format("no provisioner of it has looked at its instance for {}",
                                absl::FormatDuration(absl::Trunc(ago, absl::Seconds(1)))));
  }
  if (health.failed() > 0) {
    parts.push_back(health.failed() == 1
                        ? std::format("tenant {}", health.message())
                        : std::format("{} failed, e.g. {}", Tenants(health.failed()), health.message()));
  }
  if (health.pending() > 0) {
    parts.push_back(std::format("{} waited for longer than {}", Tenants(health.pending()),
                                absl::FormatDuration(kDiagnosisPatience)));
  }
  return absl::StrJoin(parts, "; ");
}

// Who is to be named to the command line: the one that failed, or any of several.
std::string FailedTenant(const v1::ServiceHealth& health) {
  const size_t end = health.failed() == 1 ? health.message().find(": ") : std::string::npos;
  return end == std::string::npos ? "TENANT" : health.message().substr(0, end);
}

// `health.message` as in MessageOf.
std::string AdviceFor(const v1::ServiceHealth& health, absl::Time now, absl::Duration longest) {
  if (!health.has_last_pass_time() || now - ToTime(health.last_pass_time()) > longest) {
    return std::format("start leasehold-provisioner --service {}, or look into its log", health.service());
  }
  if (absl::StrContains(health.trouble(), "disk is full")) {
    return "make room on the instance's disk: all goes on by itself then";
  }
  if (!health.trouble().empty()) return "look at the instance, and into the provisioner's log";
  if (health.failed() > 0) {
    return std::format("mend what the message says, then: leasehold tenant retry {}", FailedTenant(health));
  }
  if (health.pending() > 0) return "see what is waited for: leasehold operation list";
  return "";
}

std::string AdviceFor(const v1::Finding& finding) {
  const bool repaired = finding.remedy() == v1::FINDING_REMEDY_REPAIRED;
  if (finding.kind() == v1::FINDING_KIND_DATABASE_MISSING) {
    return repaired ? "it was made again, empty: restore a backup if its data is wanted"
                    : "restore a backup if its data is wanted";
  }
  if (repaired) return "nothing; if it comes back, find out who does it";
  switch (finding.kind()) {
    case v1::FINDING_KIND_DATABASE_RENAMED:
      return "rename it back once nothing else has its name";
    case v1::FINDING_KIND_LEFTOVER:
      return "drop it if nobody uses it";
    case v1::FINDING_KIND_FOREIGN:
      return "rename or drop it: a tenant of that id gets its own then";
    case v1::FINDING_KIND_UNLISTED:
      return "create the tenant to take it over, or drop it";
    default:
      return "put it right as a superuser: the provisioner's login may not";
  }
}

}  // namespace

void Judge(v1::DiagnoseResponse& diagnosis, absl::Time now, absl::Duration resync_interval) {
  const absl::Duration longest = 3 * resync_interval + kDiagnosisPatience;
  for (v1::ServiceHealth& health : *diagnosis.mutable_services()) {
    health.set_advice(AdviceFor(health, now, longest));
    health.set_message(MessageOf(health, now, longest));
  }
  for (v1::Finding& finding : *diagnosis.mutable_findings()) finding.set_advice(AdviceFor(finding));
}

}  // namespace leasehold::gateway
