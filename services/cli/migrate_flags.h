// The options that say what a migration run is about, and how it goes.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "leasehold/v1/migration.pb.h"

namespace leasehold::cli {

inline constexpr const char* kServiceHelp = "The service, e.g. identity";

struct SpecFlags {
  SpecFlags() = default;
  SpecFlags(const SpecFlags&) = delete;  // CLI::App keeps pointers into it
  SpecFlags& operator=(const SpecFlags&) = delete;

  v1::MigrationSpec spec;
  std::vector<std::string> tenants;
  std::vector<std::pair<std::string, std::string>> settings;
  bool only_central = false;
  bool without_central = false;
  std::vector<std::string> canaries;
  std::vector<std::pair<std::string, std::string>> canary_settings;
  std::vector<int> waves;
  int parallelism = 0;
  int budget = 0;
  absl::Duration lock_timeout = absl::ZeroDuration();
  int lock_attempts = 0;
  absl::Duration statement_timeout = absl::ZeroDuration();
  bool detach = false;
  const CLI::Option* lock_timeout_option = nullptr;
  const CLI::Option* statement_timeout_option = nullptr;

  void AddService(CLI::App& app);
  CLI::Option* AddTenants(CLI::App& app);
  void AddSelection(CLI::App& app);
  void AddPace(CLI::App& app);
  void AddWaves(CLI::App& app);

  v1::MigrationSpec Spec(v1::MigrationKind kind) const;
};

// What the gateway says of a field of the spec, said of the option that it came from.
absl::Status AsTyped(absl::Status status);

}  // namespace leasehold::cli
