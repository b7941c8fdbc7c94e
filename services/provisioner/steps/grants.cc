#include "services/provisioner/steps/grants.h"

#include <format>

#include "common/status/error.h"
#include "services/provisioner/migrations/history.h"

namespace leasehold::provisioner {

using postgres::QuoteIdentifier;

absl::Status GrantHistory(postgres::Connection& inside, const std::string& owner, const std::string& reader,
                          const Secret& secret) {
  return inside.InTransaction([&](postgres::Transaction& tx) -> absl::Status {
    LH_RETURN_IF_ERROR(PrepareHistory(tx, owner, secret));
    return tx
        .Exec(std::format("GRANT USAGE ON SCHEMA leasehold TO {0}; GRANT SELECT ON leasehold.migrations TO {0}",
                          QuoteIdentifier(reader)))
        .status();
  });
}

absl::Status GrantInside(postgres::Connection& inside, const RoleSpec& owner_role, const RoleSpec& reader_role,
                         const Secret& history_secret) {
  // Also now, while nobody else has been here: a tenant that made a schema `leasehold` first would own its history.
  LH_RETURN_IF_ERROR(GrantHistory(inside, owner_role.name, reader_role.name, history_secret));
  const std::string owner = QuoteIdentifier(owner_role.name);
  const std::string reader = QuoteIdentifier(reader_role.name);
  const std::string defaults = std::format("ALTER DEFAULT PRIVILEGES FOR ROLE {} GRANT ", owner);
  return inside.InTransaction([&](postgres::Transaction& tx) -> absl::Status {
    LH_RETURN_IF_ERROR(tx.Exec("REVOKE ALL ON SCHEMA public FROM PUBLIC").status());
    LH_RETURN_IF_ERROR(tx.Exec(std::format("GRANT USAGE ON SCHEMA public TO {}", reader)).status());
    LH_RETURN_IF_ERROR(tx.Exec(std::format("{}SELECT ON TABLES TO {}", defaults, reader)).status());
    LH_RETURN_IF_ERROR(tx.Exec(std::format("{}SELECT ON SEQUENCES TO {}", defaults, reader)).status());
    return tx.Exec(std::format("{}USAGE ON SCHEMAS TO {}", defaults, reader)).status();
  });
}

}  // namespace leasehold::provisioner
