#include "common/postgres/wait_watch.h"

#include <format>
#include <string_view>
#include <utility>

#include "common/status/error.h"

namespace leasehold::postgres {
namespace {

// A commit that waits for a standby keeps its locks: others that wait for these say nothing of the cause.
constexpr std::string_view kWaits =
    "SELECT a.wait_event_type, a.wait_event, (SELECT string_agg(format('%s (process %s)', b.usename, b.pid), ', ') "
    "FROM pg_stat_activity b WHERE a.wait_event_type = 'Lock' AND b.pid = ANY (pg_blocking_pids(a.pid))) "
    "FROM pg_stat_activity a WHERE a.datname = current_database() AND a.state = 'active' "
    "AND split_part(a.application_name, ' ', 1) = split_part(current_setting('application_name'), ' ', 1) "
    "AND (a.wait_event_type = 'Lock' OR a.wait_event IN ('SyncRep', 'ProcSignalBarrier')) "
    "AND a.query_start < clock_timestamp() - $1::interval "
    "ORDER BY a.wait_event = 'SyncRep' DESC, a.query_start LIMIT 1";

std::string Sentence(std::string_view type, std::string_view event, std::string_view holders) {
  if (event == "SyncRep") {
    return "commits wait for a synchronous standby that does not confirm them (synchronous_standby_names)";
  }
  if (type != "Lock") return "a statement waits for another session, or a log-in, that stands still";
  return std::format(
      "a statement waits for a lock ({}) held by {}", event,
      holders.empty() ? "a prepared transaction, or a session that has ended since" : Printable(holders));
}

}  // namespace

WaitWatch::WaitWatch(ConnectOptions options, std::function<void(const std::string&)> tell, Times times)
    : connection_(std::move(options)), tell_(std::move(tell)), patience_(times.patience) {
  thread_.StartEvery(times.period, [this] { Look(); });
}

void WaitWatch::Look() {
  const auto found = connection_.ExecAlone(kWaits, {std::format("{} ms", absl::ToInt64Milliseconds(patience_))});
  if (!found.ok()) return;
  if (!found->empty()) {
    const pqxx::row row = (*found)[0];
    tell_(Sentence(row[0].as<std::string>(), row[1].as<std::string>(), row[2].as<std::string>("")));
    told_ = true;
  } else if (std::exchange(told_, false)) {
    tell_("");
  }
}

}  // namespace leasehold::postgres
