// Backups as people read them.
#include <array>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/status/view.h"
#include "services/cli/relative_time.h"
#include "services/cli/show.h"
#include "services/cli/table.h"

namespace leasehold::cli {
namespace {

Colour ColourOf(v1::BackupState state) {
  switch (state) {
    case v1::BACKUP_STATE_COMPLETE:
      return Colour::kGreen;
    case v1::BACKUP_STATE_RUNNING:
      return Colour::kYellow;
    default:
      return Colour::kRed;
  }
}

int64_t BytesOf(const v1::Backup& backup) {
  int64_t bytes = 0;
  for (const auto& service : backup.services()) bytes += service.bytes();
  return bytes;
}

}  // namespace

std::string Word(v1::BackupState state) {
  std::string_view name = v1::BackupState_Name(state);
  name.remove_prefix(std::string_view("BACKUP_STATE_").size());
  return absl::AsciiStrToLower(AbslView(name));
}

std::string Bytes(int64_t bytes) {
  constexpr std::array<const char*, 5> kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto amount = static_cast<double>(bytes);
  size_t unit = 0;
  while (amount >= 1024 && unit + 1 < kUnits.size()) {
    amount /= 1024;
    ++unit;
  }
  return unit == 0 || amount >= 10 ? absl::StrFormat("%.0f %s", amount, kUnits[unit])
                                   : absl::StrFormat("%.1f %s", amount, kUnits[unit]);
}

std::string ShowBackup(const v1::Backup& backup, const View& view) {
  Table facts;
  facts.AddRow({{"id", Colour::kDim}, backup.id()});
  facts.AddRow({{"tenant", Colour::kDim}, backup.tenant()});
  facts.AddRow({{"state", Colour::kDim}, {Word(backup.state()), ColourOf(backup.state())}});
  facts.AddRow({{"begun", Colour::kDim}, Relative(backup.create_time(), view.now)});
  if (backup.has_end_time()) facts.AddRow({{"ended", Colour::kDim}, Relative(backup.end_time(), view.now)});
  Table services({"SERVICE", "STATE", "SIZE", "SCHEMA", "UPDATED", "MESSAGE"});
  for (const auto& service : backup.services()) {
    services.AddRow({service.service(),
                     {Word(service.state()), ColourOf(service.state())},
                     service.bytes() > 0 ? Bytes(service.bytes()) : "",
                     service.schema_version() > 0 ? absl::StrCat(service.schema_version()) : "",
                     Relative(service.update_time(), view.now),
                     service.message()});
  }
  return absl::StrCat(facts.Render(view.terminal), "\n", services.Render(view.terminal));
}

std::string ShowBackups(const google::protobuf::RepeatedPtrField<v1::Backup>& backups, const View& view) {
  if (backups.empty()) return "no backups\n";
  Table table({"ID", "TENANT", "STATE", "SIZE", "BEGUN"});
  for (const auto& backup : backups) {
    table.AddRow({backup.id(),
                  backup.tenant(),
                  {Word(backup.state()), ColourOf(backup.state())},
                  Bytes(BytesOf(backup)),
                  Relative(backup.create_time(), view.now)});
  }
  return table.Render(view.terminal);
}

}  // namespace leasehold::cli
