#include "services/cli/migrate_flags.h"

#include <algorithm>
#include <optional>
#include <string_view>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "common/config/config.h"
#include "common/status/error.h"
#include "services/cli/command.h"

namespace leasehold::cli {
namespace {

constexpr std::pair<std::string_view, std::string_view> kOptions[] = {{"spec.selection.tenants", "--tenant"},
                                                                      {"spec.selection.settings", "--where"},
                                                                      {"spec.selection.only_central", "--only-central"},
                                                                      {"spec.canary.tenants", "--canary"},
                                                                      {"spec.canary.settings", "--canary-where"},
                                                                      {"spec.waves", "--waves"},
                                                                      {"spec.parallelism", "--parallelism"},
                                                                      {"spec.failure_budget", "--failures"},
                                                                      {"spec.lock_timeout", "--lock-timeout"},
                                                                      {"spec.lock_attempts", "--lock-attempts"},
                                                                      {"spec.statement_timeout", "--statement-timeout"},
                                                                      {"spec.undo_run", "RUN"},
                                                                      {"spec.repair_file", "FILE"}};

void ReadWaves(const std::string& text, std::vector<int>& waves) {
  waves.clear();
  for (const absl::string_view part : absl::StrSplit(text, ',')) {
    int percent = 0;
    const bool rises =
        absl::SimpleAtoi(part, &percent) && percent >= 1 && percent <= 100 && (waves.empty() || percent > waves.back());
    if (!rises) {
      const absl::Status wrong = InvalidField("--waves", text, "percentages from 1 to 100 that rise, e.g. 1,10");
      UsageError(std::string(wrong.message()));
    }
    waves.push_back(percent);
  }
}

CLI::Option* AddGlobs(CLI::App& app, const std::string& name, std::vector<std::string>& globs,
                      const std::string& about) {
  return app.add_option(name, globs, about)->type_name("GLOB")->allow_extra_args(false);
}

}  // namespace

void SpecFlags::AddService(CLI::App& app) {
  app.add_option("SERVICE", *spec.mutable_service(), kServiceHelp)->required();
}

CLI::Option* SpecFlags::AddTenants(CLI::App& app) {
  return AddGlobs(app, "--tenant", tenants,
                  "Only these tenants, not the central database; a glob with *; may be repeated");
}

void SpecFlags::AddSelection(CLI::App& app) {
  CLI::Option* const only_tenants = AddTenants(app);
  CLI::Option* const where = AddSettings(app, "--where", settings, "Only tenants with this setting; may be repeated");
  CLI::Option* const without = app.add_flag("--without-central", without_central, "Only tenants' databases");
  app.add_flag("--only-central", only_central, "Only the central database")
      ->excludes(only_tenants)
      ->excludes(where)
      ->excludes(without);
}

void SpecFlags::AddPace(CLI::App& app) {
  AddCount(app, "--parallelism", parallelism, "Databases at once (default: the provisioner's)",
           {.least = 1, .most = 64});
  AddCount(app, "--failures", budget, "Databases that may fail before the run is stopped (default 0)",
           {.most = 1'000'000});
  lock_timeout_option =
      AddDuration(app, "--lock-timeout", lock_timeout, "How long a statement waits for a lock (default 3s)");
  AddCount(app, "--lock-attempts", lock_attempts, "Attempts at a file whose locks were not to be had (default 6)",
           {.least = 1, .most = 1'000});
  statement_timeout_option = AddDuration(app, "--statement-timeout", statement_timeout,
                                         "How long a statement may take; 0, the default: for ever");
  app.add_flag("--detach", detach, "Do not wait for the end: leasehold migrate watch ID");
}

void SpecFlags::AddWaves(CLI::App& app) {
  AddGlobs(app, "--canary", canaries, "Tenants that come first; a glob with *; may be repeated");
  AddSettings(app, "--canary-where", canary_settings, "Tenants with this setting come first; may be repeated");
  app.add_option_function<std::string>(
         "--waves", [this](const std::string& text) { ReadWaves(text, waves); },
         "Then so many percent of the tenants, and so on: 1,10")
      ->type_name("PERCENT,…");
}

v1::MigrationSpec SpecFlags::Spec(v1::MigrationKind kind) const {
  v1::MigrationSpec full = spec;
  full.set_kind(kind);
  v1::MigrationSelection& selection = *full.mutable_selection();
  for (const std::string& tenant : tenants) selection.add_tenants(tenant);
  for (const auto& [key, value] : settings) (*selection.mutable_settings())[key] = value;
  selection.set_only_central(only_central);
  selection.set_without_central(without_central);
  for (const std::string& tenant : canaries) full.mutable_canary()->add_tenants(tenant);
  for (const auto& [key, value] : canary_settings) (*full.mutable_canary()->mutable_settings())[key] = value;
  for (const int percent : waves) full.add_waves(percent);
  full.set_parallelism(parallelism);
  full.set_failure_budget(budget);
  full.set_lock_attempts(lock_attempts);
  const auto given = [](const CLI::Option* option) { return option != nullptr && option->count() > 0; };
  if (given(lock_timeout_option)) *full.mutable_lock_timeout() = FromDuration(lock_timeout);
  if (given(statement_timeout_option)) *full.mutable_statement_timeout() = FromDuration(statement_timeout);
  return full;
}

absl::Status AsTyped(absl::Status status) {
  const std::optional<v1::ErrorDetail> detail = DetailOf(status);
  if (!detail.has_value()) return status;
  const auto option = std::ranges::find(kOptions, detail->field(), [](const auto& pair) { return pair.first; });
  return option == std::end(kOptions) ? status : WithField(std::move(status), option->second);
}

}  // namespace leasehold::cli
