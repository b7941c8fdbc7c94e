// What a statement that cannot run in a transaction leaves when it is interrupted, and so how to go on.
#pragma once

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

// The statement has CONCURRENTLY where PostgreSQL refuses it inside a transaction.
bool IsConcurrent(std::string_view sql);

enum class IndexState { kAbsent, kInvalid, kValid };
absl::StatusOr<IndexState> StateOf(postgres::Connection& owner, const AloneStatement& statement);

// Drops what an interrupted or failed `statement` has left half done; nothing if there is nothing.
absl::Status CleanUpAfter(postgres::Connection& owner, const AloneStatement& statement);

}  // namespace leasehold::provisioner
