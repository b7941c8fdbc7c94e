#include "services/provisioner/steps/instance.h"

#include <format>
#include <utility>

#include "common/postgres/dsn.h"
#include "common/scram/scram.h"
#include "common/status/error.h"
#include "common/status/view.h"
#include "common/telemetry/log.h"
#include "services/provisioner/steps/claimer.h"
#include "services/provisioner/steps/in_use.h"

namespace leasehold::provisioner {
namespace {

// A client's options come before those of database and role. What a killed provisioner, pg_dump or pg_restore has left
// in a server ends within a second, in the middle of a wait too.
constexpr std::string_view kSettings =
    " options='-c search_path=pg_catalog -c role=none -c default_transaction_read_only=off -c statement_timeout=0"
    " -c lock_timeout=30s -c client_min_messages=error -c client_connection_check_interval=1s -c jit=off'";
// What is read there is read by index, catalogs among it: these grow faster than PostgreSQL counts them, and it would
// go through a whole one for each row. So one plan of a prepared statement does for all. Where there is no index, the
// cost that it then shows must not set off the compiler. One that stands still in the middle of a transaction on the
// records loses it, and the rows that it has locked.
constexpr std::string_view kCentralSettings =
    " options='-c search_path=pg_catalog -c role={} -c default_transaction_read_only=off -c statement_timeout=0"
    " -c lock_timeout=30s -c client_min_messages=error -c client_connection_check_interval=1s"
    " -c idle_in_transaction_session_timeout=10s -c enable_seqscan=off -c jit=off -c "
    "plan_cache_mode=force_generic_plan'";
constexpr std::string_view kOwnerSettings =
    " options='-c default_transaction_read_only=off -c statement_timeout=0 -c lock_timeout=30s"
    " -c client_min_messages=error -c client_connection_check_interval=1s'";

std::string_view WhyUnreached(const absl::Status& status) {
  const std::string_view sqlstate = postgres::SqlStateOf(status);
  if (sqlstate == "53300") {
    return "the instance has no connection left for the provisioner (max_connections, or a CONNECTION LIMIT)";
  }
  if (sqlstate == "57P03") return "the instance is starting or stopping";
  return "the instance does not answer";
}

}  // namespace

Instance::Instance(Options options) : options_(std::move(options)), process_(RandomHex(4)) {}

std::string Instance::DsnOf(std::string_view database, std::string_view user) const {
  return postgres::Dsn(options_.config.host(), options_.config.port(), database, user,
                       postgres::Encryption{.sslmode = options_.config.sslmode(),
                                            .sslrootcert = options_.config.ca_file(),
                                            .channel_binding = options_.config.channel_binding()});
}

postgres::ConnectOptions Instance::AsLogin(std::string_view database) const {
  const std::string settings =
      database == central_database() ? std::format(kCentralSettings, "none") : std::string(kSettings);
  return AsLoginWith(database, settings);
}

postgres::ConnectOptions Instance::AsClaimer(std::string_view database) const {
  return AsLoginWith(database, std::format(kCentralSettings, ClaimerOf(login())));
}

postgres::ConnectOptions Instance::AsLoginWith(std::string_view database, std::string_view settings) const {
  return {.dsn = std::format("{}{}", DsnOf(database, login()), settings),
          .password = options_.password,
          .application_name = postgres::ApplicationName(std::format("{}{}", kProcessPrefix, process_))};
}

postgres::ConnectOptions Instance::AsRole(std::string_view database, std::string_view role,
                                          std::string_view database_id, RoleKind kind) const {
  return {.dsn = std::format("{}{}", DsnOf(database, role), kOwnerSettings),
          .password = options_.role_key.PasswordOf(database_id, kind),
          .application_name = postgres::ApplicationName(std::format("{}{}", kProcessPrefix, process_))};
}

std::string Instance::RoleSecret(std::string_view database_id, RoleKind kind) const {
  std::string salt(16, '\0');
  RandomBytes({reinterpret_cast<uint8_t*>(salt.data()), salt.size()});
  const Secret password = options_.role_key.PasswordOf(database_id, kind);
  return scram::PostgresSecret(scram::MakeVerifier(password.reveal(), salt, 1));
}

Secret Instance::HistorySecret(std::string_view database_id) const {
  const Secret password = options_.role_key.PasswordOf(database_id, RoleKind::kOwner);
  const auto digest = HmacSha256(password.reveal(), "leasehold history v1");
  return Secret(std::string(reinterpret_cast<const char*>(digest.data()), digest.size()));
}

bool IsOvertaken(const absl::Status& status) {
  const v1::Reason reason = ReasonOf(status);
  return reason == v1::REASON_SUPERSEDED || reason == v1::REASON_SHUTTING_DOWN;
}

absl::Status Explain(const absl::Status& status, std::string_view doing) {
  if (status.ok()) return status;
  if (postgres::IsConnectionFailure(status)) {
    Log(Level::kDebug, "instance does not answer", {{"doing", doing}, {"error", StdView(status.message())}});
    return Error(v1::REASON_INSTANCE_UNAVAILABLE, std::format("{}: {}", doing, WhyUnreached(status)));
  }
  if (ReasonOf(status) != v1::REASON_INTERNAL || ClientSafe(status)) return status;
  const std::string_view sqlstate = postgres::SqlStateOf(status);
  Log(Level::kWarning, "statement failed",
      {{"doing", doing}, {"sqlstate", sqlstate}, {"error", StdView(status.message())}});
  if (sqlstate == "42501") {
    return Error(v1::REASON_INSUFFICIENT_PRIVILEGE,
                 std::format("{}: the provisioner's login lacks a privilege on the instance", doing));
  }
  if (sqlstate == "42P04" || sqlstate == "42710") {
    return Error(v1::REASON_NAME_TAKEN,
                 std::format("{}: the name is taken by something that Leasehold did not make", doing));
  }
  if (sqlstate == "25006") {
    return Error(v1::REASON_INSTANCE_UNAVAILABLE,
                 std::format("{}: the instance takes no changes: it is a replica; the primary is wanted", doing));
  }
  if (sqlstate == "53100") return Error(v1::REASON_INTERNAL, std::format("{}: the instance's disk is full", doing));
  if (sqlstate == "55006") {
    return Error(v1::REASON_INTERNAL, std::format("{}: {}", doing, WhyInUse(StdView(status.message()))));
  }
  if (sqlstate == "55P03")
    return Error(v1::REASON_INTERNAL, std::format("{}: another session holds a lock on it", doing));
  if (sqlstate == "2BP01")
    return Error(v1::REASON_INTERNAL, std::format("{}: objects in other databases depend on it", doing));
  if (sqlstate.starts_with("28")) {
    return Error(v1::REASON_INSTANCE_UNAVAILABLE, std::format("{}: the instance refused the log-in", doing));
  }
  // A server that is going down or coming up.
  if (sqlstate.starts_with("57P")) {
    return Error(v1::REASON_INSTANCE_UNAVAILABLE, std::format("{}: the instance is shutting down or starting", doing));
  }
  return Error(
      v1::REASON_INTERNAL,
      std::format("{} failed ({})", doing, sqlstate.empty() ? "no SQLSTATE" : std::format("SQLSTATE {}", sqlstate)));
}

}  // namespace leasehold::provisioner
