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
#include "common/status/utf8.h"
#include "common/status/view.h"
#include "services/provisioner/migrations/concurrent.h"

namespace leasehold::provisioner {
namespace {

constexpr std::string_view kAllowedNames =
    "files named NNNN_name.sql or NNNN_name.down.sql, e.g. 0001_init.sql; name out of [a-z0-9_-]";

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr std::string_view kSuffix = ".sql";
constexpr std::string_view kDownSuffix = ".down.sql";

// Of a name that ends with ".sql" alone.
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
    return InvalidField("migrations", path.string(), std::format("files of at most {} MiB", kMaxMigrationBytes >> 20));
  }
  std::ifstream in(path, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  if (!in.good() && !in.eof()) return InvalidField("migrations", path.string(), "a file that can be read");
  return text;
}

bool IsDown(std::string_view name) { return name.ends_with(kDownSuffix); }

// "0001_init.down.sql" → "0001_init.sql"
std::string UpNameOf(std::string_view down) {
  return std::format("{}{}", down.substr(0, down.size() - kDownSuffix.size()), kSuffix);
}

absl::Status Refuse(std::string_view file, std::string_view why) {
  return Error(v1::REASON_MIGRATION_FAILED, std::format("migration {} {}", file, why));
}

// The comment lines that a file begins with may hold directives; an unknown one is a mistake, not a comment.
absl::StatusOr<bool> ReadTransactional(const std::string& name, std::string_view text) {
  constexpr std::string_view kDirective = "leasehold:";
  bool transactional = true;
  for (int number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = StdView(absl::StripAsciiWhitespace(AbslView(text.substr(0, end))));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty()) continue;
    if (!line.starts_with("--")) break;
    line = StdView(absl::StripAsciiWhitespace(AbslView(line.substr(2))));
    if (!line.starts_with(kDirective)) continue;
    line = StdView(absl::StripAsciiWhitespace(AbslView(line.substr(kDirective.size()))));
    if (line != "no-transaction") {
      return Refuse(name, std::format("line {}: the directive is not known; allowed: no-transaction", number));
    }
    transactional = false;
  }
  return transactional;
}

absl::Status CheckStatements(const Migration& file) {
  for (const SqlStatement& statement : file.statements) {
    // What a comment between statements holds never gets to the server.
    if (!IsUtf8(statement.text)) {
      return Refuse(file.name,
                    std::format("line {}: the statement is not UTF-8; save the file in that encoding", statement.line));
    }
    const std::string_view alone_only = file.transactional ? RefusedInTransactions(statement.text) : "";
    if (!alone_only.empty()) {
      return Refuse(file.name, std::format("line {}: {} cannot run in a transaction; begin the file with "
                                           "-- leasehold: no-transaction",
                                           statement.line, alone_only));
    }
    const AloneStatement alone = ReadAloneStatement(statement.text);
    if (alone.kind == AloneStatement::Kind::kCreateIndex && alone.index.empty()) {
      return Refuse(file.name, std::format("line {}: an index made CONCURRENTLY needs a name", statement.line));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Migration> ReadMigration(const std::filesystem::path& path, int version) {
  const std::string name = path.filename().string();
  LH_ASSIGN_OR_RETURN(const std::string text, ReadText(path));
  // As psql does it. The checksum is that of all bytes.
  const std::string_view sql =
      std::string_view(text).substr(text.starts_with(kByteOrderMark) ? kByteOrderMark.size() : 0);
  absl::StatusOr<std::vector<SqlStatement>> statements = SplitStatements(sql);
  if (!statements.ok()) return Refuse(name, ClientText(statements.status()));
  const auto digest = Sha256(text);
  Migration file{
      .version = version,
      .name = name,
      .checksum = Hex(std::string_view(reinterpret_cast<const char*>(digest.data()), digest.size())),
      .statements = *std::move(statements),
  };
  LH_ASSIGN_OR_RETURN(file.transactional, ReadTransactional(name, sql));
  LH_RETURN_IF_ERROR(CheckStatements(file));
  return file;
}

absl::Status AttachDown(Migrations& migrations, Migration down) {
  const std::string up = UpNameOf(down.name);
  const auto found = std::ranges::find(migrations, up, &Migration::name);
  if (found == migrations.end()) return InvalidField("migrations", down.name, std::format("a file beside {}", up));
  if (!down.transactional) return Refuse(down.name, "cannot be no-transaction: taking back is one transaction");
  found->down = DownMigration{.name = std::move(down.name), .statements = std::move(down.statements)};
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Migrations> ReadMigrations(const std::string& folder) {
  Migrations migrations;
  std::error_code error;
  if (!std::filesystem::exists(folder, error)) return migrations;
  std::filesystem::directory_iterator entries(folder, error);
  if (error) return InvalidField("migrations", folder, "a folder that can be read");
  Migrations downs;
  for (const auto& entry : entries) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with('.')) continue;
    const std::optional<int> version = VersionOf(IsDown(name) ? UpNameOf(name) : name);
    if (!version.has_value() || !std::filesystem::is_regular_file(entry.path())) {
      return InvalidField("migrations", entry.path().string(), kAllowedNames);
    }
    LH_ASSIGN_OR_RETURN(Migration migration, ReadMigration(entry.path(), *version));
    (IsDown(name) ? downs : migrations).push_back(std::move(migration));
  }
  std::ranges::sort(migrations, {}, [](const Migration& m) { return std::pair(m.version, m.name); });
  const auto twin = std::ranges::adjacent_find(migrations, {}, &Migration::version);
  if (twin != migrations.end()) {
    return InvalidField("migrations", std::next(twin)->name,
                        std::format("one file for each number; {} has the same", twin->name));
  }
  for (Migration& down : downs) LH_RETURN_IF_ERROR(AttachDown(migrations, std::move(down)));
  return migrations;
}

bool IsMigrationName(std::string_view name) { return VersionOf(name).has_value(); }

int NewestVersion(const Migrations& migrations) { return migrations.empty() ? 0 : migrations.back().version; }

}  // namespace leasehold::provisioner
