// What a statement that cannot run in a transaction leaves when it is interrupted, and so how to go on.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "common/postgres/postgres.h"

namespace leasehold::provisioner {

struct AloneStatement {
  enum class Kind {
    kCreateIndex,  // CREATE [UNIQUE] INDEX CONCURRENTLY name: half done, there is an invalid index
    kDropIndex,    // DROP INDEX CONCURRENTLY name: half done, the same
    kReindex,      // REINDEX … CONCURRENTLY: half done, invalid indexes named …_ccnew or …_ccold
    kRepeatable,   // VACUUM, ANALYZE, or with IF [NOT] EXISTS: runs again without harm
    kOther,        // nobody can tell how an interrupted one ended
  };
  Kind kind = Kind::kOther;
  std::string schema{};  // of the index, as PostgreSQL stores it; empty: not said
  std::string index{};   // empty: CREATE INDEX CONCURRENTLY without a name
};

AloneStatement ReadAloneStatement(std::string_view sql);

// What PostgreSQL would refuse inside a transaction: CONCURRENTLY where it stands for that, or VACUUM; else empty.
std::string_view RefusedInTransactions(std::string_view sql);

// The same without CONCURRENTLY, or as it is if no transaction refuses it; nothing for what only tidies up what is
// there (VACUUM, REINDEX).
std::optional<std::string> FormForTransactions(std::string_view sql);

enum class IndexState { kAbsent, kInvalid, kValid };
absl::StatusOr<IndexState> StateOf(postgres::Connection& owner, const AloneStatement& statement);

// Drops what an interrupted or failed `statement` has left half done; nothing if there is nothing.
absl::Status CleanUpAfter(postgres::Connection& owner, const AloneStatement& statement);

}  // namespace leasehold::provisioner
