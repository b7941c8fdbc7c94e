#include "services/provisioner/steps/roles.h"

#include <format>
#include <optional>

#include "common/status/error.h"
#include "services/provisioner/steps/closed_dump.h"
#include "services/provisioner/steps/observe.h"

namespace leasehold::provisioner {
namespace {

absl::Status NameTaken(const RoleSpec& role) {
  return Error(v1::REASON_NAME_TAKEN, std::format("a role {} exists that Leasehold did not make", role.name));
}

}  // namespace

absl::Status MakeRole(postgres::Transaction& tx, const RoleSpec& role, std::string_view secret, bool renew_secret) {
  const std::string name = postgres::QuoteIdentifier(role.name);
  const std::string password = std::format(" PASSWORD {}", postgres::QuoteLiteral(secret));
  LH_ASSIGN_OR_RETURN(const std::optional<ObservedRole> present, ObserveRole(tx, role.name));
  if (present.has_value()) {
    if (present->mark != role.mark) return NameTaken(role);
    if (renew_secret) LH_RETURN_IF_ERROR(tx.Exec(std::format("ALTER ROLE {}{}", name, password)).status());
  } else {
    LH_RETURN_IF_ERROR(
        tx.Exec(std::format("CREATE ROLE {} NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS{}",
                            name, password))
            .status());
    LH_RETURN_IF_ERROR(
        tx.Exec(std::format("COMMENT ON ROLE {} IS {}", name, postgres::QuoteLiteral(role.mark))).status());
    if (role.kind == RoleKind::kReadOnly) {
      // A courtesy with a clear error; what keeps it from writing is that it has no such privilege.
      LH_RETURN_IF_ERROR(tx.Exec(std::format("ALTER ROLE {} SET default_transaction_read_only = on", name)).status());
    }
  }
  return tx.Exec(std::format("GRANT {} TO CURRENT_USER WITH INHERIT TRUE, SET TRUE", name)).status();
}

absl::Status SetLogin(postgres::Transaction& tx, const RoleSpec& role, bool may_log_in) {
  LH_ASSIGN_OR_RETURN(const std::optional<ObservedRole> present, ObserveRole(tx, role.name));
  if (!present.has_value()) {
    return may_log_in ? Error(v1::REASON_INTERNAL, std::format("role {} is gone", role.name)) : absl::OkStatus();
  }
  if (present->mark != role.mark) return may_log_in ? NameTaken(role) : absl::OkStatus();
  if (present->can_login == may_log_in) return absl::OkStatus();
  if (may_log_in && role.kind == RoleKind::kOwner) LH_RETURN_IF_ERROR(EndClosedDumps(tx, role.name));
  return tx
      .Exec(std::format("ALTER ROLE {}{}", postgres::QuoteIdentifier(role.name), may_log_in ? " LOGIN" : " NOLOGIN"))
      .status();
}

absl::Status DropRole(postgres::Transaction& tx, const RoleSpec& role) {
  LH_ASSIGN_OR_RETURN(const std::optional<ObservedRole> present, ObserveRole(tx, role.name));
  if (!present.has_value() || present->mark != role.mark) return absl::OkStatus();
  return tx.Exec(std::format("DROP ROLE {}", postgres::QuoteIdentifier(role.name))).status();
}

absl::Status EndSessions(postgres::Connection& central, const RoleSpec& owner, const RoleSpec& read_only) {
  // More than once: a log-in that was under way when NOLOGIN was committed shows up late.
  for (int round = 0; round < 3; ++round) {
    LH_ASSIGN_OR_RETURN(const pqxx::result ended,
                        central.ExecAlone("SELECT pg_terminate_backend(a.pid, 5000) "
                                          "FROM pg_stat_activity a JOIN pg_roles r ON r.oid = a.usesysid "
                                          "WHERE r.rolname IN ($1, $2) AND shobj_description(r.oid, 'pg_authid') = $3",
                                          {owner.name, read_only.name, owner.mark}));
    if (ended.empty()) return absl::OkStatus();
  }
  return Error(v1::REASON_INTERNAL, "ending the sessions of the tenant's roles: some remain");
}

}  // namespace leasehold::provisioner
