#include "services/provisioner/state/newcomer_files.h"

#include <algorithm>
#include <cstddef>
#include <format>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>

#include "common/status/error.h"
#include "common/telemetry/log.h"
#include "leasehold/v1/migration.pb.h"
#include "services/provisioner/migrations/history.h"

namespace leasehold::provisioner {
namespace {

// Of the newest run that had to do with tenants. Those that came least far: what others stumbled over comes later.
constexpr std::string_view kFailed =
    "SELECT t.report, r.files FROM leasehold.run_tasks t JOIN leasehold.runs r ON r.id = t.run WHERE r.id = "
    "(SELECT n.id FROM leasehold.runs n WHERE n.kind = 'MIGRATION_KIND_APPLY' AND EXISTS "
    "(SELECT FROM leasehold.run_tasks f WHERE f.run = n.id AND f.tenant <> '') ORDER BY n.id DESC LIMIT 1) "
    "AND t.state = 'failed' AND t.tenant <> '' ORDER BY t.to_version, t.database_id LIMIT 100";

// Whether a tenant in service has $1, of the digest $2, and none has more.
constexpr std::string_view kServes =
    "SELECT coalesce(bool_or(s.version = $1::int AND s.digest = $2) AND max(s.version) <= $1::int, false) "
    "FROM leasehold.tenants t JOIN leasehold.schemas s USING (database_id) "
    "WHERE t.desired = 'present' AND t.schema_version IS NOT NULL";

template <typename Message>
Message Parsed(const pqxx::field& field) {
  const auto bytes = field.as<std::basic_string<std::byte>>();
  Message message;
  message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
  return message;
}

std::string DigestOfAll(const Migrations& files) { return DigestOf(files, NewestVersion(files)); }

bool Holds(const v1::MigrationRun& run, const Migration& file) {
  return std::ranges::any_of(run.files(), [&file](const v1::MigrationFile& other) {
    return other.tenant() && other.name() == file.name && other.checksum() == file.checksum;
  });
}

// The first of `files` that the newest run failed at; 0 if there is none.
absl::StatusOr<int> FailingVersion(postgres::Connection& central, const Migrations& files) {
  LH_ASSIGN_OR_RETURN(const pqxx::result rows, central.ExecAlone(kFailed));
  int first = 0;
  for (const auto& row : rows) {
    const std::string name = Parsed<v1::MigrationTask>(row[0]).failure().file();
    const auto file = std::ranges::find(files, name, &Migration::name);
    if (file == files.end() || !Holds(Parsed<v1::MigrationRun>(row[1]), *file)) continue;
    if (first == 0 || file->version < first) first = file->version;
  }
  return first;
}

// Tenants are in service with the files before the one of this version, and no others.
absl::StatusOr<bool> ServesBefore(postgres::Connection& central, const Migrations& files, int version) {
  const auto end = std::ranges::find_if(files, [version](const Migration& file) { return file.version >= version; });
  if (end == files.begin()) return false;
  const int before = std::prev(end)->version;
  LH_ASSIGN_OR_RETURN(const pqxx::result rows,
                      central.ExecAlone(kServes, {std::format("{}", before), DigestOf(files, before)}));
  return rows[0][0].as<bool>();
}

}  // namespace

NewcomerFiles::NewcomerFiles(SharedMigrations all) : state_(std::make_shared<State>(std::move(all))) {}

NewcomerFiles::NewcomerFiles(Migrations migrations) : NewcomerFiles(SharedMigrations(std::move(migrations))) {}

std::shared_ptr<const Migrations> NewcomerFiles::Get() const {
  std::shared_ptr<const Migrations> all = All();
  const absl::MutexLock lock(&state_->mu);
  if (state_->failing == 0) return all;
  // The files may have been read again, and be the same.
  if (all != state_->seen && DigestOfAll(*all) != state_->digest) {
    state_->failing = 0;
    return all;
  }
  state_->seen = std::move(all);
  return state_->some;
}

bool NewcomerFiles::holds() const {
  const absl::MutexLock lock(&state_->mu);
  return state_->failing != 0;
}

absl::StatusOr<bool> NewcomerFiles::HoldBack(postgres::Connection& central, const Migrations& used,
                                             const std::string& name) const {
  const std::shared_ptr<const Migrations> all = All();
  LH_ASSIGN_OR_RETURN(int failing, FailingVersion(central, *all));
  const bool by_run = failing != 0;
  const auto file = std::ranges::find(used, name, &Migration::name);
  if (!by_run && file != used.end()) {
    LH_ASSIGN_OR_RETURN(const bool serves, ServesBefore(central, *all, file->version));
    if (serves) failing = file->version;
  }
  const auto end = std::ranges::find_if(*all, [failing](const Migration& next) { return next.version >= failing; });
  if (failing != 0 && end != all->begin()) {
    const absl::MutexLock lock(&state_->mu);
    if (state_->failing != failing) {
      Log(Level::kWarning, "a migration fails in new databases; until a run succeeds they get the files before it",
          {{"file", end->name}});
    }
    state_->failing = failing;
    state_->by_run = by_run;
    state_->digest = DigestOfAll(*all);
    state_->seen = all;
    state_->some = std::make_shared<const Migrations>(all->begin(), end);
  }
  return Get()->size() < used.size();
}

absl::Status NewcomerFiles::Review(postgres::Connection& central) const {
  if (!holds()) return absl::OkStatus();
  const std::shared_ptr<const Migrations> all = All();
  LH_ASSIGN_OR_RETURN(const int failed, FailingVersion(central, *all));
  int held = 0;
  bool by_run = false;
  {
    const absl::MutexLock lock(&state_->mu);
    held = state_->failing;
    by_run = state_->by_run || failed == held;
  }
  bool stays = failed == held;
  if (!by_run && failed == 0) {
    LH_ASSIGN_OR_RETURN(stays, ServesBefore(central, *all, held));
  }
  const absl::MutexLock lock(&state_->mu);
  if (state_->failing != held) return absl::OkStatus();  // somebody else has just looked
  state_->by_run = by_run;
  if (!stays) state_->failing = 0;
  return absl::OkStatus();
}

}  // namespace leasehold::provisioner
