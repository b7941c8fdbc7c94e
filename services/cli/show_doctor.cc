// A diagnosis as people read it.
#include <algorithm>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "services/cli/relative_time.h"
#include "services/cli/show.h"
#include "services/cli/table.h"

namespace leasehold::cli {
namespace {

// "grant widened" for FINDING_KIND_GRANT_WIDENED.
std::string Words(std::string name, std::string_view prefix) {
  if (name.starts_with(prefix)) name.erase(0, prefix.size());
  return absl::StrReplaceAll(absl::AsciiStrToLower(name), {{"_", " "}});
}

Cell Count(int count) { return {absl::StrCat(count), count > 0 ? Colour::kRed : Colour::kPlain}; }

}  // namespace

std::string Word(v1::FindingKind kind) { return Words(v1::FindingKind_Name(kind), "FINDING_KIND_"); }
std::string Word(v1::FindingRemedy remedy) { return Words(v1::FindingRemedy_Name(remedy), "FINDING_REMEDY_"); }

std::string ShowDiagnosis(const v1::DiagnoseResponse& diagnosis, const View& view) {
  Table services({"SERVICE", "LAST PASS", "FAILED", "PENDING", "MESSAGE"});
  for (const v1::ServiceHealth& health : diagnosis.services()) {
    services.AddRow({health.service(),
                     health.has_last_pass_time() ? Relative(health.last_pass_time(), view.now) : "never",
                     Count(health.failed()),
                     Count(health.pending()),
                     {health.message(), Colour::kRed}});
  }
  Table findings({"SERVICE", "TENANT", "KIND", "OBJECT", "REMEDY", "SINCE", "MESSAGE"});
  for (const v1::Finding& finding : diagnosis.findings()) {
    const bool repaired = finding.remedy() == v1::FINDING_REMEDY_REPAIRED;
    findings.AddRow({finding.service(),
                     finding.tenant(),
                     Word(finding.kind()),
                     finding.object(),
                     {Word(finding.remedy()), repaired ? Colour::kYellow : Colour::kRed},
                     Relative(finding.first_seen_time(), view.now),
                     finding.message()});
  }
  std::string text = services.Render(view.terminal);
  Table advice({"WHAT", "WHAT TO DO"});
  for (const v1::ServiceHealth& health : diagnosis.services()) {
    if (!health.advice().empty()) advice.AddRow({health.service(), health.advice()});
  }
  for (const v1::Finding& finding : diagnosis.findings()) {
    advice.AddRow({absl::StrCat(Word(finding.kind()), " ", finding.object()), finding.advice()});
  }
  if (!findings.empty()) {
    absl::StrAppend(&text, "\n", findings.Render(view.terminal));
  } else if (!NeedsSomebody(diagnosis)) {
    absl::StrAppend(&text, "\nnothing amiss on the instances\n");
  }
  if (!advice.empty()) absl::StrAppend(&text, "\n", advice.Render(view.terminal));
  return text;
}

bool NeedsSomebody(const v1::DiagnoseResponse& diagnosis) {
  return std::ranges::any_of(diagnosis.findings(),
                             [](const auto& finding) { return finding.remedy() != v1::FINDING_REMEDY_REPAIRED; }) ||
         std::ranges::any_of(diagnosis.services(), [](const auto& health) { return !health.message().empty(); });
}

}  // namespace leasehold::cli
