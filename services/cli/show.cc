#include "services/cli/show.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/config/config.h"
#include "common/status/view.h"
#include "services/cli/relative_time.h"
#include "services/cli/table.h"

namespace leasehold::cli {
namespace {

std::string Lowered(std::string_view name, std::string_view prefix) {
  if (name.starts_with(prefix)) name.remove_prefix(prefix.size());
  return absl::AsciiStrToLower(AbslView(name));
}

Colour ColourOf(v1::TenantState state) {
  switch (state) {
    case v1::TENANT_STATE_ACTIVE:
      return Colour::kGreen;
    case v1::TENANT_STATE_PROVISIONING:
    case v1::TENANT_STATE_SUSPENDED:
      return Colour::kYellow;
    case v1::TENANT_STATE_DEGRADED:
    case v1::TENANT_STATE_DELETED:
    case v1::TENANT_STATE_PURGING:
      return Colour::kRed;
    default:
      return Colour::kPlain;
  }
}

Colour ColourOf(v1::ServiceState state) {
  switch (state) {
    case v1::SERVICE_STATE_READY:
      return Colour::kGreen;
    case v1::SERVICE_STATE_FAILED:
      return Colour::kRed;
    default:
      return Colour::kYellow;
  }
}

Colour ColourOf(v1::OperationState state) {
  switch (state) {
    case v1::OPERATION_STATE_SUCCEEDED:
      return Colour::kGreen;
    case v1::OPERATION_STATE_RUNNING:
      return Colour::kYellow;
    default:
      return Colour::kRed;
  }
}

Colour ColourOf(v1::LeaseState state) { return state == v1::LEASE_STATE_ACTIVE ? Colour::kGreen : Colour::kRed; }

int Ready(const v1::Tenant& tenant) {
  return static_cast<int>(std::ranges::count_if(
      tenant.services(), [](const auto& service) { return service.state() == v1::SERVICE_STATE_READY; }));
}

std::string ReadyOf(const v1::Tenant& tenant) { return absl::StrCat(Ready(tenant), "/", tenant.services_size()); }

std::string HomeOf(const v1::Lease& lease) {
  return lease.has_connection() ? absl::StrCat("(", lease.connection(), ")") : lease.tenant();
}

std::string AccessOf(const v1::Lease& lease) {
  return lease.access() == v1::ACCESS_READ_ONLY ? "read-only" : "read-write";
}

void AddLeaseRows(const v1::Lease& lease, const View& view, Table& table) {
  auto row = [&](const char* name, std::string value) {
    if (!value.empty()) table.AddRow({{name, Colour::kDim}, std::move(value)});
  };
  row("id", lease.id());
  table.AddRow({{"state", Colour::kDim}, {Word(lease.state()), ColourOf(lease.state())}});
  row("service", lease.service());
  row(lease.has_connection() ? "connection" : "tenant", lease.has_connection() ? lease.connection() : lease.tenant());
  if (lease.current_tenant() != lease.tenant()) row("moved to", lease.current_tenant());
  row("access", AccessOf(lease));
  row("may switch to", absl::StrJoin(lease.switch_to(), ", "));
  row("holder", lease.holder());
  row("principal", lease.principal());
  if (lease.session()) row("sessions keep", "one server connection each");
  row("issued", Relative(lease.issue_time(), view.now));
  if (lease.state() == v1::LEASE_STATE_ACTIVE) row("expires", Relative(lease.expire_time(), view.now));
  if (lease.state() == v1::LEASE_STATE_EXPIRED) row("expired", Relative(lease.expire_time(), view.now));
  if (lease.sessions() > 0) row("open sessions", absl::StrCat(lease.sessions()));
}

std::string ProgressOf(const v1::Operation& operation) {
  return absl::StrCat(operation.done(), "/", operation.total());
}

std::string TookOf(const v1::Operation& operation, absl::Time now) {
  const absl::Time end = operation.has_end_time() ? ToTime(operation.end_time()) : now;
  return ShortDuration(end - ToTime(operation.create_time()));
}

struct Amount {
  int64_t bytes = 0;
  int64_t total = 0;  // 0: not known
};

std::string Shown(const Amount& amount) {
  if (amount.bytes == 0 && amount.total == 0) return "";
  if (amount.total == 0) return Bytes(amount.bytes);
  return absl::StrCat(Bytes(amount.bytes), " of ", Bytes(amount.total));
}

Amount AmountOf(const v1::Operation& operation) {
  Amount sum;
  bool known = true;
  for (const auto& service : operation.services()) {
    sum.bytes += service.bytes();
    sum.total += service.total_bytes();
    known = known && (service.total_bytes() > 0 || (service.done() && service.bytes() == 0));
  }
  if (!known) sum.total = 0;
  return sum;
}

}  // namespace

std::string Word(v1::TenantState state) { return Lowered(v1::TenantState_Name(state), "TENANT_STATE_"); }
std::string Word(v1::ServiceState state) { return Lowered(v1::ServiceState_Name(state), "SERVICE_STATE_"); }
std::string Word(v1::LeaseState state) { return Lowered(v1::LeaseState_Name(state), "LEASE_STATE_"); }
std::string Word(v1::OperationState state) {
  // Nothing went wrong: a newer change of the tenant took its place.
  if (state == v1::OPERATION_STATE_ABORTED) return "superseded";
  return Lowered(v1::OperationState_Name(state), "OPERATION_STATE_");
}
std::string Word(v1::OperationKind kind) { return Lowered(v1::OperationKind_Name(kind), "OPERATION_KIND_"); }

std::vector<std::string> TenantStateWords() {
  std::vector<std::string> words;
  for (int i = v1::TenantState_MIN + 1; i <= v1::TenantState_MAX; ++i) {
    if (v1::TenantState_IsValid(i)) words.push_back(Word(static_cast<v1::TenantState>(i)));
  }
  return words;
}

v1::TenantState TenantStateOf(std::string_view word) {
  v1::TenantState state = v1::TENANT_STATE_UNSPECIFIED;
  const std::string upper = absl::AsciiStrToUpper(AbslView(word));
  v1::TenantState_Parse(absl::StrCat("TENANT_STATE_", upper), &state);
  return state;
}

std::string ShowTenant(const v1::Tenant& tenant, const View& view) {
  Table facts;
  auto row = [&](const char* name, std::string value) {
    if (!value.empty()) facts.AddRow({{name, Colour::kDim}, std::move(value)});
  };
  row("id", tenant.id());
  row("name", tenant.name());
  row("domain", tenant.domain());
  facts.AddRow({{"state", Colour::kDim}, {Word(tenant.state()), ColourOf(tenant.state())}});
  row("message", tenant.message());
  row("generation", absl::StrCat(tenant.generation()));
  row("created", Relative(tenant.create_time(), view.now));
  row("updated", Relative(tenant.update_time(), view.now));
  row("purged", Relative(tenant.purge_time(), view.now));
  std::vector<std::string> settings;
  for (const auto& [key, value] : tenant.settings()) settings.push_back(absl::StrCat(key, "=", value));
  std::ranges::sort(settings);
  row("settings", absl::StrJoin(settings, " "));
  std::string out = facts.Render(view.terminal);
  if (tenant.services().empty()) return out;

  Table services({"SERVICE", "STATE", "DATABASE", "SCHEMA", "UPDATED", "MESSAGE"});
  for (const auto& service : tenant.services()) {
    std::string message = service.message();
    if (service.has_next_attempt_time()) {
      absl::StrAppend(&message, message.empty() ? "" : "; ", "attempt ", service.attempts() + 1, " ",
                      Relative(service.next_attempt_time(), view.now));
    }
    services.AddRow({service.service(),
                     {Word(service.state()), ColourOf(service.state())},
                     service.database(),
                     service.schema_version() > 0 ? absl::StrCat(service.schema_version()) : "",
                     Relative(service.update_time(), view.now),
                     message});
  }
  return absl::StrCat(out, "\n", services.Render(view.terminal));
}

std::string ShowTenants(const google::protobuf::RepeatedPtrField<v1::Tenant>& tenants, const View& view) {
  if (tenants.empty()) return "no tenants\n";
  Table table({"ID", "NAME", "DOMAIN", "STATE", "READY", "CREATED", "MESSAGE"});
  for (const auto& tenant : tenants) {
    table.AddRow({tenant.id(),
                  tenant.name(),
                  tenant.domain(),
                  {Word(tenant.state()), ColourOf(tenant.state())},
                  ReadyOf(tenant),
                  Relative(tenant.create_time(), view.now),
                  tenant.message()});
  }
  return table.Render(view.terminal);
}

std::string TenantLine(const v1::Tenant& tenant, const View& view) {
  std::vector<std::string> services;
  for (const auto& service : tenant.services()) {
    services.push_back(
        absl::StrCat(service.service(), " ", view.terminal.Paint(ColourOf(service.state()), Word(service.state()))));
  }
  return absl::StrCat(absl::FormatTime("%H:%M:%E3S", view.now, absl::LocalTimeZone()), "  ", tenant.id(), "  ",
                      view.terminal.Paint(ColourOf(tenant.state()), Word(tenant.state())), "  ", ReadyOf(tenant), "  ",
                      absl::StrJoin(services, ", "), tenant.message().empty() ? "" : "  ", tenant.message(), "\n");
}

std::string ShowLease(const v1::Lease& lease, const View& view) {
  Table table;
  AddLeaseRows(lease, view, table);
  return table.Render(view.terminal);
}

std::string ShowLeases(const google::protobuf::RepeatedPtrField<v1::Lease>& leases, const View& view) {
  if (leases.empty()) return "no leases\n";
  Table table({"ID", "SERVICE", "TENANT", "ACCESS", "HOLDER", "ISSUED", "EXPIRES", "SESSIONS"});
  for (const auto& lease : leases) {
    table.AddRow({lease.id(), lease.service(), HomeOf(lease), AccessOf(lease), lease.holder(),
                  Relative(lease.issue_time(), view.now), Relative(lease.expire_time(), view.now),
                  absl::StrCat(lease.sessions())});
  }
  return table.Render(view.terminal);
}

std::string ShowAcquired(const v1::AcquireLeaseResponse& response, const View& view) {
  Table table;
  AddLeaseRows(response.lease(), view, table);
  table.AddRow({{"database", Colour::kDim}, response.credentials().database()});
  table.AddRow({{"dsn", Colour::kDim}, response.credentials().dsn()});
  return table.Render(view.terminal);
}

std::string WrittenOf(const v1::Operation& operation) { return Shown(AmountOf(operation)); }

int PercentOf(const v1::Operation& operation) {
  const Amount amount = AmountOf(operation);
  if (amount.total == 0) return -1;
  return static_cast<int>(std::min(1.0, static_cast<double>(amount.bytes) / static_cast<double>(amount.total)) * 100);
}

std::string ShowOperation(const v1::Operation& operation, const View& view) {
  Table table;
  auto row = [&](const char* name, std::string value) {
    if (!value.empty()) table.AddRow({{name, Colour::kDim}, std::move(value)});
  };
  row("id", operation.id());
  row("tenant", operation.tenant());
  row("kind", Word(operation.kind()));
  table.AddRow({{"state", Colour::kDim}, {Word(operation.state()), ColourOf(operation.state())}});
  row("services done", ProgressOf(operation));
  row("message", operation.message());
  row("started", Relative(operation.create_time(), view.now));
  row("of", operation.subject());
  row(operation.has_end_time() ? "took" : "running for", TookOf(operation, view.now));
  std::string out = table.Render(view.terminal);
  if (operation.services().empty()) return out;
  Table services({"SERVICE", "DONE", "WRITTEN", "MESSAGE"});
  for (const auto& service : operation.services()) {
    services.AddRow({service.service(), service.done() ? "yes" : "no", Shown({service.bytes(), service.total_bytes()}),
                     service.message()});
  }
  return absl::StrCat(out, "\n", services.Render(view.terminal));
}

std::string ShowOperations(const google::protobuf::RepeatedPtrField<v1::Operation>& operations, const View& view) {
  if (operations.empty()) return "no operations\n";
  Table table({"ID", "KIND", "STATE", "DONE", "WRITTEN", "STARTED", "TOOK", "MESSAGE"});
  for (const auto& operation : operations) {
    table.AddRow({operation.id(),
                  Word(operation.kind()),
                  {Word(operation.state()), ColourOf(operation.state())},
                  ProgressOf(operation),
                  WrittenOf(operation),
                  Relative(operation.create_time(), view.now),
                  TookOf(operation, view.now),
                  operation.message()});
  }
  return table.Render(view.terminal);
}

}  // namespace leasehold::cli
