#include <algorithm>
#include <format>
#include <string>

#include <google/protobuf/util/json_util.h>

#include "common/config/config.h"
#include "common/status/error.h"
#include "services/gateway/registry/store.h"

namespace leasehold::gateway {
namespace {

constexpr size_t kMaxText = 500;

constexpr std::string_view kListed = R"sql(
SELECT DISTINCT ON (f.kind, f.tenant, f.object) f.kind, coalesce(f.tenant, '') AS tenant,
  coalesce(f.object, '') AS object, coalesce(f.message, '') AS message, coalesce(f.remedy, '') AS remedy
FROM jsonb_to_recordset(($2::jsonb) -> 'findings') AS f (kind text, tenant text, object text, message text, remedy text)
)sql";

// A tenant's service is pending while what it has reported is older than what is wanted.
constexpr std::string_view kServices = R"sql(
SELECT count(*) FILTER (WHERE s.state = 'FAILED' AND s.generation >= t.provision_generation),
  count(*) FILTER (WHERE coalesce(s.generation, 0) < t.provision_generation AND t.update_time <= $3::timestamptz),
  (array_agg(t.id || ': ' || s.message ORDER BY t.id)
     FILTER (WHERE s.state = 'FAILED' AND s.generation >= t.provision_generation))[1],
  (SELECT (extract(epoch FROM p.pass_time) * 1000000)::bigint FROM leasehold.passes p WHERE p.service = $1),
  (SELECT p.trouble FROM leasehold.passes p WHERE p.service = $1)
FROM leasehold.tenants t LEFT JOIN leasehold.tenant_services s ON s.tenant = t.id AND s.service = $1
WHERE t.state <> 'PURGED' AND ($2 = '' OR t.id = $2)
)sql";

template <typename Enum, typename Parse>
Enum ValueOf(Parse parse, const pqxx::field& field) {
  Enum value{};
  (void)parse(field.as<std::string>(), &value);
  return value;
}

}  // namespace

absl::Status Store::ReportFindings(const v1::ReportFindingsRequest& report) {
  v1::ReportFindingsRequest list;
  for (const v1::Finding& from : report.findings()) {
    if (from.kind() == v1::FINDING_KIND_UNSPECIFIED || !v1::FindingKind_IsValid(from.kind())) continue;
    v1::Finding& to = *list.add_findings();
    to.set_kind(from.kind());
    to.set_tenant(Printable(from.tenant()));
    to.set_object(Printable(from.object(), kMaxText));
    to.set_message(Printable(from.message(), kMaxText));
    to.set_remedy(from.remedy());
  }
  std::string json;
  if (!google::protobuf::util::MessageToJsonString(list, &json).ok()) {
    return InvalidField("findings", "", "text");
  }
  const postgres::Param now = rows::Time(clock_.Now());
  if (!report.trouble().empty()) {
    return Transact([&](postgres::Transaction& tx) -> absl::Status {
      return tx
          .Exec(
              "INSERT INTO leasehold.passes (service, provisioner, trouble) VALUES ($1, $2, $3) ON CONFLICT (service) "
              "DO UPDATE SET provisioner = excluded.provisioner, trouble = excluded.trouble "
              "WHERE (passes.provisioner, passes.trouble) <> (excluded.provisioner, excluded.trouble)",
              {report.service(), Printable(report.provisioner()), Printable(report.trouble(), kMaxText)})
          .status();
    });
  }
  return Transact([&](postgres::Transaction& tx) -> absl::Status {
    // One report at a time of a service. Should a crash of PostgreSQL lose it, the next pass reports all there is anew,
    // within a resync interval: so none waits for the disk.
    LH_RETURN_IF_ERROR(tx.Exec("WITH relaxed AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true)) "
                               "INSERT INTO leasehold.passes (service, provisioner, pass_time) "
                               "SELECT $1, $2, $3::timestamptz FROM relaxed "
                               "ON CONFLICT (service) DO UPDATE SET provisioner = excluded.provisioner, "
                               "pass_time = excluded.pass_time, trouble = ''",
                               {report.service(), Printable(report.provisioner()), now})
                           .status());
    if (list.findings().empty()) {
      return tx.Exec("DELETE FROM leasehold.findings WHERE service = $1", {report.service()}).status();
    }
    LH_RETURN_IF_ERROR(
        tx.Exec(std::format("DELETE FROM leasehold.findings WHERE service = $1 AND (kind, tenant, object) "
                            "NOT IN (SELECT l.kind, l.tenant, l.object FROM ({}) l)",
                            kListed),
                {report.service(), json})
            .status());
    return tx
        .Exec(std::format("INSERT INTO leasehold.findings AS f (service, kind, tenant, object, message, remedy, "
                          "first_seen_time) SELECT $1, l.*, $3::timestamptz FROM ({}) l "
                          "ON CONFLICT (service, kind, tenant, object) DO UPDATE SET message = excluded.message, "
                          "remedy = excluded.remedy WHERE (f.message, f.remedy) <> (excluded.message, excluded.remedy)",
                          kListed),
              {report.service(), json, now})
        .status();
  });
}

