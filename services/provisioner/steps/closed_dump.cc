#include "services/provisioner/steps/closed_dump.h"

#include <format>
#include <utility>

#include "common/status/error.h"

namespace leasehold::provisioner {
namespace {

// "lhdp"; the second number is the owner's.
constexpr std::string_view kTake = "SELECT pg_advisory_lock_shared(1818780784, hashtext($1))";
constexpr std::string_view kRelease = "SELECT pg_advisory_unlock_shared(1818780784, hashtext($1))";
constexpr std::string_view kTakeAlone = "SELECT pg_try_advisory_xact_lock(1818780784, hashtext($1))";
constexpr std::string_view kEndHolders =
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE locktype = 'advisory' AND classid = 1818780784 "
    "AND objid = hashtext($1)::oid AND objsubid = 2 AND granted AND pid <> pg_backend_pid() "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
constexpr std::string_view kEndInside =
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1 "
    "AND pg_has_role(usesysid, 'USAGE') AND pid <> pg_backend_pid()";
constexpr int kRounds = 5;

}  // namespace

ClosedDump::ClosedDump(postgres::Connection& central, std::string owner)
    : central_(central), owner_(std::move(owner)) {}

ClosedDump::~ClosedDump() { Release(); }

absl::Status ClosedDump::Take() {
  LH_RETURN_IF_ERROR(central_.ExecAlone(kTake, {owner_}).status());
  taken_ = true;
  return absl::OkStatus();
}

void ClosedDump::Release() {
  if (!taken_) return;
  (void)central_.ExecAlone(kRelease, {owner_});
  taken_ = false;
}

absl::Status EndClosedDumps(postgres::Transaction& tx, const std::string& owner) {
  for (int round = 0; round < kRounds; ++round) {
    LH_ASSIGN_OR_RETURN(const pqxx::result ended, tx.Exec(kEndHolders, {owner}));
    if (!ended.empty()) {
      // A transaction shows who is there as it saw it first.
      LH_RETURN_IF_ERROR(tx.Exec("SELECT pg_stat_clear_snapshot()").status());
      LH_RETURN_IF_ERROR(tx.Exec(kEndInside, {owner}).status());
    }
    LH_ASSIGN_OR_RETURN(const pqxx::result alone, tx.Exec(kTakeAlone, {owner}));
    if (alone[0][0].as<bool>()) return absl::OkStatus();
  }
  return Error(v1::REASON_INTERNAL, std::format("a dump of the closed database {} does not end", owner));
}

}  // namespace leasehold::provisioner
