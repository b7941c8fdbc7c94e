#include "services/provisioner/drift/findings.h"

#include <format>
#include <utility>

#include "common/secret/secret.h"
#include "common/status/error.h"

namespace leasehold::provisioner {
namespace {

constexpr std::string_view kStaging = "leasehold_new_";
constexpr std::string_view kAside = "leasehold_drop_";

class Diagnostician {
 public:
  explicit Diagnostician(const Compared& compared) : in_(compared) {
    for (const auto& [id, record] : in_.records) {
      if (!record.database_id.empty()) by_database_id_.emplace(record.database_id, &record);
    }
  }

  Diagnosis Run() {
    for (const auto& [id, record] : in_.records) OfRecord(record);
    for (const auto& [id, tenant] : in_.seen.tenants) OfUnrecorded(id, tenant);
    for (const auto& [name, database] : in_.seen.other_databases) OfOther(name, database);
    for (const auto& [name, role] : in_.seen.other_roles) OfOther(name, role);
    return std::move(out_);
  }

 private:
  void Add(v1::FindingKind kind, std::string_view tenant, std::string_view object, std::string_view message,
           bool repaired = false) {
    v1::Finding& finding = out_.findings.emplace_back();
    finding.set_service(in_.service.str());
    finding.set_kind(kind);
    finding.set_tenant(std::string(tenant));
    finding.set_object(Printable(object, 200));
    finding.set_message(Printable(message, 500));
    finding.set_remedy(repaired ? v1::FINDING_REMEDY_REPAIRED : v1::FINDING_REMEDY_REPORTED);
  }

  // Of a recorded tenant. If its last attempt failed, so will the repair: it needs somebody.
  void Of(const TenantRecord& record, v1::FindingKind kind, std::string_view object, const std::string& message,
          bool repairable) {
    const bool failed = record.state == v1::SERVICE_STATE_FAILED;
    Add(kind, record.id.str(), object, failed && repairable ? std::format("{}; {}", message, record.message) : message,
        repairable && !failed);
  }

  bool IsKnown(std::string_view database_id) const {
    return database_id == RoleKey::kCentralId || by_database_id_.contains(database_id) ||
           in_.in_use.contains(std::string(database_id));
  }

  void OfRecord(const TenantRecord& record) {
    if (record.database_id.empty()) return;
    if (in_.listed.has_value() && !in_.listed->contains(record.id.str())) {
      Add(v1::FINDING_KIND_UNLISTED, record.id.str(), TenantDatabaseName(record.id, in_.service),
          "the registry does not list the tenant; its database is kept");
    }
    if (record.desired == v1::DESIRED_STATE_ABSENT || IsOutlived(record)) return;
    const ObservedTenant nothing;
    const auto found = in_.seen.tenants.find(record.id.str());
    const ObservedTenant& tenant = found == in_.seen.tenants.end() ? nothing : found->second;
    const std::string name = TenantDatabaseName(record.id, in_.service);
    const bool ours = tenant.database.has_value() && IsOf(*tenant.database, record.database_id);
    if (tenant.database.has_value() && !ours) {
      Of(record, v1::FINDING_KIND_FOREIGN, name, "Leasehold did not make the database that has this tenant's name",
         false);
    }
    if (ours) OfDatabase(record, name, *tenant.database);
    // What was never finished is still being made.
    if (!ours && record.schema_version.has_value()) OfMissing(record, name, tenant.database.has_value());
    OfRole(record, name, tenant.owner);
    OfRole(record, TenantReadOnlyRole(record.id, in_.service), tenant.read_only);
  }

  void OfDatabase(const TenantRecord& record, const std::string& name, const ObservedDatabase& database) {
    if (!database.other_owner.empty()) {
      Of(record, v1::FINDING_KIND_WRONG_OWNER, name, std::format("it belongs to {}", database.other_owner),
         database.may_alter);
    }
    if (!database.surplus.empty()) {
      Of(record, v1::FINDING_KIND_GRANT_WIDENED, name,
         std::format("privileges on the database are granted to {}", database.surplus), database.may_alter);
    }
    if (!database.lacking.empty()) {
      Of(record, v1::FINDING_KIND_GRANT_REDUCED, name,
         std::format("{} lacks privileges on the database", database.lacking), database.may_alter);
    }
  }

  void OfMissing(const TenantRecord& record, const std::string& name, bool name_is_taken) {
    for (const auto& [other, database] : in_.seen.other_databases) {
      if (other.starts_with("leasehold_") || !IsOf(database, record.database_id)) continue;
      const bool certain = database.mark == MarkOf(record.database_id);
      return Of(record, v1::FINDING_KIND_DATABASE_RENAMED, other,
                certain ? std::format("it is tenant database {} under another name", name)
                        : std::format("it may be what became of tenant database {}, which is gone", name),
                certain && !name_is_taken && database.may_alter);
    }
    if (name_is_taken) return;
    Of(record, v1::FINDING_KIND_DATABASE_MISSING, name, "the database is gone; it is made again, empty", true);
  }

