#include "services/cli/show_migration.h"

#include <map>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "common/status/error.h"
#include "common/status/view.h"
#include "services/cli/relative_time.h"
#include "services/cli/table.h"

namespace leasehold::cli {
namespace {

std::string WordOf(std::string_view name, std::string_view prefix) {
  name.remove_prefix(prefix.size());
  return absl::StrReplaceAll(absl::AsciiStrToLower(AbslView(name)), {{"_", "-"}});
}

Colour ColourOf(v1::MigrationRunState state) {
  if (state == v1::MIGRATION_RUN_STATE_SUCCEEDED) return Colour::kGreen;
  return state == v1::MIGRATION_RUN_STATE_RUNNING ? Colour::kYellow : Colour::kRed;
}

Cell SeverityCell(v1::MigrationSeverity severity) {
  switch (severity) {
    case v1::MIGRATION_SEVERITY_ERROR:
      return {"error", Colour::kRed};
    case v1::MIGRATION_SEVERITY_WARNING:
      return {"warning", Colour::kYellow};
    default:
      return {"note", Colour::kDim};
  }
}

// "0001_a.sql, 0002_b.sql" or "0001_a.sql … 0009_i.sql (9)".
std::string FilesText(const google::protobuf::RepeatedPtrField<std::string>& files) {
  if (files.size() <= 3) return absl::StrJoin(files, ", ");
  return absl::StrCat(files[0], " … ", files[files.size() - 1], " (", files.size(), ")");
}

std::string Counts(const v1::MigrationRun& run) {
  std::string text = absl::StrCat(run.done(), " done");
  if (run.failed() > 0) absl::StrAppend(&text, ", ", run.failed(), " failed");
  if (run.skipped() > 0) absl::StrAppend(&text, ", ", run.skipped(), " skipped");
  if (run.pending() + run.running() > 0) absl::StrAppend(&text, ", ", run.pending() + run.running(), " to do");
  return absl::StrCat(text, " of ", run.total());
}

// "a", "a, b, c" or "a, b, c and 9 more".
std::string Databases(const std::vector<std::string>& names) {
  constexpr size_t kNamed = 3;
  if (names.size() <= kNamed) return absl::StrJoin(names, ", ");
  return absl::StrCat(absl::StrJoin(names.begin(), names.begin() + kNamed, ", "), " and ", names.size() - kNamed,
                      " more");
}

// All of them, in lines that are not too long.
std::string Listed(const std::vector<std::string>& names) {
  constexpr size_t kWidth = 100;
  std::string text;
  size_t width = kWidth;
  for (const std::string& name : names) {
    const bool fits = width + name.size() + 2 <= kWidth;
    absl::StrAppend(&text, text.empty() ? "" : ",", fits ? " " : absl::StrCat(text.empty() ? "" : "\n", "    "), name);
    width = (fits ? width + 2 : 0) + name.size();
  }
  return absl::StrCat(text, "\n");
}

// What is the same in several databases is said once.
class ByText {
 public:
  // True for the first of its text.
  bool Add(const std::string& text, const std::string& database) {
    const auto [place, is_new] = places_.try_emplace(text, databases_.size());
    if (is_new) databases_.emplace_back();
    if (!database.empty()) databases_[place->second].push_back(database);
    return is_new;
  }
  const std::vector<std::string>& Of(size_t place) const { return databases_[place]; }

 private:
  std::map<std::string, size_t> places_;
  std::vector<std::vector<std::string>> databases_;
};

class FindingsTable {
 public:
  void Add(const v1::MigrationFinding& finding) {
    v1::MigrationFinding key = finding;
    key.clear_database();
    if (by_text_.Add(key.SerializeAsString(), finding.database())) findings_.push_back(finding);
  }
  bool empty() const { return findings_.empty(); }
  std::string Render(const View& view) const {
    Table table({"", "DATABASE", "OBJECT", "FOUND", "REMEDY"});
    for (size_t i = 0; i < findings_.size(); ++i) {
      const v1::MigrationFinding& finding = findings_[i];
      table.AddRow({SeverityCell(finding.severity()), Databases(by_text_.Of(i)), finding.object(), finding.message(),
                    finding.remedy()});
    }
    return table.Render(view.terminal);
  }

