#include "services/provisioner/archive/manifest.h"

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <format>
#include <map>
#include <utility>

#include "common/secret/secret.h"
#include "common/status/error.h"

namespace leasehold::provisioner {
namespace {

using google::protobuf::ListValue;
using google::protobuf::Struct;
using google::protobuf::Value;

constexpr int kFormat = 1;
constexpr int64_t kMaxManifestBytes = 64 << 20;

absl::Status Damaged(std::string_view why) {
  return Error(v1::REASON_BACKUP_DAMAGED, std::format("the backup's manifest {}", why));
}

void Set(Struct& object, const std::string& name, std::string_view text) {
  (*object.mutable_fields())[name].set_string_value(std::string(text));
}
void Set(Struct& object, const std::string& name, int64_t number) {
  (*object.mutable_fields())[name].set_number_value(static_cast<double>(number));
}

// Reads fields and remembers whether all were there.
class Reader {
 public:
  explicit Reader(const Struct& object) : object_(object) {}
  std::string Text(const std::string& name) {
    const Value* value = Find(name, Value::kStringValue);
    return value == nullptr ? "" : value->string_value();
  }
  int64_t Number(const std::string& name) {
    constexpr double kMost = 9007199254740992.0;  // up to there a double counts exactly
    const Value* value = Find(name, Value::kNumberValue);
    if (value != nullptr && value->number_value() >= 0 && value->number_value() <= kMost) {
      return static_cast<int64_t>(value->number_value());
    }
    good_ = false;
    return 0;
  }
  bool Has(const std::string& name) const { return object_.fields().contains(name); }
  std::vector<const Struct*> Objects(const std::string& name) {
    std::vector<const Struct*> objects;
    const Value* list = Find(name, Value::kListValue);
    if (list == nullptr) return objects;
    for (const Value& value : list->list_value().values()) {
      good_ = good_ && value.has_struct_value();
      objects.push_back(&value.struct_value());
    }
    return objects;
  }
  bool good() const { return good_; }