  void OfRole(const TenantRecord& record, const std::string& name, const std::optional<ObservedRole>& role) {
    if (!role.has_value()) {
      if (record.schema_version.has_value()) {
        Of(record, v1::FINDING_KIND_ROLE_MISSING, name, "the role is gone; it is made again", true);
      }
      return;
    }
    if (role->mark != MarkOf(record.database_id)) {
      return Of(record, v1::FINDING_KIND_FOREIGN, name, "Leasehold did not make the role that has this tenant's name",
                false);
    }
    if (!role->powers.empty()) {
      Of(record, v1::FINDING_KIND_ROLE_CHANGED, name, std::format("the role was given {}", role->powers),
         role->may_restore);
    }
    if (!role->members.empty()) {
      Of(record, v1::FINDING_KIND_GRANT_WIDENED, name, std::format("{} may act as this role", role->members),
         role->may_restore);
    }
    if (!role->belongs_to.empty()) {
      Of(record, v1::FINDING_KIND_GRANT_WIDENED, name, std::format("the role may act as {}", role->belongs_to),
         role->may_restore);
    }
    const bool settled = record.state_generation == record.generation &&
                         (record.state == v1::SERVICE_STATE_READY || record.state == v1::SERVICE_STATE_CLOSED);
    const bool may_log_in = record.desired == v1::DESIRED_STATE_PRESENT;
    if (settled && role->can_login != may_log_in) {
      Of(record, v1::FINDING_KIND_ROLE_CHANGED, name,
         may_log_in ? "the role was closed to log-ins" : "the role was opened to log-ins", true);
    }
  }

  // What has a tenant's name and no record that would have made it.
  void OfUnrecorded(const std::string& text, const ObservedTenant& tenant) {
    const TenantId id = *TenantId::Parse(text);
    const auto record = in_.records.find(id);
    if (record != in_.records.end() && !record->second.database_id.empty()) return;
    const std::string name = TenantDatabaseName(id, in_.service);
    if (tenant.database.has_value()) {
      const bool marked =
          !DatabaseIdOfMark(tenant.database->mark).empty() || !DatabaseIdOfMark(tenant.database->owner_mark).empty();
      Add(marked ? v1::FINDING_KIND_UNLISTED : v1::FINDING_KIND_FOREIGN, text, name,
          marked ? "Leasehold made the database, and no record says for whom; it is kept"
                 : "Leasehold did not make the database");
    }
    for (const auto& [role, role_name] :
         {std::pair(&tenant.owner, name), std::pair(&tenant.read_only, TenantReadOnlyRole(id, in_.service))}) {
      if (!role->has_value()) continue;
      const std::string_view made_for = DatabaseIdOfMark((*role)->mark);
      if (made_for.empty()) {
        Add(v1::FINDING_KIND_FOREIGN, text, role_name, "Leasehold did not make the role");
      } else if (!IsKnown(made_for)) {
        const bool removable = !tenant.database.has_value();
        Add(v1::FINDING_KIND_LEFTOVER, text, role_name, "the role belongs to no tenant database", removable);
        if (removable) out_.leftovers.insert({.tenant = id, .database_id = std::string(made_for)});
      }
    }
  }

  void OfOther(const std::string& name, const ObservedDatabase& database) {
    if (database.of_another) return;
    if (name.starts_with(kAside)) {
      return Add(v1::FINDING_KIND_LEFTOVER, "", name, "a database that was to be dropped is still there");
    }
    if (name.starts_with(kStaging)) return OfStaging(name, database);
    const std::string_view made_for = DatabaseIdOfMark(database.mark);
    if (made_for.empty() || IsKnown(made_for)) return;
    Add(v1::FINDING_KIND_LEFTOVER, "", name, "the database bears Leasehold's mark and belongs to no tenant");
  }

  void OfStaging(const std::string& name, const ObservedDatabase& database) {
    const std::string database_id = name.substr(kStaging.size());
    const auto record = by_database_id_.find(database_id);
    if (record != by_database_id_.end()) {
      const auto tenant = in_.seen.tenants.find(record->second->id.str());
      const bool finished = tenant != in_.seen.tenants.end() && tenant->second.database.has_value() &&
                            IsOf(*tenant->second.database, database_id);
      if (!finished) return;  // being made
    } else if (IsKnown(database_id)) {
      return;
    }
    // Whose turn it is to touch it, the tenant's lock decides; its owner's name says who that is.
    const std::optional<TenantId> tenant = TenantOfDatabase(database.other_owner, in_.service);
    const bool removable = tenant.has_value() && database.owner_mark == MarkOf(database_id);
    Add(v1::FINDING_KIND_LEFTOVER, tenant.has_value() ? tenant->str() : "", name,
        "a half-made database that nobody works on", removable);
    if (removable) out_.leftovers.insert({.tenant = *tenant, .database_id = database_id, .database = name});
  }

  void OfOther(const std::string& name, const ObservedRole& role) {
    const std::string_view made_for = DatabaseIdOfMark(role.mark);
    const auto record = by_database_id_.find(made_for);
    if (record != by_database_id_.end()) {
      Add(v1::FINDING_KIND_LEFTOVER, record->second->id.str(), name, "a role of the tenant under another name");
    } else if (!role.of_another && !IsKnown(made_for)) {
      Add(v1::FINDING_KIND_LEFTOVER, "", name, "the role bears Leasehold's mark and belongs to no tenant");
    }
  }

  const Compared& in_;
  std::map<std::string_view, const TenantRecord*> by_database_id_;
  Diagnosis out_;
};

}  // namespace

Diagnosis Diagnose(const Compared& compared) { return Diagnostician(compared).Run(); }

bool NeedsSecondSight(const v1::Finding& finding) {
  return finding.kind() == v1::FINDING_KIND_LEFTOVER || finding.kind() == v1::FINDING_KIND_UNLISTED;
}

}  // namespace leasehold::provisioner
