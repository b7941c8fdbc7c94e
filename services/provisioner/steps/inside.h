// What is granted inside a tenant's database. PostgreSQL tells of it only to who is connected to it, so looking costs a
// connection each, and is done for a few tenants at a time.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/postgres/postgres.h"

namespace leasehold::provisioner {

struct InsideFault {
  bool widened = false;   // false: the reader lacks something
  std::string object{};   // "schema public", "default privileges", "table app.person"
  std::string message{};  // a sentence about it
  std::string remedy{};   // the statement that puts it right
};

// Compares with what a new database is granted: schema `public` is closed to PUBLIC, and the reader reads, and only
// reads, whatever belongs to the owner, and the history of migrations. At most `limit` faults. `inside`: a connection
// of the provisioner's login.
absl::StatusOr<std::vector<InsideFault>> InspectInside(postgres::Connection& inside, const std::string& owner,
                                                       const std::string& reader, int limit = 1000);

// As far as the login may; what it may not stays as it is. Not OK only if the connection broke.
absl::Status RepairInside(postgres::Connection& inside, const std::vector<InsideFault>& faults);

}  // namespace leasehold::provisioner
