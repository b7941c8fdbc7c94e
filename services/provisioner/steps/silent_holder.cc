#include "services/provisioner/steps/silent_holder.h"

#include <format>

#include "common/status/error.h"
#include "common/telemetry/log.h"
#include "services/provisioner/steps/instance.h"

namespace leasehold::provisioner {
namespace {

// A process is the first word of what its sessions call themselves; the trace that one works for may follow.
//
// What an advisory lock's `database` is, is where all provisioners of a service take it.
constexpr std::string_view kSilent =
    "SELECT split_part(h.application_name, ' ', 1) FROM pg_locks l JOIN pg_stat_activity h ON h.pid = l.pid "
    "WHERE l.locktype = 'advisory' AND {} AND l.granted "
    "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
    "AND starts_with(h.application_name, $3) "
    "AND split_part(h.application_name, ' ', 1) <> split_part(current_setting('application_name'), ' ', 1) "
    "AND NOT EXISTS (SELECT FROM pg_stat_activity a "
    "WHERE split_part(a.application_name, ' ', 1) = split_part(h.application_name, ' ', 1) AND "
    "greatest(a.backend_start, a.query_start, a.state_change) > clock_timestamp() - $2::interval)";
constexpr std::string_view kEnd =
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE split_part(application_name, ' ', 1) = $1 "
    "AND pg_has_role(usesysid, 'USAGE')";

}  // namespace

absl::StatusOr<bool> TryLock(postgres::Connection& central, std::string_view take, const LockedBy& lock,
                             absl::Duration patience) {
  LH_ASSIGN_OR_RETURN(const pqxx::result taken, central.ExecAlone(take, {lock.parameter}));
  if (taken[0][0].as<bool>()) return true;
  LH_RETURN_IF_ERROR(EndSilentHolder(central, lock, patience));
  return false;
}

absl::Status EndSilentHolder(postgres::Connection& central, const LockedBy& lock, absl::Duration patience) {
  const std::string sql = std::format(kSilent, lock.condition);
  LH_ASSIGN_OR_RETURN(const pqxx::result silent,
                      central.ExecAlone(sql, {lock.parameter, std::format("{} seconds", absl::ToInt64Seconds(patience)),
                                              std::string(kProcessPrefix)}));
  for (const pqxx::row& row : silent) {
    const std::string process = row[0].as<std::string>();
    Log(Level::kWarning, "another provisioner has something in hand and is silent; ending its sessions",
        {{"what", lock.parameter}, {"provisioner", process}});
    LH_RETURN_IF_ERROR(central.ExecAlone(kEnd, {process}).status());
  }
  return absl::OkStatus();
}

}  // namespace leasehold::provisioner
