// Which files a new database is made with: all of them, unless one of them fails.
//
// A file that fails must not keep tenants from coming while people see to it. So if it has failed at a tenant in the
// newest run, and then in a new database too, the files end before it; until that run goes on, another one begins, or
// the files change. The same if no run has met it yet, and a tenant is in service with just the files before it, for as
// long as there is one and nobody has more. A database that is made meanwhile is whole, and behind like those that the
// run has not brought further: the next run finds it so. Where neither is true nothing is held back, since no tenant
// shows that the files before are of any use by themselves.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "common/postgres/postgres.h"
#include "services/provisioner/migrations/library.h"

namespace leasehold::provisioner {

// One choice, shared by all copies of this handle. Any thread.
class NewcomerFiles {
 public:
  NewcomerFiles() : NewcomerFiles(SharedMigrations()) {}
  NewcomerFiles(SharedMigrations all);   // NOLINT(google-explicit-constructor): nothing is held back yet
  NewcomerFiles(Migrations migrations);  // NOLINT(google-explicit-constructor): a list that nobody replaces

  std::shared_ptr<const Migrations> Get() const;
  // For a database that has been complete before.
  std::shared_ptr<const Migrations> All() const { return state_->all.Get(); }

  // A new database could not be migrated with `used`, which Get() gave. `name`: of the file that failed by what stands
  // in it; empty: none did. True if Get() gives fewer now. Blocks.
  absl::StatusOr<bool> HoldBack(postgres::Connection& central, const Migrations& used, const std::string& name) const;
  bool holds() const;
  // Lets go what the newest run does not speak against any more; for whoever is about to use Get(). Blocks if holds().
  absl::Status Review(postgres::Connection& central) const;

 private:
  struct State {
    explicit State(SharedMigrations files) : all(std::move(files)) {}
    SharedMigrations all;
    absl::Mutex mu;
    bool by_run ABSL_GUARDED_BY(mu) = false;   // whether a run has failed at it
    int failing ABSL_GUARDED_BY(mu) = 0;       // the version of the file before which `some` ends; 0: none
    std::string digest ABSL_GUARDED_BY(mu){};  // of all files that were there then
    std::shared_ptr<const Migrations> seen ABSL_GUARDED_BY(mu){};  // a reading that has that digest
    std::shared_ptr<const Migrations> some ABSL_GUARDED_BY(mu){};
  };
  std::shared_ptr<State> state_;
};

}  // namespace leasehold::provisioner
