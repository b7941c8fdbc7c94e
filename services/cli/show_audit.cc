// The audit trail as people read it.
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "common/config/config.h"
#include "common/status/error.h"
#include "services/cli/show.h"
#include "services/cli/table.h"

namespace leasehold::cli {
namespace {

std::string OutcomeOf(const v1::AuditEvent& event) {
  if (event.outcome() == v1::REASON_UNSPECIFIED) return "done";
  return absl::AsciiStrToLower(absl::StripPrefix(v1::Reason_Name(event.outcome()), "REASON_"));
}

std::string WhoOf(const v1::AuditEvent& event) {
  if (event.holder().empty()) return Printable(event.principal());
  return Printable(event.principal().empty() ? event.holder()
                                             : absl::StrCat(event.principal(), " (", event.holder(), ")"));
}

std::vector<Cell> CellsOf(const v1::AuditEvent& event) {
  const bool done = event.outcome() == v1::REASON_UNSPECIFIED;
  return {absl::FormatTime("%Y-%m-%d %H:%M:%E3SZ", ToTime(event.time()), absl::UTCTimeZone()),
          Word(event.action()),
          {OutcomeOf(event), done ? Colour::kPlain : Colour::kRed},
          event.tenant(),
          event.service(),
          event.lease(),
          WhoOf(event),
          event.address(),
          Printable(event.subject()),
          Printable(event.detail())};
}

}  // namespace

std::string Word(v1::AuditAction action) {
  const std::string word = absl::AsciiStrToLower(absl::StripPrefix(v1::AuditAction_Name(action), "AUDIT_ACTION_"));
  return absl::StrReplaceAll(word, {{"_", "-"}});
}

std::string ShowAudit(const google::protobuf::RepeatedPtrField<v1::AuditEvent>& events, const Terminal& terminal) {
  Table table({"TIME", "ACTION", "OUTCOME", "TENANT", "SERVICE", "LEASE", "WHO", "FROM", "SUBJECT", "DETAIL"});
  for (const v1::AuditEvent& event : events) table.AddRow(CellsOf(event));
  return table.empty() ? "no events\n" : table.Render(terminal);
}

std::string AuditLine(const v1::AuditEvent& event, const Terminal& terminal) {
  Table table;
  table.AddRow(CellsOf(event));
  return table.Render(terminal);
}

}  // namespace leasehold::cli
