// What every tenant database of a provisioner should have.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "services/provisioner/state/newcomer_files.h"

namespace leasehold::provisioner {

struct Standard {
  bool operator==(const Standard&) const = default;

  int schema_version = 0;
  // DigestOf() the files up to that version: versions are used a second time, by a file that was taken back and mended.
  std::string schema_digest{};
  std::string role_key{};  // Instance::KeyFingerprint()
  // Databases in place are to have schema_version; else any version will do, once they have one.
  bool migrates_in_place = true;
};

// What follows from these files.
Standard StandardOf(const Migrations& files, std::string role_key);

// The same of what new databases are made with now. Any thread.
class CurrentStandard {
 public:
  CurrentStandard(NewcomerFiles files, std::string role_key)
      : files_(std::move(files)), role_key_(std::move(role_key)) {}

  Standard Get() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  const NewcomerFiles files_;
  const std::string role_key_;
  mutable absl::Mutex mu_;
  // Made once for each list: it is asked for with each tenant that comes.
  mutable std::shared_ptr<const Migrations> read_ ABSL_GUARDED_BY(mu_);
  mutable Standard standard_ ABSL_GUARDED_BY(mu_);
};

}  // namespace leasehold::provisioner
