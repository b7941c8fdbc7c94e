#include "services/provisioner/overview/databases.h"

#include <algorithm>
#include <format>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_join.h"
#include "common/config/config.h"
#include "common/identity/identity.h"
#include "common/status/error.h"
#include "services/provisioner/steps/observe.h"

namespace leasehold::provisioner {
namespace {

constexpr int kDefaultLimit = 20;
constexpr int kMaxLimit = 10'000;
// The gateway waits for ten.
constexpr std::string_view kPatience = "SET LOCAL statement_timeout = '8s'";
constexpr std::string_view kCancelled = "57014";
// A database was dropped while it was looked at.
constexpr std::string_view kGone = "3D000";
constexpr int kAttempts = 3;

constexpr std::string_view kServer = R"sql(
SELECT split_part(current_setting('server_version'), ' ', 1),
  (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint, current_setting('max_connections')::int
)sql";

// PostgreSQL shows of a session that one may not see neither kind nor transaction; server processes without a database
// are no sessions of clients then either. Our own transaction is as old as this question.
constexpr std::string_view kSessions = R"sql(
SELECT coalesce(a.datname, ''), count(*), count(*) FILTER (WHERE a.state = 'active' AND a.pid <> pg_backend_pid()),
  count(*) FILTER (WHERE a.state LIKE 'idle in transaction%'), count(*) FILTER (WHERE a.backend_type IS NULL),
  (extract(epoch FROM clock_timestamp() - min(a.xact_start) FILTER (WHERE a.pid <> pg_backend_pid())) * 1000000)::bigint,
  (array_agg(a.pid ORDER BY a.xact_start) FILTER (WHERE a.xact_start IS NOT NULL AND a.pid <> pg_backend_pid()))[1],
  coalesce((array_agg(a.usename ORDER BY a.xact_start)
            FILTER (WHERE a.xact_start IS NOT NULL AND a.pid <> pg_backend_pid()))[1], ''),
  coalesce((array_agg(a.application_name ORDER BY a.xact_start)
            FILTER (WHERE a.xact_start IS NOT NULL AND a.pid <> pg_backend_pid()))[1], '')
FROM pg_stat_activity a
WHERE a.backend_type = 'client backend' OR (a.backend_type IS NULL AND a.datid IS NOT NULL)
GROUP BY a.datname
)sql";

constexpr std::string_view kNames = "SELECT datname FROM pg_database WHERE NOT datistemplate AND datconnlimit <> -2";

// Followed by which, as a list of literals.
constexpr std::string_view kSizes = R"sql(
SELECT d.datname, CASE WHEN has_database_privilege(d.oid, 'CONNECT') OR pg_has_role('pg_read_all_stats', 'USAGE')
  THEN pg_database_size(d.oid) END
FROM pg_database d WHERE d.datname IN )sql";

v1::DatabaseKind KindOf(const Instance& instance, std::string_view name, bool of_tenant) {
  if (of_tenant) return v1::DATABASE_KIND_TENANT;
  if (name == instance.central_database()) return v1::DATABASE_KIND_CENTRAL;
  return name.starts_with(StagingName("")) ? v1::DATABASE_KIND_SPARE : v1::DATABASE_KIND_OTHER;
}

absl::Status Check(const v1::ListInstancesRequest& request) {
  if (request.limit() < 0 || request.limit() > kMaxLimit) {
    return InvalidField("limit", std::format("{}", request.limit()), std::format("1 to {}, or 0", kMaxLimit));
  }
  if (!v1::DatabaseOrder_IsValid(request.order())) {
    return InvalidField("order", std::format("{}", static_cast<int>(request.order())), "a DatabaseOrder");
  }
  if (!request.tenant().empty()) LH_RETURN_IF_ERROR(TenantId::Parse(request.tenant()).status());
  return absl::OkStatus();
}

absl::Status ReadServer(postgres::Transaction& tx, v1::Instance& to) {
  LH_ASSIGN_OR_RETURN(const pqxx::result rows, tx.Exec(kServer));
  to.set_server_version(rows[0][0].as<std::string>());
  *to.mutable_start_time() = FromTime(absl::FromUnixMicros(rows[0][1].as<int64_t>()));
  to.set_max_connections(rows[0][2].as<int>());
  return absl::OkStatus();
}

// Of all databases, in the order of names.
absl::StatusOr<std::vector<v1::InstanceDatabase>> ReadNames(postgres::Transaction& tx, const Instance& instance,
                                                            v1::Instance& to) {
  LH_ASSIGN_OR_RETURN(const pqxx::result names, tx.Exec(kNames));
  std::vector<v1::InstanceDatabase> databases;
  databases.reserve(static_cast<size_t>(names.size()));
  for (const auto& row : names) {
    v1::InstanceDatabase& database = databases.emplace_back();
    database.set_database(row[0].as<std::string>());
    const auto tenant = TenantOfDatabase(database.database(), instance.service());
    if (tenant) database.set_tenant(tenant->str());
    database.set_kind(KindOf(instance, database.database(), tenant.has_value()));
    to.set_tenant_databases(to.tenant_databases() + (tenant ? 1 : 0));
    to.set_spare_databases(to.spare_databases() + (database.kind() == v1::DATABASE_KIND_SPARE ? 1 : 0));
  }
  to.set_database_count(static_cast<int>(databases.size()));
  std::ranges::sort(databases, {}, [](const auto& database) { return std::string_view(database.database()); });
  return databases;
}

