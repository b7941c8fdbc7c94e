// Cuts a migration file into its statements, so that an error can name its line and so that what must not stand in a
// migration is refused before anything runs.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace leasehold::provisioner {

struct SqlStatement {
  std::string text{};  // without the final semicolon
  int line = 0;        // of its first character, from 1
};

// Follows PostgreSQL's lexical rules: strings, quoted identifiers, dollar quotes, nested comments, parentheses, and
// BEGIN ATOMIC bodies. MIGRATION_FAILED, beginning with "line N: ", for an open quote or comment, a psql meta-command,
// COPY FROM STDIN, and statements that begin or end a transaction or change the role: each file runs in one
// transaction, as the database's owner.
absl::StatusOr<std::vector<SqlStatement>> SplitStatements(std::string_view sql);

}  // namespace leasehold::provisioner