 private:
  const Value* Find(const std::string& name, Value::KindCase kind) {
    const auto found = object_.fields().find(name);
    if (found != object_.fields().end() && found->second.kind_case() == kind) return &found->second;
    good_ = false;
    return nullptr;
  }
  const Struct& object_;
  bool good_ = true;
};

}  // namespace

int64_t Manifest::bytes() const {
  int64_t sum = 0;
  for (const FileDigest& file : files) sum += file.size;
  return sum;
}

std::string ToJson(const Manifest& manifest) {
  Struct root;
  Set(root, "format", kFormat);
  Set(root, "backup", manifest.backup);
  Set(root, "tenant", manifest.tenant);
  Set(root, "service", manifest.service);
  Set(root, "database_id", manifest.database_id);
  Set(root, "create_time", manifest.create_time);
  Set(root, "schema_version", manifest.contents.schema_version());
  Set(root, "database_bytes", manifest.database_bytes);
  const auto add = [&root](const std::string& name) -> Struct& {
    return *(*root.mutable_fields())[name].mutable_list_value()->add_values()->mutable_struct_value();
  };
  for (const std::string name : {"migrations", "tables", "files"}) {
    (void)(*root.mutable_fields())[name].mutable_list_value();
  }
  for (const AppliedMigration& applied : manifest.contents.migrations) {
    Struct& entry = add("migrations");
    Set(entry, "version", applied.version);
    Set(entry, "name", applied.name);
    Set(entry, "checksum", applied.checksum);
    if (!applied.run.empty()) Set(entry, "run", applied.run);
  }
  for (const TableRows& table : manifest.contents.tables) {
    Struct& entry = add("tables");
    Set(entry, "schema", table.schema);
    Set(entry, "table", table.table);
    Set(entry, "rows", table.rows);
  }
  for (const FileDigest& file : manifest.files) {
    Struct& entry = add("files");
    Set(entry, "name", file.name);
    Set(entry, "size", file.size);
    Set(entry, "sha256", file.sha256);
  }
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  std::string json;
  (void)google::protobuf::util::MessageToJsonString(root, &json, options);  // strings and numbers always have a form
  return json;
}

absl::StatusOr<Manifest> ParseManifest(std::string_view json) {
  Struct root;
  if (!google::protobuf::util::JsonStringToMessage(std::string(json), &root).ok()) return Damaged("is no JSON");
  Reader reader(root);
  const int64_t format = reader.Number("format");
  if (reader.good() && format != kFormat) return Damaged(std::format("has the unknown format {}", format));
  Manifest manifest{.backup = reader.Text("backup"),
                    .tenant = reader.Text("tenant"),
                    .service = reader.Text("service"),
                    .database_id = reader.Text("database_id"),
                    .create_time = reader.Text("create_time")};
  // Older provisioners do not write it.
  if (reader.Has("database_bytes")) manifest.database_bytes = reader.Number("database_bytes");
  bool good = true;
  for (const Struct* object : reader.Objects("migrations")) {
    Reader entry(*object);
    manifest.contents.migrations.push_back({.version = static_cast<int>(entry.Number("version")),
                                            .name = entry.Text("name"),
                                            .checksum = entry.Text("checksum"),
                                            .run = entry.Has("run") ? entry.Text("run") : ""});
    good = good && entry.good();
  }
  for (const Struct* object : reader.Objects("tables")) {
    Reader entry(*object);
    manifest.contents.tables.push_back(
        {.schema = entry.Text("schema"), .table = entry.Text("table"), .rows = entry.Number("rows")});
    good = good && entry.good();
  }
  for (const Struct* object : reader.Objects("files")) {
    Reader entry(*object);
    manifest.files.push_back(
        {.name = entry.Text("name"), .size = entry.Number("size"), .sha256 = entry.Text("sha256")});
    good = good && entry.good();
  }
  if (!good || !reader.good()) return Damaged("lacks a field, or has one of another kind");
  return manifest;
}

BackupPlace::BackupPlace(const std::filesystem::path& root, std::string_view backup, std::string_view service)
    : folder(root / backup / service) {}

std::filesystem::path BackupPlace::Unfinished(std::string_view attempt) const {
  return folder.parent_path() / std::format(".{}.{}.new", folder.filename().string(), attempt);
}

absl::Status BackupPlace::RemoveUnfinished() const {
  const std::string prefix = std::format(".{}.", folder.filename().string());
  std::error_code error;
  std::vector<std::filesystem::path> unfinished;
  for (std::filesystem::directory_iterator at(folder.parent_path(), error), end; !error && at != end;
       at.increment(error)) {
    const std::string name = at->path().filename().string();
    if (name.starts_with(prefix) && name.ends_with(".new")) unfinished.push_back(at->path());
  }
  for (const std::filesystem::path& path : unfinished) LH_RETURN_IF_ERROR(RemoveFolder(path));
  return absl::OkStatus();  // what could not be listed is in nobody's way
}

std::string DigestOf(std::string_view manifest_json) {
  const auto digest = Sha256(manifest_json);
  return Hex(std::string_view(reinterpret_cast<const char*>(digest.data()), digest.size()));
}

absl::StatusOr<std::string> DigestOfManifestIn(const BackupPlace& place) {
  LH_ASSIGN_OR_RETURN(const std::string json, ReadFile(BackupPlace::ManifestIn(place.folder), kMaxManifestBytes));
  return DigestOf(json);
}

absl::Status BackupPlace::CheckRoot() const {
  std::error_code unknown;
  if (std::filesystem::exists(folder.parent_path().parent_path(), unknown)) return absl::OkStatus();
  return Error(v1::REASON_BACKUP_FAILED, "the folder for backups is not there: is it mounted?");
}

absl::StatusOr<Manifest> VerifyBackup(const BackupPlace& place, std::string_view backup, std::string_view service,
                                      std::string_view sha256, const std::function<absl::Status()>& go_on) {
  LH_RETURN_IF_ERROR(place.CheckRoot());
  std::error_code unknown;
  if (!std::filesystem::exists(place.folder, unknown)) {
    return Error(v1::REASON_BACKUP_DAMAGED, std::format("folder {}/{} of the backup is missing", backup, service));
  }
  LH_ASSIGN_OR_RETURN(const std::string json, ReadFile(BackupPlace::ManifestIn(place.folder), kMaxManifestBytes));
  if (!sha256.empty() && DigestOf(json) != sha256) return Damaged("is not the one that was written");
  LH_ASSIGN_OR_RETURN(Manifest manifest, ParseManifest(json));
  if (manifest.backup != backup || manifest.service != service) return Damaged("is that of another backup");
  LH_ASSIGN_OR_RETURN(const std::vector<FileDigest> files, DigestFiles(BackupPlace::DataIn(place.folder), go_on));
  const auto [meant, got] = std::ranges::mismatch(manifest.files, files);
  if (meant == manifest.files.end() && got == files.end()) return manifest;
  if (got != files.end() && meant != manifest.files.end() && got->name == meant->name) {
    return Error(v1::REASON_BACKUP_DAMAGED, std::format("file {} of the backup was changed", got->name));
  }
  const bool missing = got == files.end() || (meant != manifest.files.end() && meant->name < got->name);
  return Error(v1::REASON_BACKUP_DAMAGED, missing ? std::format("file {} of the backup is missing", meant->name)
                                                  : std::format("file {} is not of the backup", got->name));
}

}  // namespace leasehold::provisioner
