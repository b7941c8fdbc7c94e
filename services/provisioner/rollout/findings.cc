#include "services/provisioner/rollout/findings.h"

#include <algorithm>
#include <filesystem>
#include <format>
#include <map>
#include <set>
#include <tuple>

#include "absl/strings/ascii.h"
#include "absl/strings/str_join.h"
#include "common/status/error.h"
#include "common/status/view.h"

namespace leasehold::provisioner {
namespace {

constexpr auto kNote = v1::MIGRATION_SEVERITY_NOTE;
constexpr auto kWarning = v1::MIGRATION_SEVERITY_WARNING;
constexpr auto kError = v1::MIGRATION_SEVERITY_ERROR;

constexpr uintmax_t kScarceBytes = uintmax_t{1} << 30;
constexpr uintmax_t kTooFewBytes = uintmax_t{64} << 20;
constexpr size_t kMostDrift = 50;
// Histories that are read to say how they differ; each costs a connection.
constexpr size_t kMostHistories = 16;

// Whatever is not held by ordinary reads and writes makes DDL wait, or waits behind it.
#define LH_STRONG_LOCKS                                                                                          \
  "l.locktype = 'relation' AND l.granted AND l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', " \
  "'AccessExclusiveLock') AND l.relation >= 16384 AND l.pid <> pg_catalog.pg_backend_pid()"

constexpr std::string_view kServer =
    "SELECT current_setting('server_version_num')::int, r.rolcreatedb, r.rolcreaterole, "
    "current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int "
    "- (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'), "
    "CASE WHEN pg_has_role(current_user, 'pg_read_all_settings', 'USAGE') THEN current_setting('data_directory') END, "
    "pg_is_in_recovery() FROM pg_roles r WHERE r.rolname = current_user";
constexpr std::string_view kDatabases =
    "SELECT d.datname, d.datallowconn AND d.datconnlimit <> -2, coalesce(r.rolcanlogin, false) FROM pg_database d "
    "LEFT JOIN pg_roles r ON r.rolname = d.datname";
constexpr std::string_view kLocksEverywhere =
    "SELECT d.datname, l.pid, l.mode, count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database "
    "WHERE " LH_STRONG_LOCKS " GROUP BY 1, 2, 3 ORDER BY 1, 2";
// database, object, code, detail. The login sees when a transaction began of its own roles' sessions, which are the
// tenants'; of all with pg_read_all_stats.
constexpr std::string_view kTransactions =
    "SELECT datname, format('session %s', pid), 'long-transaction', "
    "format('%s for %s s', coalesce(state, 'running'), extract(epoch FROM clock_timestamp() - xact_start)::bigint) "
    "FROM pg_stat_activity WHERE datname IS NOT NULL AND pid <> pg_backend_pid() AND backend_type = 'client backend' "
    "AND xact_start < clock_timestamp() - make_interval(secs => $1::float8) UNION ALL SELECT database, "
    "quote_literal(gid), 'prepared-transaction', '' FROM pg_prepared_xacts ORDER BY 1, 2";
constexpr std::string_view kExtensions =
    "SELECT e.name, bool_or(v.trusted) FROM pg_available_extensions e JOIN pg_available_extension_versions v "
    "ON v.name = e.name WHERE e.name = ANY (string_to_array($1, ',')) GROUP BY e.name";

// code, object, detail
constexpr std::string_view kInside =
    "SELECT 'invalid-index', format('%s on %s', c.oid::pg_catalog.regclass, i.indrelid::pg_catalog.regclass), '' "
    "FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid "
    "WHERE NOT i.indisvalid AND c.relkind = 'i' AND c.relnamespace <> 'pg_toast'::pg_catalog.regnamespace "
    "AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_progress_create_index p WHERE p.index_relid = c.oid) "
    "UNION ALL SELECT 'lock-held', format('session %s', l.pid), format('%s on %s', l.mode, "
    "pg_catalog.string_agg(l.relation::pg_catalog.regclass::text, ', ')) FROM pg_catalog.pg_locks l "
    "WHERE l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()) "
    "AND " LH_STRONG_LOCKS
    " GROUP BY l.pid, l.mode "
    "UNION ALL SELECT 'privilege', 'schema public', '' FROM pg_catalog.pg_namespace WHERE nspname = 'public' "
    "AND NOT pg_catalog.has_schema_privilege(oid, 'CREATE') "
    "UNION ALL SELECT 'extension', e.name, CASE WHEN a.name IS NULL THEN 'absent' ELSE 'untrusted' END "
    "FROM unnest(string_to_array($1, ',')) e(name) LEFT JOIN pg_catalog.pg_available_extensions a ON a.name = e.name "
    "WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_extension x WHERE x.extname = e.name) AND (a.name IS NULL OR NOT "
    "EXISTS "
    "(SELECT FROM pg_catalog.pg_available_extension_versions v WHERE v.name = e.name AND v.trusted))";

struct Wording {
  v1::MigrationSeverity severity = kWarning;
  std::string message{};
  std::string remedy{};
};

Wording WordingOf(std::string_view code, std::string_view object, std::string_view detail) {
  if (code == "invalid-index") {
    return {kWarning, "the index is not valid: its making was interrupted; it costs writes and serves no query",
            std::format("REINDEX INDEX CONCURRENTLY, or DROP INDEX CONCURRENTLY, {}",
                        object.substr(0, object.find(" on ")))};
  }
  if (code == "long-transaction") {
    return {kWarning, std::format("its transaction is {}; migrations wait for what it has touched", detail),
            "end the transaction, or the session with pg_terminate_backend"};
  }
  if (code == "prepared-transaction") {
    return {kWarning, "a prepared transaction keeps its locks until somebody ends it",
            std::format("ROLLBACK PREPARED or COMMIT PREPARED {}", object)};
  }
  if (code == "lock-held") {
    return {kWarning, std::format("it holds {}", detail), "wait for its end, or end it with pg_terminate_backend"};
  }
  if (code == "privilege") {
    return {kError, "the database's owner may not create anything in it", "GRANT CREATE ON SCHEMA public to the owner"};
  }
  if (detail == "absent") {
    return {kError, "a pending file wants the extension, and the server does not have it",
            "install the extension's package on the server"};
  }
  return {kError, "a pending file wants the extension, which only a superuser may create",
          "create it in this database as a superuser; the file then finds it with IF NOT EXISTS"};
}

std::string_view CodeOf(Mismatch kind) {
  switch (kind) {
    case Mismatch::kEdited:
      return "history-edited";
    case Mismatch::kMissing:
      return "history-missing-file";
    case Mismatch::kRenamed:
      return "history-renamed";
    case Mismatch::kLate:
      return "history-late-file";
    case Mismatch::kInterrupted:
      break;
  }
  return "history-interrupted";
}

std::string_view RemedyOf(Mismatch kind) {
  switch (kind) {
    case Mismatch::kEdited:
    case Mismatch::kRenamed:
      return "bring the file back as it was, or `leasehold migrate repair … --accept-file` if both do the same";
    case Mismatch::kMissing:
      return "bring the file back, or `leasehold migrate repair … --forget` if what it did is gone";
    case Mismatch::kLate:
      return "give the file the next free number, or `leasehold migrate repair … --mark-applied` if it is there "
             "already";
    case Mismatch::kInterrupted:
      break;
  }
  return "look whether it has happened, then `leasehold migrate repair …` with --mark-applied or --forget";
}

absl::Status CheckServer(postgres::Connection& central, const Instance& instance, int parallelism, int oldest,
                         Findings& findings) {
  LH_ASSIGN_OR_RETURN(const pqxx::result rows, central.ExecAlone(kServer));
  const int version = rows[0][0].as<int>();
  if (version < oldest) {
    findings.push_back(MakeFinding(kError, "server-version", "", "server",
                                   std::format("PostgreSQL {} is older than {}", version / 10000, oldest / 10000),
                                   "upgrade the server"));
  }
  if (!rows[0][1].as<bool>() || !rows[0][2].as<bool>()) {
    findings.push_back(MakeFinding(kWarning, "privilege", "", std::format("role {}", instance.login()),
                                   "the provisioner's login lacks CREATEDB or CREATEROLE; new tenants cannot be made",
                                   "ALTER ROLE … CREATEDB CREATEROLE"));
  }
  if (rows[0][3].as<int>() < parallelism * 2) {
    findings.push_back(
        MakeFinding(kWarning, "connections", "", "max_connections",
                    std::format("{} connections are free for {} databases at once", rows[0][3].as<int>(), parallelism),
                    "run with a lower --parallelism, or raise max_connections"));
  }
  if (rows[0][5].as<bool>()) {
    findings.push_back(MakeFinding(kError, "read-only", "", "server", "the server is a replica",
                                   "point the provisioner at the primary"));
  }
  for (v1::MigrationFinding& finding :
       InspectDisk(instance.host(), rows[0][4].is_null() ? "" : rows[0][4].as<std::string>())) {
    findings.push_back(std::move(finding));
  }
  return absl::OkStatus();
}

absl::Status CheckDatabases(postgres::Connection& central, std::span<const FleetDatabase> databases,
                            Findings& findings) {
  LH_ASSIGN_OR_RETURN(const pqxx::result rows, central.ExecAlone(kDatabases));
  std::map<std::string, std::pair<bool, bool>> present;
  for (const auto& row : rows) present[row[0].as<std::string>()] = {row[1].as<bool>(), row[2].as<bool>()};
  for (const FleetDatabase& database : databases) {
    const auto found = present.find(database.database);
    if (found == present.end()) {
      findings.push_back(MakeFinding(kError, "unreachable", database.database, database.database,
                                     "the database is not there", "`leasehold doctor`"));
      continue;
    }
    if (!found->second.first || (!database.tenant.empty() && !found->second.second)) {
      findings.push_back(MakeFinding(kError, "unreachable", database.database, database.database,
                                     "nobody can log in to the database as its owner", "`leasehold doctor`"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckLocks(postgres::Connection& central, std::span<const FleetDatabase> databases, Findings& findings) {
  LH_ASSIGN_OR_RETURN(const pqxx::result rows, central.ExecAlone(kLocksEverywhere));
  std::set<std::string_view> wanted;
  for (const FleetDatabase& database : databases) wanted.insert(database.database);
  for (const auto& row : rows) {
    const std::string name = row[0].as<std::string>();
    if (!wanted.contains(name)) continue;
    const Wording wording =
        WordingOf("lock-held", "", std::format("{} on {} relations", row[2].as<std::string>(), row[3].as<int>()));
    findings.push_back(MakeFinding(kWarning, "lock-held", name, std::format("session {}", row[1].as<int>()),
                                   wording.message, wording.remedy));
  }
  return absl::OkStatus();
}

absl::Status CheckTransactions(postgres::Connection& central, std::span<const FleetDatabase> databases,
                               absl::Duration longest, Findings& findings) {
  LH_ASSIGN_OR_RETURN(const pqxx::result rows,
                      central.ExecAlone(kTransactions, {std::format("{}", absl::ToDoubleSeconds(longest))}));
  std::set<std::string_view> wanted;
  for (const FleetDatabase& database : databases) wanted.insert(database.database);
  for (const auto& row : rows) {
    const std::string name = row[0].as<std::string>();
    if (!wanted.contains(name)) continue;
    const std::string object = row[1].as<std::string>();
    const std::string code = row[2].as<std::string>();
    const Wording wording = WordingOf(code, object, row[3].as<std::string>());
    findings.push_back(MakeFinding(wording.severity, code, name, object, wording.message, wording.remedy));
  }
  return absl::OkStatus();
}

// Each once, the central database's first.
std::vector<const Migration*> PendingIn(std::span<const FleetDatabase> databases, const FleetMigrations& files) {
  std::set<std::tuple<bool, int, const Migration*>> pending;
  for (const FleetDatabase& database : databases) {
    for (const Migration* file : PendingFor(database, files)) {
      pending.emplace(!database.tenant.empty(), file->version, file);
    }
  }
  std::vector<const Migration*> list;
  for (const auto& [of_tenants, version, file] : pending) list.push_back(file);
  return list;
}

absl::Status CheckExtensions(postgres::Connection& central, std::span<const FleetDatabase> databases,
                             const FleetMigrations& files, Findings& findings) {
  const std::vector<std::string> wanted = ExtensionsIn(PendingIn(databases, files));
  if (wanted.empty()) return absl::OkStatus();
  LH_ASSIGN_OR_RETURN(const pqxx::result rows, central.ExecAlone(kExtensions, {absl::StrJoin(wanted, ",")}));
  std::set<std::string> available;
  for (const auto& row : rows) available.insert(row[0].as<std::string>());
  for (const std::string& name : wanted) {
    if (available.contains(name)) continue;
    const Wording wording = WordingOf("extension", name, "absent");
    findings.push_back(MakeFinding(kError, "extension", "", name, wording.message, wording.remedy));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<HistoryMismatch>> MismatchesIn(const Instance& instance, const FleetDatabase& database,
                                                          const Migrations& files) {
  postgres::Connection keeper(instance.AsLogin(database.database));
  LH_ASSIGN_OR_RETURN(const History history, ReadHistoryAsKeeper(keeper));
  return CompareHistory(history, files);
}

}  // namespace

v1::MigrationFinding MakeFinding(v1::MigrationSeverity severity, std::string_view code, std::string_view database,
                                 std::string_view object, std::string_view message, std::string_view remedy) {
  v1::MigrationFinding finding;
  finding.set_severity(severity);
  finding.set_code(std::string(code));
  finding.set_database(std::string(database));
  finding.set_object(Printable(object, 200));
  finding.set_message(std::string(message));
  finding.set_remedy(std::string(remedy));
  return finding;
}

Findings InspectDisk(const std::string& host, const std::string& directory) {
  Findings findings;
  const bool local = host == "localhost" || host.starts_with("127.") || host.starts_with("/") || host == "::1";
  std::error_code error;
  const std::filesystem::space_info space =
      local && !directory.empty() ? std::filesystem::space(directory, error) : std::filesystem::space_info{};
  if (!local || directory.empty() || error) {
    findings.push_back(MakeFinding(kNote, "disk-unknown", "", "data directory",
                                   "how much of the server's disk is free cannot be seen from here",
                                   "look at it there; on one machine, GRANT pg_read_all_settings to the login"));
  } else if (space.available < kScarceBytes) {
    findings.push_back(MakeFinding(space.available < kTooFewBytes ? kError : kWarning, "disk", "", "data directory",
                                   std::format("{} MiB are free on the server's disk", space.available >> 20),
                                   "make room before data are rewritten"));
  }
  return findings;
}

absl::StatusOr<Findings> InspectFleet(postgres::Connection& central, const Instance& instance,
                                      std::span<const FleetDatabase> databases, const FleetMigrations& files,
                                      int parallelism, const FleetLimits& limits) {
  Findings findings;
  LH_RETURN_IF_ERROR(CheckServer(central, instance, parallelism, limits.oldest_server, findings));
  LH_RETURN_IF_ERROR(CheckDatabases(central, databases, findings));
  LH_RETURN_IF_ERROR(CheckLocks(central, databases, findings));
  LH_RETURN_IF_ERROR(CheckTransactions(central, databases, limits.long_transaction, findings));
  LH_RETURN_IF_ERROR(CheckExtensions(central, databases, files, findings));
  for (v1::MigrationFinding& finding : InspectFiles(databases, files)) findings.push_back(std::move(finding));
  return findings;
}

Findings InspectFiles(std::span<const FleetDatabase> databases, const FleetMigrations& files) {
  Findings findings;
  for (const Migration* file : PendingIn(databases, files)) {
    if (!file->statements.empty()) continue;
    findings.push_back(MakeFinding(kWarning, "empty-file", "", file->name,
                                   "the file holds no statement; once applied it may not be edited any more",
                                   "write it, or take it out of the folder, if it is not meant to be empty"));
  }
  return findings;
}

Findings InspectHistories(const Instance& instance, std::span<const FleetDatabase> databases,
                          const FleetMigrations& files) {
  Findings findings;
  Differences differences(files);
  // Databases of one digest have one history, which is read in the first of them.
  std::map<std::pair<bool, std::string_view>, absl::StatusOr<std::vector<HistoryMismatch>>> known;
  for (const FleetDatabase& database : databases) {
    if (!differences.Has(database)) continue;
    const std::pair key(!database.tenant.empty(), std::string_view(database.digest));
    if (!known.contains(key) && known.size() < kMostHistories) {
      known.emplace(key, MismatchesIn(instance, database, files.Of(database.tenant)));
    }
    const auto read = known.find(key);
    if (read == known.end() || !read->second.ok()) {
      findings.push_back(MakeFinding(kError, "history-differs", database.database, "leasehold.migrations",
                                     "what was applied is not what the files are now: one was edited, renamed, is "
                                     "missing or came late",
                                     "`leasehold migrate verify` says which; then bring it back, or repair"));
      continue;
    }
    for (v1::MigrationFinding& finding : FindingsOf(*read->second, database.database)) {
      findings.push_back(std::move(finding));
    }
  }
  return findings;
}

absl::StatusOr<Findings> InspectDatabase(postgres::Connection& owner, const std::string& database,
                                         std::span<const Migration* const> pending) {
  LH_ASSIGN_OR_RETURN(const pqxx::result rows, owner.ExecAlone(kInside, {absl::StrJoin(ExtensionsIn(pending), ",")}));
  Findings findings;
  for (const auto& row : rows) {
    const std::string code = row[0].as<std::string>();
    const std::string object = row[1].as<std::string>();
    const Wording wording = WordingOf(code, object, row[2].as<std::string>());
    findings.push_back(MakeFinding(wording.severity, code, database, object, wording.message, wording.remedy));
  }
  return findings;
}

Findings FindingsOf(std::span<const HistoryMismatch> mismatches, const std::string& database) {
  Findings findings;
  for (const HistoryMismatch& mismatch : mismatches) {
    findings.push_back(
        MakeFinding(kError, CodeOf(mismatch.kind), database, mismatch.file, mismatch.detail, RemedyOf(mismatch.kind)));
  }
  return findings;
}

Findings FindingsOf(std::span<const DriftedObject> drifted, const std::string& database) {
  Findings findings;
  for (const DriftedObject& object : drifted) {
    if (findings.size() == kMostDrift) {
      findings.push_back(MakeFinding(kError, "drift-more", database, "",
                                     std::format("{} more objects differ", drifted.size() - kMostDrift), ""));
      break;
    }
    switch (object.drift) {
      case Drift::kMissing:
        findings.push_back(
            MakeFinding(kError, "drift-missing", database, object.object, "the files make it, and it is not there",
                        object.should_be.empty() ? "make it again as the files do"
                                                 : std::format("make it again: {}", Printable(object.should_be, 200))));
        break;
      case Drift::kUnexpected:
        findings.push_back(MakeFinding(kError, "drift-unexpected", database, object.object,
                                       "it is there, and no file makes it", "write a migration for it, or drop it"));
        break;
      case Drift::kDiffers:
        findings.push_back(MakeFinding(
            kError, "drift-differs", database, object.object,
            std::format("it is {}; the files make {}", Printable(object.is, 200), Printable(object.should_be, 200)),
            "bring it back by hand, or write a migration for what it should be everywhere"));
        break;
    }
  }
  return findings;
}

bool HasError(const Findings& findings) {
  return std::ranges::any_of(findings, [](const auto& finding) { return finding.severity() == kError; });
}

std::string FirstError(const Findings& findings) {
  const auto first = std::ranges::find(findings, kError, [](const auto& finding) { return finding.severity(); });
  if (first == findings.end()) return "";
  return std::format("{}{}: {}", first->database().empty() ? "" : std::format("{}: ", first->database()),
                     first->object(), first->message());
}

std::vector<std::string> ExtensionsIn(std::span<const Migration* const> files) {
  std::set<std::string> names;
  for (const Migration* file : files) {
    for (const SqlStatement& statement : file->statements) {
      std::string_view rest = statement.text;
      const auto take = [&rest](std::string_view keyword) {
        const std::string_view text = StdView(absl::StripLeadingAsciiWhitespace(AbslView(rest)));
        if (absl::AsciiStrToLower(AbslView(text.substr(0, keyword.size()))) != keyword) return false;
        rest = text.substr(keyword.size());
        return true;
      };
      if (!take("create ") || !take("extension ")) continue;
      if (take("if ")) (void)(take("not ") && take("exists "));
      rest = StdView(absl::StripAsciiWhitespace(AbslView(rest)));
      const bool quoted = rest.starts_with('"');
      if (quoted) rest.remove_prefix(1);
      const std::string name(rest.substr(0, rest.find_first_of(quoted ? "\"" : " \t\n;")));
      if (!name.contains(',')) names.insert(quoted ? name : absl::AsciiStrToLower(AbslView(name)));
    }
  }
  return {names.begin(), names.end()};
}

}  // namespace leasehold::provisioner
