// One run of steps for a tenant, or a spare, at a time, however many provisioners its service has. The turn is an
// advisory lock of the server's session: it goes with the process that holds it, or with its connection. Of a process
// that stands still it is taken away (silent_holder.h), and whatever that one does afterwards fails, because its
// connection stays (postgres::Connection::Stay).
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/postgres/postgres.h"
#include "services/provisioner/steps/silent_holder.h"

namespace leasehold::provisioner {

// Blocks shortly. The connection's thread.
class TenantLock {
 public:
  // `central` outlives it, and is replaced by no other until then, should it break.
  // `name`: the tenant's id; of a spare the database's.
  TenantLock(postgres::Connection& central, std::string name);
  ~TenantLock();  // Release()
  TenantLock(const TenantLock&) = delete;
  TenantLock& operator=(const TenantLock&) = delete;

  // False: another run has it. If that one's process has been silent for `patience`, its sessions are ended, and the
  // next try succeeds.
  absl::StatusOr<bool> TryTake(absl::Duration patience = kSilence);

  void Release();

  // Not OK (INSTANCE_UNAVAILABLE) if it is no longer held.
  absl::Status Check(postgres::Transaction& tx) const;
  absl::Status Check() const;

 private:
  postgres::Connection& central_;
  const std::string name_;
  bool taken_ = false;
};

}  // namespace leasehold::provisioner
