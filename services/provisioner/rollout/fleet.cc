#include "services/provisioner/rollout/fleet.h"

#include <algorithm>
#include <format>

#include "common/status/error.h"
#include "services/provisioner/migrations/history.h"
#include "services/provisioner/steps/migrate_database.h"

namespace leasehold::provisioner {
namespace {

constexpr std::string_view kTenants =
    "SELECT t.id, t.database_id, coalesce(s.version, t.schema_version), coalesce(s.digest, '') FROM leasehold.tenants "
    "t "
    "LEFT JOIN leasehold.schemas s ON s.database_id = t.database_id "
    "WHERE t.database_id IS NOT NULL AND t.schema_version IS NOT NULL AND t.desired = 'present' "
    "UNION ALL SELECT '', 'central', coalesce(max(version), 0), coalesce(max(digest), '') FROM leasehold.schemas "
    "WHERE database_id = 'central' ORDER BY 1";
constexpr size_t kMaxGlobs = 10'000;

bool FitsAny(const google::protobuf::RepeatedPtrField<std::string>& globs, std::string_view text) {
  return std::ranges::any_of(globs, [text](const std::string& glob) { return FitsGlob(glob, text); });
}

absl::Status CheckSelection(std::string_view field, const v1::MigrationSelection& selection) {
  if (!selection.settings().empty()) {
    return InvalidField(std::format("{}.settings", field), "", "tenants; the gateway resolves settings");
  }
  if (static_cast<size_t>(selection.tenants_size()) > kMaxGlobs) {
    return InvalidField(std::format("{}.tenants", field), std::format("{} of them", selection.tenants_size()),
                        std::format("at most {}", kMaxGlobs));
  }
  for (const std::string& glob : selection.tenants()) {
    if (glob.empty() || glob.size() > 64) {
      return InvalidField(std::format("{}.tenants", field), glob, "a tenant id or a glob of 1 to 64 bytes");
    }
  }
  if (selection.only_central() && (selection.without_central() || selection.tenants_size() > 0)) {
    return InvalidField(std::format("{}.only_central", field), "true", "nothing else beside it");
  }
  return absl::OkStatus();
}

absl::Status CheckRange(std::string_view field, int value, int most) {
  if (value >= 0 && value <= most) return absl::OkStatus();
  return InvalidField(field, std::format("{}", value), std::format("0 to {}", most));
}

}  // namespace

bool FitsGlob(std::string_view glob, std::string_view text) {
  size_t g = 0, t = 0, star = std::string_view::npos, mark = 0;
  while (t < text.size()) {
    if (g < glob.size() && (glob[g] == '?' || glob[g] == text[t])) {
      ++g, ++t;
    } else if (g < glob.size() && glob[g] == '*') {
      star = g++;
      mark = t;
    } else if (star != std::string_view::npos) {
      g = star + 1;
      t = ++mark;
    } else {
      return false;
    }
  }
  while (g < glob.size() && glob[g] == '*') ++g;
  return g == glob.size();
}

absl::StatusOr<std::vector<FleetDatabase>> ListFleet(postgres::Connection& central, const Instance& instance) {
  LH_ASSIGN_OR_RETURN(const pqxx::result rows, central.ExecAlone(kTenants));
  std::vector<FleetDatabase> databases;
  databases.reserve(static_cast<size_t>(rows.size()));
  for (const auto& row : rows) {
    FleetDatabase next{.database_id = row[1].as<std::string>(),
                       .database = instance.central_database(),
                       .tenant = row[0].as<std::string>(),
                       .version = row[2].as<int>(),
                       .digest = row[3].as<std::string>()};
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
  if (database.tenant.empty()) return !selection.without_central() && selection.tenants_size() == 0;
  return selection.tenants_size() == 0 || FitsAny(selection.tenants(), database.tenant);
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
  if (spec.kind() == v1::MIGRATION_KIND_UNDO && spec.undo_run().empty()) {
    return InvalidField("spec.undo_run", "", "the id of the run to take back");
  }
  if (spec.kind() == v1::MIGRATION_KIND_REPAIR && spec.repair_file().empty()) {
    return InvalidField("spec.repair_file", "", "the name of a file, e.g. 0001_init.sql");
  }
  if (spec.kind() == v1::MIGRATION_KIND_REPAIR && !spec.show_only() &&
      spec.repair() == v1::MIGRATION_REPAIR_UNSPECIFIED) {
    return InvalidField("spec.repair", "", "what to make of the mismatch");
  }
  return absl::OkStatus();
}

int AssignWaves(const v1::MigrationSpec& spec, std::vector<FleetDatabase>& databases) {
  const bool has_canary = spec.canary().tenants_size() > 0;
  std::vector<size_t> rest;
  for (size_t i = 0; i < databases.size(); ++i) {
    const FleetDatabase& database = databases[i];
    const bool first = database.tenant.empty() || (has_canary && FitsAny(spec.canary().tenants(), database.tenant));
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
    if (file.version > database.version) pending.push_back(&file);
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

}  // namespace leasehold::provisioner
