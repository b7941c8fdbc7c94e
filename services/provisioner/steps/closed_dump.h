// A dump of a closed tenant's database, which logs in as the provisioner (archive/dump_login.h), as the owner may not:
// nobody may come in meanwhile. So it holds a lock, and whoever opens the tenant ends it first.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "common/postgres/postgres.h"

namespace leasehold::provisioner {

// The lock of one dump; several may have it. One thread.
class ClosedDump {
 public:
  // `central`: of the provisioner's login, to the central database; the lock lives with its session. `owner`: the role,
  // whose name is the database's too.
  ClosedDump(postgres::Connection& central, std::string owner);
  ~ClosedDump();
  ClosedDump(const ClosedDump&) = delete;
  ClosedDump& operator=(const ClosedDump&) = delete;

  // From here on nobody lets the owner log in without ending `central`'s session. Whether it may already is to be seen
  // afterwards.
  absl::Status Take();
  void Release();

 private:
  postgres::Connection& central_;
  const std::string owner_;
  bool taken_ = false;
};

// Ends the sessions that hold such locks on `owner`, then all of the provisioner's login in that database: a pg_dump
// about to log in finds its snapshot gone. Until the transaction's end no other begins. INTERNAL if some remain.
absl::Status EndClosedDumps(postgres::Transaction& tx, const std::string& owner);

}  // namespace leasehold::provisioner