absl::StatusOr<v1::DiagnoseResponse> Store::Diagnose(const std::string& service, const std::string& tenant,
                                                     absl::Duration patience) {
  v1::DiagnoseResponse response;
  const absl::Status done = Transact([&](postgres::Transaction& tx) -> absl::Status {
    response.Clear();
    LH_ASSIGN_OR_RETURN(const pqxx::result found,
                        tx.Exec("SELECT f.service, f.kind, f.tenant, f.object, f.message, f.remedy, "
                                "(extract(epoch FROM f.first_seen_time) * 1000000)::bigint, "
                                "(extract(epoch FROM p.pass_time) * 1000000)::bigint "
                                "FROM leasehold.findings f JOIN leasehold.passes p ON p.service = f.service "
                                "WHERE ($1 = '' OR f.service = $1) AND ($2 = '' OR f.tenant = $2) "
                                "ORDER BY f.service, f.tenant, f.kind, f.object",
                                {service, tenant}));
    for (const pqxx::row& row : found) {
      if (!std::ranges::binary_search(services_, row[0].as<std::string>())) continue;  // no longer configured
      v1::Finding& finding = *response.add_findings();
      finding.set_service(row[0].as<std::string>());
      finding.set_kind(ValueOf<v1::FindingKind>(v1::FindingKind_Parse, row[1]));
      finding.set_tenant(row[2].as<std::string>());
      finding.set_object(row[3].as<std::string>());
      finding.set_message(row[4].as<std::string>());
      finding.set_remedy(ValueOf<v1::FindingRemedy>(v1::FindingRemedy_Parse, row[5]));
      *finding.mutable_first_seen_time() = FromTime(absl::FromUnixMicros(row[6].as<int64_t>()));
      *finding.mutable_last_seen_time() = FromTime(absl::FromUnixMicros(row[7].as<int64_t>()));
    }
    for (const std::string& name : services_) {
      if (!service.empty() && service != name) continue;
      LH_ASSIGN_OR_RETURN(const pqxx::result counted,
                          tx.Exec(kServices, {name, tenant, rows::Time(clock_.Now() - patience)}));
      const pqxx::row row = counted[0];
      v1::ServiceHealth& health = *response.add_services();
      health.set_service(name);
      health.set_failed(row[0].as<int>());
      health.set_pending(row[1].as<int>());
      if (!row[2].is_null()) health.set_message(row[2].as<std::string>());
      if (!row[4].is_null()) health.set_trouble(row[4].as<std::string>());
      if (!row[3].is_null()) *health.mutable_last_pass_time() = FromTime(absl::FromUnixMicros(row[3].as<int64_t>()));
    }
    return absl::OkStatus();
  });
  LH_RETURN_IF_ERROR(done);
  return response;
}

}  // namespace leasehold::gateway
