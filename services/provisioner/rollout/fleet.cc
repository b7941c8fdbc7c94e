#include "services/provisioner/rollout/fleet.h"

#include <algorithm>
#include <format>

#include "absl/time/time.h"
#include "common/config/config.h"
#include "common/status/error.h"
#include "services/provisioner/migrations/history.h"
#include "services/provisioner/steps/migrate_database.h"

namespace leasehold::provisioner {
namespace {

constexpr std::string_view kTenants =
    "SELECT t.id, t.database_id, coalesce(s.version, t.schema_version, 0), coalesce(s.digest, ''), "
    "t.schema_version IS NOT NULL FROM leasehold.tenants t "
    "LEFT JOIN leasehold.schemas s ON s.database_id = t.database_id "
    "WHERE t.database_id IS NOT NULL AND t.desired = 'present' "
    "UNION ALL SELECT '', 'central', coalesce(max(version), 0), coalesce(max(digest), ''), true "
    "FROM leasehold.schemas WHERE database_id = 'central' ORDER BY 1";
constexpr size_t kMaxGlobs = 10'000;
constexpr absl::Duration kShortestTimeout = absl::Milliseconds(1);  // PostgreSQL's unit; its 0 is for ever
constexpr absl::Duration kLongestTimeout = absl::Hours(24);

bool NamesTenants(const v1::MigrationSelection& selection) {
  return selection.tenants_size() > 0 || selection.setting_tenants_size() > 0;
}

bool Names(const v1::MigrationSelection& selection, std::string_view tenant) {
  const auto fits = [tenant](const std::string& glob) { return GlobMatches(glob, tenant); };
  return std::ranges::any_of(selection.tenants(), fits) ||
         std::ranges::find(selection.setting_tenants(), tenant) != selection.setting_tenants().end();
}

absl::Status CheckSelection(std::string_view field, const v1::MigrationSelection& selection) {
  if (!selection.settings().empty() && selection.setting_tenants_size() == 0) {
    return InvalidField(std::format("{}.settings", field), "", "tenants; the gateway resolves settings");
  }
  if (static_cast<size_t>(selection.tenants_size()) > kMaxGlobs) {
    return InvalidField(std::format("{}.tenants", field), std::format("{} of them", selection.tenants_size()),
                        std::format("at most {}", kMaxGlobs));
  }
  for (const std::string& glob : selection.tenants()) {
    LH_RETURN_IF_ERROR(WithField(ParseTenantGlob(glob).status(), std::format("{}.tenants", field)));
  }
  if (selection.only_central() && (selection.without_central() || NamesTenants(selection))) {
    return InvalidField(std::format("{}.only_central", field), "true", "nothing else beside it");
  }
  return absl::OkStatus();
}

absl::Status CheckRange(std::string_view field, int value, int most) {
  if (value >= 0 && value <= most) return absl::OkStatus();
  return InvalidField(field, std::format("{}", value), std::format("0 to {}", most));
}

absl::Status CheckTimeout(std::string_view field, absl::Duration timeout) {
  if (timeout >= kShortestTimeout && timeout <= kLongestTimeout) return absl::OkStatus();
  return InvalidField(field, absl::FormatDuration(timeout), "1ms to 24h");
}

absl::Status CheckNamed(std::string_view field, const v1::MigrationSelection& selection,
                        std::span<const FleetDatabase> fleet, std::string_view whose) {
  const auto none = [fleet](const auto& fits) {
    return std::ranges::none_of(
        fleet, [&fits](const FleetDatabase& database) { return !database.tenant.empty() && fits(database.tenant); });
  };
  for (const std::string& glob : selection.tenants()) {
    if (none([&glob](const std::string& tenant) { return GlobMatches(glob, tenant); })) {
      return InvalidField(std::format("{}.tenants", field), glob,
                          std::format("the id of {}, or a glob that fits one", whose));
    }
  }
  if (selection.setting_tenants_size() > 0 &&
      none([&selection](const std::string& tenant) { return Names(selection, tenant); })) {
    const auto setting = selection.settings().begin();
    return InvalidField(
        std::format("{}.settings", field),
        setting == selection.settings().end() ? "" : std::format("{}={}", setting->first, setting->second),
        std::format("settings of {}", whose));
  }
  return absl::OkStatus();
}

std::map<int, const v1::MigrationFile*> ByVersion(const v1::MigrationRun& run, bool tenant) {
  std::map<int, const v1::MigrationFile*> files;
  for (const v1::MigrationFile& file : run.files()) {
    if (file.tenant() == tenant) files[file.version()] = &file;
  }
  return files;
}

std::string FirstDifference(std::map<int, const v1::MigrationFile*> before, const Migrations& files) {
  const int newest = before.empty() ? 0 : before.rbegin()->first;
  for (const Migration& file : files) {
    if (file.version > newest) break;
    const auto was = before.find(file.version);
    if (was == before.end()) return std::format("{} has come among them", file.name);
    if (was->second->name() != file.name) return std::format("{} is {} now", was->second->name(), file.name);
    if (was->second->checksum() != file.checksum) return std::format("{} was edited", file.name);
    before.erase(was);
  }
  return before.empty() ? "" : std::format("{} is missing", before.begin()->second->name());
}

}  // namespace

absl::StatusOr<std::vector<FleetDatabase>> ListFleet(postgres::Connection& central, const Instance& instance) {
  LH_ASSIGN_OR_RETURN(const pqxx::result rows, central.ExecAlone(kTenants));
  std::vector<FleetDatabase> databases;
  databases.reserve(static_cast<size_t>(rows.size()));
  for (const auto& row : rows) {
    FleetDatabase next{.database_id = row[1].as<std::string>(),
                       .database = instance.central_database(),
                       .tenant = row[0].as<std::string>(),
                       .version = row[2].as<int>(),
                       .digest = row[3].as<std::string>(),
                       .finished = row[4].as<bool>()};
    if (!next.tenant.empty()) {
      LH_ASSIGN_OR_RETURN(const TenantId id, TenantId::Parse(next.tenant));
      next.database = TenantDatabaseName(id, instance.service());
    }
    databases.push_back(std::move(next));
  }
  return databases;
}

bool IsSelected(const v1::MigrationSelection& selection, const FleetDatabase& database) {
  if (selection.only_central()) return database.tenant.empty();
  if (database.tenant.empty()) return !selection.without_central() && !NamesTenants(selection);
  return !NamesTenants(selection) || Names(selection, database.tenant);
}

absl::Status CheckSpec(const v1::MigrationSpec& spec) {
  if (spec.kind() == v1::MIGRATION_KIND_UNSPECIFIED || !v1::MigrationKind_IsValid(spec.kind())) {
    return InvalidField("spec.kind", std::format("{}", static_cast<int>(spec.kind())), "a kind of run");
  }
  LH_RETURN_IF_ERROR(CheckSelection("spec.selection", spec.selection()));
  LH_RETURN_IF_ERROR(CheckSelection("spec.canary", spec.canary()));
  for (int i = 0; i < spec.waves_size(); ++i) {
    if (spec.waves(i) < 1 || spec.waves(i) > 100 || (i > 0 && spec.waves(i) <= spec.waves(i - 1))) {
      return InvalidField("spec.waves", std::format("{}", spec.waves(i)), "percentages from 1 to 100 that rise");
    }
  }
  LH_RETURN_IF_ERROR(CheckRange("spec.parallelism", spec.parallelism(), 64));
  LH_RETURN_IF_ERROR(CheckRange("spec.failure_budget", spec.failure_budget(), 1'000'000));
  LH_RETURN_IF_ERROR(CheckRange("spec.lock_attempts", spec.lock_attempts(), 1'000));
  if (spec.has_lock_timeout()) {
    LH_RETURN_IF_ERROR(CheckTimeout("spec.lock_timeout", ToDuration(spec.lock_timeout())));
  }
  if (const absl::Duration timeout = ToDuration(spec.statement_timeout()); timeout != absl::ZeroDuration()) {
    LH_RETURN_IF_ERROR(CheckTimeout("spec.statement_timeout", timeout));
  }
  if (spec.kind() == v1::MIGRATION_KIND_UNDO && spec.undo_run().empty()) {
    return InvalidField("spec.undo_run", "", "the id of the run to take back");
  }
  if (spec.kind() == v1::MIGRATION_KIND_REPAIR && !IsMigrationName(spec.repair_file())) {
    return InvalidField("spec.repair_file", spec.repair_file(),
                        "the name of a file, as the folder or a history has it, e.g. 0001_init.sql");
  }
  if (spec.kind() == v1::MIGRATION_KIND_REPAIR && !spec.show_only() &&
      spec.repair() == v1::MIGRATION_REPAIR_UNSPECIFIED) {
    return InvalidField("spec.repair", "", "what to make of the mismatch");
  }
  return absl::OkStatus();
}

absl::Status CheckSelected(const v1::MigrationSpec& spec, std::span<const FleetDatabase> fleet,
                           const ServiceName& service) {
  LH_RETURN_IF_ERROR(
      CheckNamed("spec.selection", spec.selection(), fleet, std::format("an open tenant of {}", service.str())));
  std::vector<FleetDatabase> selected(fleet.begin(), fleet.end());
  std::erase_if(selected, [&](const FleetDatabase& database) { return !IsSelected(spec.selection(), database); });
  return CheckNamed("spec.canary", spec.canary(), selected,
                    NamesTenants(spec.selection()) ? "a tenant that the run is about"
                                                   : std::format("an open tenant of {}", service.str()));
}

int AssignWaves(const v1::MigrationSpec& spec, std::vector<FleetDatabase>& databases) {
  std::vector<size_t> rest;
  for (size_t i = 0; i < databases.size(); ++i) {
    const FleetDatabase& database = databases[i];
    const bool first = database.tenant.empty() || Names(spec.canary(), database.tenant);
    databases[i].wave = 0;
    if (!first) rest.push_back(i);
  }
  for (size_t n = 0; n < rest.size(); ++n) {
    int wave = 1;
    for (const int percent : spec.waves()) {
      // At least one database a wave, however few there are.
      const size_t end = (rest.size() * static_cast<size_t>(percent) + 99) / 100;
      if (n >= end) ++wave;
    }
    databases[rest[n]].wave = wave;
  }
  std::ranges::stable_sort(databases, {}, &FleetDatabase::wave);
  int number = 0;
  int last = -1;
  for (FleetDatabase& database : databases) {
    if (database.wave != std::exchange(last, database.wave)) ++number;
    database.wave = number;
  }
  return number;
}

std::vector<const Migration*> PendingFor(const FleetDatabase& database, const FleetMigrations& files) {
  std::vector<const Migration*> pending;
  for (const Migration& file : files.Of(database.tenant)) {
    if (file.version > database.version && file.version <= files.NewestOf(database.tenant)) pending.push_back(&file);
  }
  return pending;
}

bool Differences::Has(const FleetDatabase& database) {
  if (database.digest.empty()) return false;
  const auto [digest, is_new] = digests_.try_emplace(std::pair(!database.tenant.empty(), database.version));
  if (is_new) digest->second = DigestOf(files_.Of(database.tenant), database.version);
  return database.digest != digest->second;
}

std::vector<v1::MigrationFile> FilesOf(const FleetMigrations& files) {
  std::vector<v1::MigrationFile> list;
  for (const bool tenant : {false, true}) {
    for (const Migration& file : tenant ? *files.tenant : *files.central) {
      v1::MigrationFile& next = list.emplace_back();
      next.set_tenant(tenant);
      next.set_version(file.version);
      next.set_name(file.name);
      next.set_checksum(file.checksum);
      next.set_transactional(file.transactional);
      next.set_has_down(file.down.has_value());
    }
  }
  return list;
}

std::string DifferenceFrom(const v1::MigrationRun& run, const FleetMigrations& files) {
  const std::string central = FirstDifference(ByVersion(run, /*tenant=*/false), *files.central);
  return central.empty() ? FirstDifference(ByVersion(run, /*tenant=*/true), *files.tenant) : central;
}

FleetMigrations LimitedTo(const v1::MigrationRun& run, FleetMigrations files) {
  files.newest_tenant = files.newest_central = 0;
  for (const v1::MigrationFile& file : run.files()) {
    int& newest = file.tenant() ? files.newest_tenant : files.newest_central;
    newest = std::max(newest, file.version());
  }
  return files;
}

}  // namespace leasehold::provisioner
