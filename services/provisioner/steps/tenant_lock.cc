#include "services/provisioner/steps/tenant_lock.h"

#include <string>
#include <utility>

#include "common/status/error.h"

namespace leasehold::provisioner {
namespace {

// "lhtn"; the second number is the tenant's.
constexpr std::string_view kLock = "SELECT pg_try_advisory_lock(1818784878, hashtext($1))";
constexpr std::string_view kUnlock = "SELECT pg_advisory_unlock(1818784878, hashtext($1))";
constexpr std::string_view kLocked =
    "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = 1818784878 "
    "AND objid = hashtext($1)::oid AND objsubid = 2 AND granted AND pid = pg_backend_pid())";

constexpr std::string_view kByTenant = "l.classid = 1818784878 AND l.objid = hashtext($1)::oid AND l.objsubid = 2";

}  // namespace

TenantLock::TenantLock(postgres::Connection& central, std::string name) : central_(central), name_(std::move(name)) {}

TenantLock::~TenantLock() { Release(); }

void TenantLock::Release() {
  if (!taken_) return;
  (void)central_.ExecAlone(kUnlock, {name_});
  central_.Stay(false);
  taken_ = false;
}

absl::StatusOr<bool> TenantLock::TryTake(absl::Duration patience) {
  LH_ASSIGN_OR_RETURN(taken_, TryLock(central_, kLock, {.condition = kByTenant, .parameter = name_}, patience));
  if (taken_) central_.Stay(true);
  return taken_;
}

absl::Status TenantLock::Check(postgres::Transaction& tx) const {
  LH_ASSIGN_OR_RETURN(const pqxx::result locked, tx.Exec(kLocked, {name_}));
  if (locked[0][0].as<bool>()) return absl::OkStatus();
  return Error(v1::REASON_INSTANCE_UNAVAILABLE, "the connection to the instance was lost in the middle of the work");
}

absl::Status TenantLock::Check() const {
  return central_.InTransaction([this](postgres::Transaction& tx) { return Check(tx); });
}

}  // namespace leasehold::provisioner
