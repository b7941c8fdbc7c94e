#include "services/provisioner/rollout/repair.h"

#include <algorithm>
#include <format>
#include <optional>

#include "common/status/error.h"

namespace leasehold::provisioner {
namespace {

absl::Status Refuse(std::string_view file, std::string_view why) {
  return Error(v1::REASON_MIGRATION_FAILED, std::format("migration {} {}", file, why));
}

std::optional<int> VersionOf(const History& history, const Migrations& files, const std::string& name) {
  const auto file = std::ranges::find(files, name, &Migration::name);
  if (file != files.end()) return file->version;
  for (const auto& [version, row] : history) {
    if (row.name == name) return version;
  }
  return std::nullopt;
}

std::string Short(std::string_view checksum) { return std::string(checksum.substr(0, 12)); }

}  // namespace

absl::StatusOr<RepairStep> PlanRepair(const History& history, const Migrations& files, const v1::MigrationSpec& spec) {
  RepairStep step{.file = spec.repair_file()};
  const std::optional<int> version = VersionOf(history, files, spec.repair_file());
  if (!version.has_value()) {
    step.what = RepairStep::What::kUnknown;
    return step;
  }
  const std::vector<HistoryMismatch> all = CompareHistory(history, files);
  const auto mismatch = std::ranges::find(all, *version, &HistoryMismatch::version);
  if (mismatch == all.end()) {
    step.findings.push_back(MakeFinding(v1::MIGRATION_SEVERITY_NOTE, "history-agrees", "", step.file,
                                        "there is nothing to repair here", ""));
    return step;
  }
  step.version = *version;
  step.findings = FindingsOf(std::span(&*mismatch, 1), "");
  const auto row = history.find(*version);
  const auto file = std::ranges::find(files, *version, &Migration::version);
  if (row != history.end()) step.was_checksum = row->second.checksum;
  if (file != files.end()) step.checksum = file->checksum;
  step.findings.front().set_message(std::format("{} (recorded {}, file {})", step.findings.front().message(),
                                                step.was_checksum.empty() ? "nothing" : Short(step.was_checksum),
                                                step.checksum.empty() ? "none" : Short(step.checksum)));
  if (spec.show_only()) return step;
  if (spec.repair() == v1::MIGRATION_REPAIR_FORGET) {
    if (mismatch->kind != Mismatch::kMissing && mismatch->kind != Mismatch::kInterrupted) {
      return Refuse(step.file, "is still in the folder: forgotten, it would be applied a second time");
    }
    step.what = RepairStep::What::kForget;
    return step;
  }
  if (file == files.end()) return Refuse(step.file, "is missing from the folder; only --forget settles that");
  const bool accept = spec.repair() == v1::MIGRATION_REPAIR_ACCEPT_FILE;
  const bool recorded = mismatch->kind == Mismatch::kEdited || mismatch->kind == Mismatch::kRenamed;
  if (accept != recorded) {
    return Refuse(step.file, recorded ? "is recorded here; --accept-file takes over what it is now"
                                      : "is not recorded here as complete; --mark-applied says that it is there");
  }
  step.file = file->name;
  step.what = RepairStep::What::kSet;
  return step;
}

absl::Status ApplyRepair(postgres::Connection& keeper, const RepairStep& step, const std::string& run) {
  const std::string version = std::format("{}", step.version);
  const absl::StatusOr<pqxx::result> changed =
      step.what == RepairStep::What::kForget
          ? keeper.ExecAlone("DELETE FROM leasehold.migrations WHERE version = $1 AND checksum = $2 RETURNING 1",
                             {version, step.was_checksum})
          : keeper.ExecAlone(
                "INSERT INTO leasehold.migrations AS m (version, name, checksum, applied_at, run) "
                "VALUES ($1, $2, $3, now(), $5) ON CONFLICT (version) DO UPDATE SET name = excluded.name, "
                "checksum = excluded.checksum, applied_at = coalesce(m.applied_at, now()), begun = 0 "
                "WHERE m.checksum = $4 RETURNING 1",
                {version, step.file, step.checksum, step.was_checksum, run});
  LH_RETURN_IF_ERROR(changed.status());
  return changed->empty() ? Refuse(step.file, "has changed in the history meanwhile") : absl::OkStatus();
}

}  // namespace leasehold::provisioner
