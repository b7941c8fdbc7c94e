// The databases of a service as its central one knows them, and which of them a run is about.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "common/identity/identity.h"
#include "common/postgres/postgres.h"
#include "leasehold/v1/migration.pb.h"
#include "services/provisioner/migrations/folder.h"
#include "services/provisioner/steps/instance.h"

namespace leasehold::provisioner {

// The files of a service, as they were when somebody looked.
struct FleetMigrations {
  std::shared_ptr<const Migrations> tenant = std::make_shared<const Migrations>();
  std::shared_ptr<const Migrations> central = std::make_shared<const Migrations>();

  const Migrations& Of(std::string_view tenant_id) const { return tenant_id.empty() ? *central : *tenant; }
};

struct FleetDatabase {
  std::string database_id{};
  std::string database{};
  std::string tenant{};  // empty: the central database
  int version = 0;
  std::string digest{};  // DigestOf(History); empty: not known
  int wave = 0;
};

// The central database and those of tenants that are complete and open, by name. One query. Spares are none of them:
// their keeper brings them to new files.
absl::StatusOr<std::vector<FleetDatabase>> ListFleet(postgres::Connection& central, const Instance& instance);

bool IsSelected(const v1::MigrationSelection& selection, const FleetDatabase& database);
// What a name with *, ? fits.
bool FitsGlob(std::string_view glob, std::string_view text);

// INVALID_FIELD for what makes no sense: globs, percentages, numbers, what UNDO and REPAIR need.
absl::Status CheckSpec(const v1::MigrationSpec& spec);

// Sets the waves of the databases, which stay in the order of waves: the central database first, in a wave of its own
// with the canaries; then the ends that `spec` names; then the rest. Returns the number of waves. Empty waves are left
// out.
int AssignWaves(const v1::MigrationSpec& spec, std::vector<FleetDatabase>& databases);

// Files that the database lacks, by its version alone.
std::vector<const Migration*> PendingFor(const FleetDatabase& database, const FleetMigrations& files);

// Which databases' histories are not those of the files up to their versions: one was edited, renamed, removed or came
// late. By the summary alone. Keeps what it has computed: most databases are of one version.
class Differences {
 public:
  // `files` outlives it.
  explicit Differences(const FleetMigrations& files) : files_(files) {}

  bool Has(const FleetDatabase& database);

 private:
  const FleetMigrations& files_;
  std::map<std::pair<bool, int>, std::string> digests_;  // by whether it is a tenant's, and the version
};

// Names and checksums of both kinds of files.
std::vector<v1::MigrationFile> FilesOf(const FleetMigrations& files);

}  // namespace leasehold::provisioner
