#include "services/gateway/registry/backup_state.h"

#include <google/protobuf/util/message_differencer.h>

#include <algorithm>
#include <format>
#include <string>
#include <vector>

#include "common/status/error.h"

namespace leasehold::gateway {
namespace {

std::string WhyFailed(const v1::BackupStatus& status) {
  return std::format("{} failed: {} (attempt {})", status.service(), status.message(), status.attempts());
}

}  // namespace

v1::BackupState StateOf(const v1::Backup& backup, bool removed) {
  if (removed) return v1::BACKUP_STATE_REMOVED;
  const auto any = [&backup](v1::BackupState state) {
    return std::ranges::any_of(backup.services(), [state](const auto& status) { return status.state() == state; });
  };
  if (any(v1::BACKUP_STATE_FAILED)) return v1::BACKUP_STATE_FAILED;
  return any(v1::BACKUP_STATE_RUNNING) ? v1::BACKUP_STATE_RUNNING : v1::BACKUP_STATE_COMPLETE;
}

absl::Status CheckRestorable(const v1::Backup& backup, Services services) {
  if (backup.state() == v1::BACKUP_STATE_REMOVED) {
    return Error(v1::REASON_BACKUP_INCOMPLETE, std::format("backup {} was removed", backup.id()));
  }
  for (const std::string& service : services) {
    const bool there = std::ranges::any_of(backup.services(), [&service](const v1::BackupStatus& status) {
      return status.service() == service && status.state() == v1::BACKUP_STATE_COMPLETE;
    });
    if (there) continue;
    return Error(v1::REASON_BACKUP_INCOMPLETE, std::format("backup {} does not hold service {}", backup.id(), service));
  }
  return absl::OkStatus();
}

Progress ProgressOf(const v1::Backup& backup) {
  Progress progress{.done = 0, .total = backup.services_size(), .message = "", .services = {}};
  std::vector<std::string> waiting, failed;
  for (const v1::BackupStatus& status : backup.services()) {
    v1::ServiceProgress& each = progress.services.emplace_back();
    each.set_service(status.service());
    each.set_bytes(status.bytes());
    if (status.state() == v1::BACKUP_STATE_COMPLETE) {
      ++progress.done;
      each.set_done(true);
    } else if (status.state() == v1::BACKUP_STATE_FAILED) {
      failed.push_back(WhyFailed(status));
      each.set_message(failed.back());
    } else {
      waiting.push_back(status.service());
      each.set_message(std::format("waiting for {}", status.service()));
    }
  }
  progress.message = ProgressMessage(failed, waiting);
  return progress;
}

bool IsNews(const v1::BackupStatus& known, const v1::BackupStatus& report, bool removed) {
  if (report.state() == v1::BACKUP_STATE_UNSPECIFIED) return false;
  if (known.state() == v1::BACKUP_STATE_REMOVED) return false;
  if (report.state() == v1::BACKUP_STATE_REMOVED) return removed;
  if (known.state() == v1::BACKUP_STATE_COMPLETE) return false;
  const auto order = [](const v1::BackupStatus& status) {
    return std::pair(status.update_time().seconds(), status.update_time().nanos());
  };
  if (order(report) < order(known)) return false;  // overtaken on its way
  return !google::protobuf::util::MessageDifferencer::Equals(known, report);
}

}  // namespace leasehold::gateway
