// Dropping a database in two moves. DROP DATABASE takes a name and no transaction: between the look at whose a database
// is and its drop, the name can come to mean another. So the database is first set aside, renamed in one transaction
// with the look to a name that carries its oid and is nobody else's; then that name is dropped.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "common/postgres/postgres.h"

namespace leasehold::provisioner {

// Ends all sessions in the database `name` and sets it aside, if it or its owner bears `mark`; a foreign one, or none,
// is left as it is. `allowed` is asked in the same transaction. Not OK, and nothing has changed, also if the name went
// to another database meanwhile.
absl::Status SetAside(postgres::Connection& central, const std::string& name, std::string_view mark,
                      const std::function<absl::Status(postgres::Transaction&)>& allowed);

// The rename alone, in the caller's transaction, which fails with SQLSTATE 55006 while anybody is in the database.
absl::Status RenameAside(postgres::Transaction& tx, const std::string& name, std::string_view mark);

// `status` of a rename of the database `name`, which says that a prepared transaction keeps it in use if one does: of
// PostgreSQL's errors we get no detail, since that may quote what tenants have stored.
absl::Status NamingPrepared(postgres::Connection& central, const std::string& name, const absl::Status& status);

// Drops the database, which is the caller's to drop; also one that its owner, a tenant's role, has declared a template.
absl::Status DropDatabase(postgres::Connection& central, const std::string& name);

// Drops what was set aside under `mark`; nullopt: under any of Leasehold's marks, as far as the login may.
absl::Status DropSetAside(postgres::Connection& central, std::optional<std::string> mark = std::nullopt);

}  // namespace leasehold::provisioner
