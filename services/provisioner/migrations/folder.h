// The ordered SQL files of one kind of database, read and checked once at start.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "services/provisioner/migrations/statements.h"

namespace leasehold::provisioner {

// What takes a migration back: NNNN_name.down.sql. Always one transaction; its checksum is not recorded, so it may be
// mended after the fact.
struct DownMigration {
  std::string name{};  // "0001_init.down.sql"
  std::vector<SqlStatement> statements{};
};

struct Migration {
  int version = 0;         // the NNNN of the file's name
  std::string name{};      // "0001_init.sql"
  std::string checksum{};  // SHA-256 of the file, 64 hex digits
  std::vector<SqlStatement> statements{};
  // False with a comment line `-- leasehold: no-transaction` before the first statement: each statement then runs on
  // its own, and how far it came is recorded.
  bool transactional = true;
  std::optional<DownMigration> down{};
};

// In the order of versions, which are unique and rise.
using Migrations = std::vector<Migration>;

// The server parses a file as a whole, and takes about twelve times its size for that, in each database that is worked
// on.
inline constexpr size_t kMaxMigrationBytes = 32 << 20;

// `folder`/NNNN_name.sql and NNNN_name.down.sql; hidden files are skipped, an absent folder holds nothing. A file that
// cannot be a migration is refused: INVALID_FIELD for its name, MIGRATION_FAILED (with file and line) for what stands
// in it: also CONCURRENTLY and VACUUM in a file that is one transaction, an index made CONCURRENTLY without a name,
// because nobody could tell what an interrupted one has left, and statements that are not UTF-8. A byte order mark is
// passed over.
absl::StatusOr<Migrations> ReadMigrations(const std::string& folder);

// NNNN_name.sql, and no down file's.
bool IsMigrationName(std::string_view name);

// 0 if there are none.
int NewestVersion(const Migrations& migrations);

}  // namespace leasehold::provisioner
