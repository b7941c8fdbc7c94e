#include "services/provisioner/steps/claimer.h"

#include <format>

#include "common/secret/secret.h"
#include "common/status/error.h"

namespace leasehold::provisioner {
namespace {

using postgres::QuoteIdentifier;

constexpr std::string_view kMark = "leasehold claims";
constexpr std::string_view kNoSuchObject = "42704";

}  // namespace

std::string ClaimerOf(std::string_view login) {
  const auto digest = Sha256(login);
  return std::format("leasehold_claims_{}", Hex(std::string_view(reinterpret_cast<const char*>(digest.data()), 4)));
}

absl::Status MakeClaimer(postgres::Transaction& tx, const std::string& claimer) {
  const std::string name = QuoteIdentifier(claimer);
  LH_ASSIGN_OR_RETURN(const pqxx::result present,
                      tx.Exec("SELECT coalesce(shobj_description(r.oid, 'pg_authid') = $2, false) AND NOT EXISTS "
                              "(SELECT FROM pg_auth_members m WHERE m.roleid = r.oid "
                              "AND pg_get_userbyid(m.member) <> current_user) FROM pg_roles r WHERE r.rolname = $1",
                              {claimer, std::string(kMark)}));
  if (present.empty()) {
    LH_RETURN_IF_ERROR(
        tx.Exec(std::format("CREATE ROLE {0}; COMMENT ON ROLE {0} IS {1}", name, postgres::QuoteLiteral(kMark)))
            .status());
  } else if (!present[0][0].as<bool>()) {
    return Error(v1::REASON_NAME_TAKEN,
                 std::format("a role {} exists that Leasehold did not make, or that others may act as", claimer));
  }
  return tx
      .Exec(std::format("ALTER ROLE {0} NOLOGIN CREATEDB CREATEROLE;"
                        "GRANT {0} TO CURRENT_USER WITH INHERIT FALSE, SET TRUE;"
                        "GRANT USAGE ON SCHEMA leasehold TO {0};"
                        "GRANT SELECT, INSERT, UPDATE ON leasehold.tenants TO {0};"
                        "GRANT SELECT, UPDATE, DELETE ON leasehold.spares TO {0}",
                        name))
      .status();
}

absl::Status LetClaim(postgres::Transaction& tx, const std::string& claimer, const RoleSpec& owner,
                      const RoleSpec& reader) {
  return tx
      .Exec(std::format("GRANT {}, {} TO {} WITH ADMIN TRUE, INHERIT TRUE, SET FALSE", QuoteIdentifier(owner.name),
                        QuoteIdentifier(reader.name), QuoteIdentifier(claimer)))
      .status();
}

absl::Status EndClaims(postgres::Connection& central, const std::string& claimer) {
  LH_ASSIGN_OR_RETURN(
      const pqxx::result given,
      central.ExecAlone("SELECT string_agg(quote_ident(r.rolname), ', ') FROM pg_roles c "
                        "JOIN pg_auth_members m ON m.member = c.oid JOIN pg_roles r ON r.oid = m.roleid "
                        "WHERE c.rolname = $1 AND starts_with(r.rolname, 'tenant_') "
                        "AND pg_get_userbyid(m.grantor) = current_user",
                        {claimer}));
  if (given[0][0].is_null()) return absl::OkStatus();
  const absl::Status ended =
      central.ExecAlone(std::format("REVOKE {} FROM {}", given[0][0].as<std::string>(), QuoteIdentifier(claimer)))
          .status();
  // A tenant that was removed meanwhile; the rest is for the next look.
  return postgres::SqlStateOf(ended) == kNoSuchObject ? absl::OkStatus() : ended;
}

}  // namespace leasehold::provisioner