 private:
  ByText by_text_;
  std::vector<v1::MigrationFinding> findings_;
};

std::string FailureText(const v1::MigrationTask& task) {
  const v1::MigrationFailure& failure = task.failure();
  if (failure.file().empty()) return failure.message();
  std::string text(StdView(absl::StripAsciiWhitespace(failure.text())));
  text = absl::StrReplaceAll(text, {{"\n", " "}, {"\\x0a", " "}});
  if (text.size() > 100) text = absl::StrCat(Printable(text.substr(0, 100)), "…");
  const std::string place =
      failure.statement() == 0 ? "" : absl::StrCat(" line ", failure.line(), ", statement ", failure.statement());
  return absl::StrCat(failure.file(), place, " (", failure.sqlstate().empty() ? "no SQLSTATE" : failure.sqlstate(),
                      "): ", failure.reason(), failure.reason().empty() || text.empty() ? "" : ": ", text);
}

}  // namespace

std::string Word(v1::MigrationKind kind) { return WordOf(v1::MigrationKind_Name(kind), "MIGRATION_KIND_"); }
std::string Word(v1::MigrationRunState state) {
  return WordOf(v1::MigrationRunState_Name(state), "MIGRATION_RUN_STATE_");
}
std::string Word(v1::MigrationTaskState state) {
  return WordOf(v1::MigrationTaskState_Name(state), "MIGRATION_TASK_STATE_");
}

std::string ShowMigrationStatus(const v1::MigrationStatus& status, bool all, const View& view) {
  std::string text = absl::StrCat(status.service(), ": ", status.total(), " databases, ", status.behind(), " behind, ",
                                  status.differing(), " differ", status.unfinished() == 0 ? "" : ", ",
                                  status.unfinished() == 0 ? "" : absl::StrCat(status.unfinished(), " not complete"),
                                  "; newest files: tenant ", status.newest_tenant_version(), ", central ",
                                  status.newest_central_version(), "\n");
  if (status.has_run()) {
    absl::StrAppend(&text, "last run ", status.run().id(), " (", Word(status.run().spec().kind()), ") ",
                    view.terminal.Paint(ColourOf(status.run().state()), Word(status.run().state())), ": ",
                    Counts(status.run()), status.run().message().empty() ? "" : "; ", status.run().message(), "\n");
  }
  if (!status.files_error().empty()) {
    absl::StrAppend(&text,
                    view.terminal.Paint(
                        Colour::kRed, absl::StrCat("the files cannot be read as they are now: ", status.files_error())),
                    "; what stands here is by those before\n");
  }
  Table table({"DATABASE", "TENANT", "VERSION", "PENDING", ""});
  for (const v1::DatabaseVersion& database : status.databases()) {
    if (!all && database.pending() == 0 && !database.differs() && !database.unfinished()) continue;
    if (database.unfinished()) {
      table.AddRow({database.database(),
                    database.tenant(),
                    "",
                    "",
                    {absl::StrCat("not complete: leasehold tenant get ", database.tenant()), Colour::kYellow}});
      continue;
    }
    table.AddRow({database.database(),
                  database.spare() ? "(spare)" : database.tenant(),
                  absl::StrCat(database.version()),
                  {absl::StrCat(database.pending()), database.pending() > 0 ? Colour::kYellow : Colour::kPlain},
                  {database.differs() ? "differs from the files" : " ", Colour::kRed}});
  }
  return table.empty() ? text : absl::StrCat(text, "\n", table.Render(view.terminal));
}

std::string ShowPlan(const v1::MigrationPlan& plan, const View& view) {
  FindingsTable stops;
  FindingsTable others;
  for (const v1::MigrationFinding& finding : plan.findings()) {
    (finding.severity() == v1::MIGRATION_SEVERITY_ERROR ? stops : others).Add(finding);
  }
  const std::string amiss =
      absl::StrCat(others.empty() ? "" : absl::StrCat("worth a look before:\n", others.Render(view)),
                   stops.empty() ? "" : absl::StrCat("what apply would stop at:\n", stops.Render(view)));
  if (plan.databases().empty()) {
    return amiss.empty() ? "every database is at the newest version\n" : absl::StrCat("no file is pending\n", amiss);
  }
  std::string text;
  for (const v1::MigrationFile& file : plan.files()) {
    absl::StrAppend(
        &text, view.terminal.Paint(Colour::kBold, absl::StrCat(file.tenant() ? "tenant/" : "central/", file.name())),
        file.transactional() ? "" : "  (no transaction)", file.has_down() ? "  (can be undone)" : "",
        file.statements().empty() && file.statement_count() == 0 ? "  (no statements)" : "", "\n");
    for (const std::string& statement : file.statements())
      absl::StrAppend(&text, "  ", absl::StrReplaceAll(statement, {{"\n", "\n  "}}), ";\n");
    const int left = file.statement_count() - file.statements_size();
    if (left > 0) absl::StrAppend(&text, "  … and ", left, " more statements\n");
  }
  Table table({"DATABASE", "TENANT", "WAVE", "VERSION", "FILES"});
  for (const v1::PlannedDatabase& database : plan.databases()) {
    table.AddRow({database.database(), database.tenant(), absl::StrCat(database.wave()),
                  absl::StrCat(database.version()), FilesText(database.files())});
  }
  return absl::StrCat(text, "\n", table.Render(view.terminal), amiss.empty() ? "" : "\n", amiss);
}

std::string ShowRuns(const google::protobuf::RepeatedPtrField<v1::MigrationRun>& runs, const View& view) {
  if (runs.empty()) return "no runs\n";
  Table table({"ID", "KIND", "STATE", "DATABASES", "BEGUN", "MESSAGE"});
  for (const v1::MigrationRun& run : runs) {
    table.AddRow({run.id(),
                  Word(run.spec().kind()),
                  {Word(run.state()), ColourOf(run.state())},
                  Counts(run),
                  Relative(run.create_time(), view.now),
                  run.message()});
  }
  return table.Render(view.terminal);
}

std::string FailureLine(const v1::MigrationTask& task) {
  return absl::StrCat(task.database(), ": ", FailureText(task));
}

std::string ShowRun(const v1::MigrationRun& run, const std::vector<v1::MigrationTask>& tasks, const View& view) {
  std::string text = absl::StrCat("run ", run.id(), " (", Word(run.spec().kind()), ") ",
                                  view.terminal.Paint(ColourOf(run.state()), Word(run.state())), ": ", Counts(run),
                                  run.message().empty() ? "" : "; ", run.message(), "\n");
  ByText failures;
  std::vector<std::string> texts;
  for (const v1::MigrationTask& task : tasks) {
    if (task.state() != v1::MIGRATION_TASK_STATE_FAILED) continue;
    std::string failure = FailureText(task);
    if (failures.Add(failure, task.database())) texts.push_back(std::move(failure));
  }
  for (size_t i = 0; i < texts.size(); ++i) {
    const std::vector<std::string>& names = failures.Of(i);
    absl::StrAppend(&text, "  ", names.size() == 1 ? names[0] : absl::StrCat(names.size(), " databases"), ": ",
                    texts[i], "\n", names.size() == 1 ? "" : Listed(names));
  }
  FindingsTable findings;
  for (const v1::MigrationFinding& finding : run.findings()) findings.Add(finding);
  for (const v1::MigrationTask& task : tasks) {
    for (const v1::MigrationFinding& finding : task.findings()) findings.Add(finding);
  }
  return findings.empty() ? text : absl::StrCat(text, findings.Render(view));
}

}  // namespace leasehold::cli
