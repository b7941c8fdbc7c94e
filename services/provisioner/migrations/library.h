// The files that a provisioner works with, which may be read again while it runs.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "services/provisioner/migrations/folder.h"

namespace leasehold::provisioner {

// One list of files, shared by all copies of this handle. Any thread.
class SharedMigrations {
 public:
  SharedMigrations(Migrations migrations = {})  // NOLINT(google-explicit-constructor): a list that nobody replaces
      : state_(std::make_shared<State>(std::move(migrations))) {}

  // What is used must be kept as long as it is used: Set() replaces it.
  std::shared_ptr<const Migrations> Get() const;
  void Set(Migrations migrations);

 private:
  struct State {
    explicit State(Migrations migrations) : current(std::make_shared<const Migrations>(std::move(migrations))) {}
    absl::Mutex mu;
    std::shared_ptr<const Migrations> current ABSL_GUARDED_BY(mu);
  };
  std::shared_ptr<State> state_;
};

// The two lists of a service's folder.
class MigrationLibrary {
 public:
  // Without a folder both stay as they are.
  MigrationLibrary(std::string folder, SharedMigrations tenant, SharedMigrations central)
      : folder_(std::move(folder)), tenant_(std::move(tenant)), central_(std::move(central)) {}
  MigrationLibrary() : MigrationLibrary("", {}, {}) {}

  // Reads both anew; as ReadMigrations(), and then nothing changes.
  absl::Status Reload();

  std::shared_ptr<const Migrations> tenant() const { return tenant_.Get(); }
  std::shared_ptr<const Migrations> central() const { return central_.Get(); }

 private:
  std::string folder_;
  SharedMigrations tenant_;
  SharedMigrations central_;
};

}  // namespace leasehold::provisioner
