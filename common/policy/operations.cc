#include "common/policy/operations.h"

#include <algorithm>

namespace leasehold {
namespace {

constexpr std::string_view kOperations[] = {
    "audit.list",
    "audit.verify",
    "backup.create",
    "backup.delete",
    "backup.get",
    "backup.list",
    "backup.restore",
    "doctor.diagnose",
    "instance.list",
    "lease.acquire",
    "lease.get",
    "lease.list",
    "lease.release",
    "lease.renew",
    "lease.revoke",
    "lease.switch",
    "log.get",
    "log.set",
    "migration.cancel",
    "migration.get",
    "migration.list",
    "migration.plan",
    "migration.resume",
    "migration.start",
    "migration.status",
    "operation.cancel",
    "operation.get",
    "operation.list",
    "policy.explain",
    "pool.list",
    "provisioner.backups",
    "provisioner.desired",
    "provisioner.report",
    "status.get",
    "tenant.clone",
    "tenant.create",
    "tenant.delete",
    "tenant.get",
    "tenant.list",
    "tenant.resume",
    "tenant.retry",
    "tenant.suspend",
    "tenant.undelete",
    "tenant.update",
    "tenant.watch",
};
static_assert(std::ranges::is_sorted(kOperations));

}  // namespace

std::span<const std::string_view> Operations() { return kOperations; }

bool IsOperation(std::string_view name) { return std::ranges::binary_search(kOperations, name); }

}  // namespace leasehold
