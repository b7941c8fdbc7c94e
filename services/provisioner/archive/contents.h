// What a tenant's database holds, as far as a copy of it can be checked: the migrations that were applied, and how many
// rows each table has. All as of one moment.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/postgres/postgres.h"
#include "leasehold/v1/error.pb.h"

namespace leasehold::provisioner {

struct AppliedMigration {
  bool operator==(const AppliedMigration&) const = default;
  int version = 0;
  std::string name{};
  std::string checksum{};
  std::string run{};  // which applied it, and may be undone; empty: none
};

struct TableRows {
  bool operator==(const TableRows&) const = default;
  std::string schema{};
  std::string table{};
  int64_t rows = 0;
};

struct Contents {
  bool operator==(const Contents&) const = default;
  std::vector<AppliedMigration> migrations{};  // by version
  std::vector<TableRows> tables{};             // by schema and name; without what belongs to extensions
  // The newest applied migration's; 0 if there is none.
  int schema_version() const { return migrations.empty() ? 0 : migrations.back().version; }
};

// Tables may be so large that counting their rows takes minutes: `go_on` is asked meanwhile in all of these, and what
// it returns, if not OK, ends the work and is the answer.

// As `tx` sees it, which is the provisioner's login in that database. MIGRATION_FAILED while a migration is under way,
// or a file without a transaction is left in part: a copy could not go on with it.
absl::StatusOr<Contents> ReadContents(postgres::Transaction& tx, const std::function<absl::Status()>& go_on);

// What a copy is taken of.
struct Snapshot {
  std::string id{};           // of pg_export_snapshot(), for pg_dump --snapshot
  bool large_objects = true;  // false: the database's owner may read none of them
};

// Runs `copy` while the snapshot that it is given stands, and returns the contents as of it. `go_on` is asked between
// the two, too. All tables are locked against TRUNCATE, DROP and the like meanwhile, for those heed no snapshot;
// BACKUP_FAILED if that is in vain.
//
// PostgreSQL lets every role make large objects, the read-only one too, and pg_dump fails at the first that it may not
// read. Where the owner has large objects, those of other roles become the owner's; where it has none, the others' are
// left out, so that nobody can keep a copy from being made by making more of them.
absl::StatusOr<Contents> CopyWithSnapshot(postgres::Connection& inside, const std::function<absl::Status()>& go_on,
                                          const std::function<absl::Status(const Snapshot& snapshot)>& copy);

// The migrations of `contents` become the history of a database to which they were copied.
absl::Status WriteHistory(postgres::Connection& inside, const Contents& contents);

// OK if `inside` holds as many rows as `contents`; otherwise an error of this reason that names the first table that
// differs.
absl::Status CompareRows(postgres::Connection& inside, const Contents& contents,
                         const std::function<absl::Status()>& go_on, v1::Reason reason);

}  // namespace leasehold::provisioner
