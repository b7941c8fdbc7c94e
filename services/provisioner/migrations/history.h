// What was applied to a database, in its own table `leasehold.migrations`, and how a migration's record gets there in
// the migration's own transaction although its owner may not write the table.
//
// A file runs on a connection that logged in as the database's owner, not under SET ROLE on the provisioner's own: code
// that a tenant has left in its database (a trigger on a table that a migration updates) could RESET ROLE and find
// itself with the provisioner's privileges. So the record is written by a function that belongs to the provisioner's
// login, and that asks for a token: a digest over what is to be recorded, the transaction's id, and a secret that only
// that function can read. A tenant may call it, and may even see a token; it fits one transaction and one record
// (docs/adr/0012-migrations-and-their-records.md).
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/postgres/postgres.h"
#include "common/secret/secret.h"
#include "services/provisioner/migrations/folder.h"

namespace leasehold::provisioner {

struct HistoryRow {
  std::string name{};
  std::string checksum{};
  bool applied = true;  // false: a no-transaction file of which `done` statements have run
  std::string run{};    // the run that applied it; empty: with the making of the database
  int done = 0;
  int begun = 0;         // the statement (from 1) that was begun and not noted as done; 0: none
  bool unknown = false;  // written by an older Leasehold, and not known yet how it ended
};
using History = std::map<int, HistoryRow>;

// Makes schema `leasehold`, its tables, view and functions if they are missing or older, gives the functions to `owner`
// and sets their secret. `keeper`: the provisioner's login inside the database. Idempotent.
absl::Status PrepareHistory(postgres::Connection& keeper, std::string_view owner, const Secret& secret);
// The same within a transaction. Of two at once in one database one may fail: "tuple concurrently updated".
absl::Status PrepareHistory(postgres::Transaction& tx, std::string_view owner, const Secret& secret);

// False: by an older Leasehold, or not at all. As the provisioner's login.
absl::StatusOr<bool> IsPrepared(postgres::Connection& keeper);

// True if PrepareHistory() is what is missing: it was never run by this version, or with another secret.
bool IsUnprepared(const absl::Status& status);

// As the owner.
absl::StatusOr<History> ReadHistory(postgres::Connection& owner);
// The same in two parts, for who reads it together with other things: the statement, and its rows.
std::string_view HistoryQuery();
History HistoryOf(const postgres::Together::Rows& rows);
// As the provisioner's login; an absent table is an empty history.
absl::StatusOr<History> ReadHistoryAsKeeper(postgres::Connection& keeper);

// Names, checksums and what is complete, as 16 hex digits: databases of one history have one digest.
std::string DigestOf(const History& history);
std::string DigestOf(const Migrations& migrations, int up_to_version);

// The newest applied version, 0 if there is none.
int NewestVersion(const History& history);

enum class Mismatch { kEdited, kMissing, kRenamed, kLate, kInterrupted };
struct HistoryMismatch {
  Mismatch kind = Mismatch::kEdited;
  int version = 0;
  std::string file{};    // as the folder calls it, else as the history does
  std::string detail{};  // a sentence that begins with what was found: "was edited after it had been applied here"
};
// All of them, in the order of versions. `kInterrupted`: a no-transaction file whose begun statement is of a kind that
// nobody can tell the end of.
std::vector<HistoryMismatch> CompareHistory(const History& history, const Migrations& migrations);
absl::Status StatusOf(const HistoryMismatch& mismatch);

// The statement that records `file` in the owner's transaction `id` (pg_current_xact_id()). It fails, and with it the
// transaction, if the secret is not the database's: IsUnrecorded().
std::string RecordStatement(const Secret& secret, std::string_view id, const Migration& file, std::string_view run);
bool IsUnrecorded(const absl::Status& status);

// Writes of one transaction; `tx`: the owner's. INSUFFICIENT_PRIVILEGE (IsUnprepared) if the secret is not the
// database's.
class HistoryWriter {
 public:
  HistoryWriter(postgres::Transaction& tx, const Secret& secret) : tx_(tx), secret_(secret) {}

  absl::Status Applied(const Migration& file, std::string_view run);
  // How far a no-transaction file is. The first note makes the row; with all statements done it is applied.
  absl::Status Noted(const Migration& file, std::string_view run, int done, int begun);
  absl::Status Undone(int version);

 private:
  absl::StatusOr<std::string> TransactionId();
  absl::Status Call(std::string_view function, std::vector<std::string> arguments);

  postgres::Transaction& tx_;
  const Secret& secret_;
};

}  // namespace leasehold::provisioner