absl::Status ReadSessions(postgres::Transaction& tx, std::span<v1::InstanceDatabase> databases, v1::Instance& to) {
  LH_ASSIGN_OR_RETURN(const pqxx::result rows, tx.Exec(kSessions));
  absl::Duration longest = absl::ZeroDuration();
  for (const auto& row : rows) {
    to.set_connections(to.connections() + row[1].as<int>());
    to.set_hidden_connections(to.hidden_connections() + row[4].as<int>());
    const bool open = !row[5].is_null();
    const absl::Duration age = open ? absl::Microseconds(row[5].as<int64_t>()) : absl::ZeroDuration();
    if (open && (!to.has_longest_transaction() || age > longest)) {
      longest = age;
      *to.mutable_longest_transaction() = FromDuration(age);
    }
    const auto name = row[0].as<std::string>();
    const auto at = std::ranges::lower_bound(databases, name, {},
                                             [](const v1::InstanceDatabase& database) { return database.database(); });
    if (at == databases.end() || at->database() != name) continue;
    at->set_connections(row[1].as<int>());
    at->set_active(row[2].as<int>());
    at->set_idle_in_transaction(row[3].as<int>());
    if (!open) continue;
    *at->mutable_longest_transaction() = FromDuration(age);
    at->set_pid(row[6].as<int>());
    at->set_role(row[7].as<std::string>());
    at->set_application(row[8].as<std::string>());
  }
  return absl::OkStatus();
}

// Of `databases`, which are in the order of names. How large they are together, of those that may be seen.
absl::StatusOr<int64_t> ReadSizes(postgres::Transaction& tx, std::span<v1::InstanceDatabase* const> databases) {
  if (databases.empty()) return 0;
  const std::string names = absl::StrJoin(databases, ",", [](std::string* out, const v1::InstanceDatabase* database) {
    out->append(postgres::QuoteLiteral(database->database()));
  });
  LH_ASSIGN_OR_RETURN(const pqxx::result rows, tx.Exec(std::format("{}({})", kSizes, names)));
  int64_t total = 0;
  for (const auto& row : rows) {
    if (row[1].is_null()) continue;
    const auto name = row[0].as<std::string>();
    const auto at = std::ranges::lower_bound(databases, name, {},
                                             [](const v1::InstanceDatabase* database) { return database->database(); });
    (*at)->set_size_bytes(row[1].as<int64_t>());
    total += row[1].as<int64_t>();
  }
  return total;
}

// Those without come last, and equal ones in the order of names.
void Sort(std::vector<v1::InstanceDatabase*>& databases, v1::DatabaseOrder order) {
  const auto rank = [order](const v1::InstanceDatabase* database) -> int64_t {
    switch (order) {
      case v1::DATABASE_ORDER_CONNECTIONS:
        return -database->connections();
      case v1::DATABASE_ORDER_TRANSACTION:
        return database->has_longest_transaction()
                   ? -absl::ToInt64Microseconds(ToDuration(database->longest_transaction())) - 1
                   : 0;
      case v1::DATABASE_ORDER_NAME:
        return 0;
      default:
        return -database->size_bytes();
    }
  };
  std::ranges::stable_sort(databases, {}, rank);
}

absl::Status Read(postgres::Transaction& tx, const Instance& instance, const v1::ListInstancesRequest& request,
                  v1::Instance& to) {
  LH_RETURN_IF_ERROR(tx.Exec(kPatience).status());
  LH_RETURN_IF_ERROR(ReadServer(tx, to));
  LH_ASSIGN_OR_RETURN(std::vector<v1::InstanceDatabase> all, ReadNames(tx, instance, to));
  LH_RETURN_IF_ERROR(ReadSessions(tx, all, to));
  const bool by_size = request.order() == v1::DATABASE_ORDER_UNSPECIFIED || request.order() == v1::DATABASE_ORDER_SIZE;
  std::vector<v1::InstanceDatabase*> listed;
  for (v1::InstanceDatabase& database : all) listed.push_back(&database);
  if (by_size) {
    LH_ASSIGN_OR_RETURN(const int64_t total, ReadSizes(tx, listed));
    to.set_size_bytes(total);
  }
  if (!request.tenant().empty()) {
    std::erase_if(listed, [&](const auto* database) { return database->tenant() != request.tenant(); });
  }
  Sort(listed, request.order());
  const size_t limit = request.limit() == 0 ? kDefaultLimit : static_cast<size_t>(request.limit());
  listed.resize(std::min(listed.size(), limit));
  if (!by_size) {
    std::vector<v1::InstanceDatabase*> by_name = listed;
    std::ranges::sort(by_name, {}, [](const auto* database) { return std::string_view(database->database()); });
    LH_RETURN_IF_ERROR(ReadSizes(tx, by_name).status());
  }
  for (v1::InstanceDatabase* database : listed) *to.add_databases() = std::move(*database);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<v1::Instance> LookAt(postgres::Connection& central, const Instance& instance,
                                    const v1::ListInstancesRequest& request) {
  LH_RETURN_IF_ERROR(Check(request));
  for (int attempt = 1;; ++attempt) {
    v1::Instance seen;
    seen.set_service(instance.service().str());
    const absl::Status read =
        central.InTransaction([&](postgres::Transaction& tx) { return Read(tx, instance, request, seen); });
    if (read.ok()) return seen;
    if (postgres::SqlStateOf(read) == kCancelled) {
      return Error(v1::REASON_DEADLINE_EXCEEDED,
                   "its databases could not be measured in eight seconds; ask for them in the order of names");
    }
    if (postgres::SqlStateOf(read) != kGone || attempt == kAttempts) return read;
  }
}

}  // namespace leasehold::provisioner
