// Instances and their databases as people read them.
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/config/config.h"
#include "services/cli/relative_time.h"
#include "services/cli/show.h"
#include "services/cli/table.h"

namespace leasehold::cli {
namespace {

// A transaction that holds VACUUM up for so long is worth a look.
constexpr absl::Duration kLong = absl::Minutes(1);

Cell Age(bool open, const google::protobuf::Duration& of) {
  if (!open) return "";
  const absl::Duration age = ToDuration(of);
  return {age < absl::Seconds(1) ? Took(age) : ShortDuration(age), age >= kLong ? Colour::kYellow : Colour::kPlain};
}

std::string WhoseOf(const v1::InstanceDatabase& database) {
  switch (database.kind()) {
    case v1::DATABASE_KIND_TENANT:
      return database.tenant();
    case v1::DATABASE_KIND_CENTRAL:
      return "(central)";
    case v1::DATABASE_KIND_SPARE:
      return "(spare)";
    default:
      return "(other)";
  }
}

}  // namespace

std::string ShowInstances(const google::protobuf::RepeatedPtrField<v1::Instance>& instances, const View& view) {
  Table table({"SERVICE", "SERVER", "UP", "CONNECTIONS", "LONGEST", "DATABASES", "TENANTS", "SPARES", "SIZE"});
  Table databases(
      {"SERVICE", "DATABASE", "OF", "SIZE", "CONNECTIONS", "ACTIVE", "IN TX", "LONGEST", "PID", "APPLICATION"});
  std::string notes;
  for (const v1::Instance& instance : instances) {
    if (!instance.trouble().empty()) {
      table.AddRow({instance.service(), {instance.trouble(), Colour::kRed}});
      continue;
    }
    if (instance.hidden_connections() > 0) {
      absl::StrAppend(&notes, "\n", instance.service(), ": the transactions of ", instance.hidden_connections(),
                      " sessions are not shown to the provisioner's login; GRANT pg_read_all_stats lets it see them\n");
    }
    table.AddRow(
        {instance.service(), instance.server_version(), ShortDuration(view.now - ToTime(instance.start_time())),
         absl::StrCat(instance.connections(), "/", instance.max_connections()),
         Age(instance.has_longest_transaction(), instance.longest_transaction()),
         absl::StrCat(instance.database_count()), absl::StrCat(instance.tenant_databases()),
         absl::StrCat(instance.spare_databases()), instance.has_size_bytes() ? Bytes(instance.size_bytes()) : ""});
    for (const v1::InstanceDatabase& database : instance.databases()) {
      databases.AddRow({instance.service(), database.database(), WhoseOf(database),
                        database.has_size_bytes() ? Bytes(database.size_bytes()) : "",
                        absl::StrCat(database.connections()), absl::StrCat(database.active()),
                        absl::StrCat(database.idle_in_transaction()),
                        Age(database.has_longest_transaction(), database.longest_transaction()),
                        database.pid() == 0 ? "" : absl::StrCat(database.pid()), database.application()});
    }
  }
  std::string text = table.Render(view.terminal);
  if (!databases.empty()) absl::StrAppend(&text, "\n", databases.Render(view.terminal));
  return text + notes;
}

}  // namespace leasehold::cli
