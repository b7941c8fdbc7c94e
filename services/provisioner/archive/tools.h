// pg_dump and pg_restore as child processes. Passwords go through the environment, which nobody but this user can read:
// never on a command line, which everybody can, nor into a log.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "common/postgres/postgres.h"
#include "services/provisioner/archive/contents.h"

namespace leasehold::provisioner {

using GoOn = std::function<absl::Status()>;

struct Dump {
  postgres::ConnectOptions login{};  // DumpLogin(), into the database that is copied
  std::string owner{};               // the role whose privileges the copying has
  Snapshot snapshot{};
};

// Block until it is done; `go_on` is asked several times a second: what it returns, if not OK, ends the work and is the
// answer. The children are killed, and die with this thread too. BACKUP_FAILED with the program's first error;
// INSTANCE_UNAVAILABLE if it could not connect.
//
// The schema `leasehold`, which is not the tenant's, owners and privileges are left out: they follow from where a copy
// goes, see GrantInside().
absl::Status DumpToFolder(const Dump& dump, const std::filesystem::path& folder, const GoOn& go_on);
// `target`: as the owner of an empty database. All or nothing.
absl::Status RestoreFromFolder(const std::filesystem::path& folder, const postgres::ConnectOptions& target,
                               const GoOn& go_on);
// The two at once, through a pipe.
absl::Status CopyDatabase(const Dump& dump, const postgres::ConnectOptions& target, const GoOn& go_on);

}  // namespace leasehold::provisioner
