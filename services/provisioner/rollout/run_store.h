// Runs and their databases in the central database: leasehold.runs, leasehold.run_tasks. What is not here did not
// happen; what a killed provisioner was at is taken up from here.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "common/clock/clock.h"
#include "common/identity/identity.h"
#include "common/postgres/postgres.h"
#include "leasehold/v1/migration.pb.h"
#include "services/provisioner/rollout/fleet.h"

namespace leasehold::provisioner {

enum class RunPhase { kListing, kChecking, kWorking, kEnded };

struct StoredRun {
  int64_t number = 0;
  v1::MigrationRun run{};  // with its counts
  RunPhase phase = RunPhase::kListing;
  bool cancelled = false;
  int forgiven = 0;
  std::string scratch{};  // database id
};

// What became of a database. `digest`: of its history now; empty if that is not known.
struct TaskNote {
  std::string database_id{};
  v1::MigrationTaskState state = v1::MIGRATION_TASK_STATE_PENDING;
  int from_version = 0;
  int to_version = 0;
  std::string digest{};
  v1::MigrationTask report{};
};

struct RunRetention {
  static constexpr int kAlways = 100;  // of the newest, however old
  absl::Duration time = absl::Hours(24 * 30);
  int most = 1000;
};

// Any thread; each call blocks on one short transaction. Errors of the pool; OPERATION_NOT_FOUND.
class RunStore {
 public:
  RunStore(postgres::ConnectionPool& central, const Clock& clock, ServiceName service)
      : central_(&central), clock_(clock), service_(std::move(service)) {}
  // For whoever works on a run: over the connection that holds the lock of runs, so that nothing is written any more
  // once the lock is lost. One thread at a time.
  RunStore(postgres::Connection& holder, const Clock& clock, ServiceName service)
      : holder_(&holder), clock_(clock), service_(std::move(service)) {}

  // "identity.7" ↔ 7. OPERATION_NOT_FOUND for what is no id of this service's.
  std::string IdOf(int64_t number) const;
  absl::StatusOr<int64_t> NumberOf(std::string_view id) const;

  // The same request twice is one run. MIGRATION_FAILED while another one is under way.
  absl::StatusOr<StoredRun> Create(const v1::MigrationSpec& spec, std::span<const v1::MigrationFile> files,
                                   const std::string& request_id);
  absl::StatusOr<StoredRun> Get(int64_t number);
  // The one that is under way.
  absl::StatusOr<std::optional<StoredRun>> Running();
  absl::StatusOr<std::vector<StoredRun>> Newest(int limit);
  // The newest one that applies or takes back.
  absl::StatusOr<std::optional<StoredRun>> LastThatWrites();
  // Of the newest run; 0: there was none yet.
  absl::StatusOr<int64_t> NewestNumber();

  // Of these two a `call` (its id; empty: none) that comes once more, late, changes nothing.
  absl::Status Cancel(int64_t number, const std::string& call = "");
  // MIGRATION_FAILED if it succeeded, or another one is under way; a run that is under way stays so.
  absl::Status Resume(int64_t number, bool failed, const std::string& call = "");

  // Forgets runs that have ended, as `retention` says. Those that change databases, and could be undone, are counted
  // apart from those that only look.
  absl::Status Prune(const RunRetention& retention);

  // Drops from the summary what is no tenant's database and no spare any more.
  absl::Status ForgetGone();
  // Databases that are not in it yet.
  absl::Status AddTasks(int64_t number, std::span<const FleetDatabase> databases);
  // PENDING and RUNNING ones in the order of waves and names, with what the summary says of them now.
  absl::StatusOr<std::vector<FleetDatabase>> Unfinished(int64_t number);
  absl::StatusOr<v1::ListMigrationTasksResponse> ListTasks(int64_t number,
                                                           const v1::ListMigrationTasksRequest& request);

  // A database of the run has a lower version than it had before.
  absl::StatusOr<bool> AnyWentBack(int64_t number);

  absl::Status SetPhase(int64_t number, RunPhase phase, const std::string& message);
  absl::Status SetWave(int64_t number, int wave);
  absl::Status SetScratch(int64_t number, const std::string& database_id);
  absl::Status SetFindings(int64_t number, const v1::MigrationRun& with_findings);
  // Also the summary of each database whose digest is known, and the version that its tenant's status reports.
  absl::Status Note(int64_t number, std::span<const TaskNote> notes);
  absl::Status Finish(int64_t number, v1::MigrationRunState state, const std::string& message);

 private:
  absl::StatusOr<pqxx::result> Exec(std::string_view sql, std::initializer_list<postgres::Param> params = {});
  absl::StatusOr<std::vector<StoredRun>> Read(std::string_view where, std::initializer_list<postgres::Param> params);
  absl::Status Busy();
  absl::Status InTransaction(const std::function<absl::Status(postgres::Transaction&)>& work);
  std::string Now() const;

  postgres::ConnectionPool* central_ = nullptr;  // or
  postgres::Connection* holder_ = nullptr;
  const Clock& clock_;
  const ServiceName service_;
};

}  // namespace leasehold::provisioner
