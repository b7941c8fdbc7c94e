// The databases of a service as its central one knows them, and which of them a run is about.
#pragma once

#include <limits>
#include <map>
#include <memory>
#include <span>
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
  // The highest versions that are brought to databases: files that came after a run began are none of the run's.
  int newest_tenant = std::numeric_limits<int>::max();
  int newest_central = std::numeric_limits<int>::max();

  const Migrations& Of(std::string_view tenant_id) const { return tenant_id.empty() ? *central : *tenant; }
  int NewestOf(std::string_view tenant_id) const { return tenant_id.empty() ? newest_central : newest_tenant; }
};

struct FleetDatabase {
  std::string database_id{};
  std::string database{};
  std::string tenant{};  // empty: the central database
  int version = 0;
  std::string digest{};  // DigestOf(History); empty: not known
  int wave = 0;
  bool finished = true;  // false: a tenant's that was never complete; its maker goes on trying
};

// The central database and those of open tenants, by name. One query. Spares are none of them: their keeper brings them
// to new files.
absl::StatusOr<std::vector<FleetDatabase>> ListFleet(postgres::Connection& central, const Instance& instance);

bool IsSelected(const v1::MigrationSelection& selection, const FleetDatabase& database);

// INVALID_FIELD for what makes no sense: globs, percentages, numbers, what UNDO and REPAIR need.
absl::Status CheckSpec(const v1::MigrationSpec& spec);
// INVALID_FIELD for a glob that fits no tenant of the fleet, and for settings that none of its tenants has.
absl::Status CheckSelected(const v1::MigrationSpec& spec, std::span<const FleetDatabase> fleet,
                           const ServiceName& service);

// Sets the waves of the databases, which stay in the order of waves: the central database first, in a wave of its own
// with the canaries; then the ends that `spec` names; then the rest. Returns the number of waves. Empty waves are left
// out.
int AssignWaves(const v1::MigrationSpec& spec, std::vector<FleetDatabase>& databases);

// Files that the database lacks and is to have, by its version alone.
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

// How the first of the run's own files that is not as it was when the run began differs, as a sentence: "0003_c.sql was
// edited"; empty if none does. A file above all of the run's is another run's; one that came among them is not.
std::string DifferenceFrom(const v1::MigrationRun& run, const FleetMigrations& files);
// `files`, of which the run's are brought to databases.
FleetMigrations LimitedTo(const v1::MigrationRun& run, FleetMigrations files);

}  // namespace leasehold::provisioner
