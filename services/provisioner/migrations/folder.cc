#include "services/provisioner/migrations/folder.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <format>
#include <fstream>
#include <iterator>
#include <optional>

#include "absl/strings/ascii.h"
#include "common/secret/secret.h"
#include "common/status/error.h"

namespace leasehold::provisioner {
namespace {

constexpr std::string_view kAllowedNames = "files named NNNN_name.sql, e.g. 0001_init.sql; name out of [a-z0-9_-]";

std::optional<int> VersionOf(std::string_view file_name) {
  if (file_name.size() < 10 || file_name[4] != '_' || !file_name.ends_with(".sql")) return std::nullopt;
  const std::string_view digits = file_name.substr(0, 4);
  const std::string_view name = file_name.substr(5, file_name.size() - 9);
  if (!std::ranges::all_of(digits, [](char c) { return absl::ascii_isdigit(c); })) return std::nullopt;
  if (!std::ranges::all_of(
          name, [](char c) { return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '_' || c == '-'; })) {
    return std::nullopt;
  }
  int version = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), version);
  if (version == 0) return std::nullopt;
  return version;
}

absl::StatusOr<std::string> ReadText(const std::filesystem::path& path) {
  std::error_code error;
  const auto size = std::filesystem::file_size(path, error);
  if (!error && size > kMaxMigrationBytes) {
    return InvalidField("migrations", path.string(), std::format("files of at most {} bytes", kMaxMigrationBytes));
  }
  std::ifstream in(path, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  if (!in.good() && !in.eof()) return InvalidField("migrations", path.string(), "a file that can be read");
  return text;
}

absl::StatusOr<Migration> ReadMigration(const std::filesystem::path& path) {
  const std::string name = path.filename().string();
  const std::optional<int> version = VersionOf(name);
  if (!version.has_value() || !std::filesystem::is_regular_file(path)) {
    return InvalidField("migrations", path.string(), kAllowedNames);
  }
  LH_ASSIGN_OR_RETURN(const std::string text, ReadText(path));
  absl::StatusOr<std::vector<SqlStatement>> statements = SplitStatements(text);
  if (!statements.ok()) {
    return Error(v1::REASON_MIGRATION_FAILED, std::format("migration {} {}", name, ClientText(statements.status())));
  }
  const auto digest = Sha256(text);
  return Migration{
      .version = *version,
      .name = name,
      .checksum = Hex(std::string_view(reinterpret_cast<const char*>(digest.data()), digest.size())),
      .statements = *std::move(statements),
  };
}

}  // namespace

absl::StatusOr<Migrations> ReadMigrations(const std::string& folder) {
  Migrations migrations;
  std::error_code error;
  if (!std::filesystem::exists(folder, error)) return migrations;
  std::filesystem::directory_iterator entries(folder, error);
  if (error) return InvalidField("migrations", folder, "a folder that can be read");
  for (const auto& entry : entries) {
    if (entry.path().filename().string().starts_with('.')) continue;
    LH_ASSIGN_OR_RETURN(Migration migration, ReadMigration(entry.path()));
    migrations.push_back(std::move(migration));
  }
  std::ranges::sort(migrations, {}, [](const Migration& m) { return std::pair(m.version, m.name); });
  const auto twin = std::ranges::adjacent_find(migrations, {}, &Migration::version);
  if (twin != migrations.end()) {
    return InvalidField("migrations", std::next(twin)->name,
                        std::format("one file for each number; {} has the same", twin->name));
  }
  return migrations;
}

int NewestVersion(const Migrations& migrations) { return migrations.empty() ? 0 : migrations.back().version; }

}  // namespace leasehold::provisioner
