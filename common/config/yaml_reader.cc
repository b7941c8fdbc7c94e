#include "common/config/yaml_reader.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <format>
#include <numeric>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_join.h"
#include "common/config/defaults.h"
#include "common/config/scalar.h"
#include "common/status/error.h"

namespace leasehold::config {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// How many letters have to be changed, added or dropped to make one of the other.
size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i + 1);
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

std::string Join(std::string_view path, std::string_view key) {
  return path.empty() ? std::string(key) : std::format("{}.{}", path, key);
}

absl::Status UnknownKey(const Message& message, std::string_view path, const std::string& key) {
  std::vector<std::string> known;
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
    known.push_back(message.GetDescriptor()->field(i)->name());
  }
  const auto nearest =
      std::ranges::min_element(known, {}, [&key](const std::string& name) { return EditDistance(key, name); });
  const std::string where = Join(path, Printable(key));
  const bool near = EditDistance(key, *nearest) <= std::max<size_t>(2, key.size() / 3);
  const std::string hint =
      near ? std::format("did you mean {}?", *nearest) : std::format("known here: {}", absl::StrJoin(known, ", "));
  const std::string text = std::format("{} is not a setting; {}", where, hint);
  return WithField(Error(v1::REASON_INVALID_FIELD, text), where);
}

std::string Described(const YAML::Node& node) {
  switch (node.Type()) {
    case YAML::NodeType::Scalar:
      return node.Scalar();
    case YAML::NodeType::Sequence:
      return "[…]";
    case YAML::NodeType::Map:
      return "{…}";
    default:
      return "";
  }
}

absl::Status ReadMessage(const YAML::Node& node, std::string_view path, Message& message);

absl::Status ReadList(const YAML::Node& node, std::string_view path, const FieldDescriptor& field, Message& message) {
  if (!node.IsSequence()) return InvalidField(path, Described(node), "a list");
  for (size_t i = 0; i < node.size(); ++i) {
    Message* entry = message.GetReflection()->AddMessage(&message, &field);
    if (auto* service = dynamic_cast<v1::ServiceConfig*>(entry)) *service = ServiceDefaults(static_cast<int>(i));
    LH_RETURN_IF_ERROR(ReadMessage(node[i], std::format("{}[{}]", path, i), *entry));
  }
  return absl::OkStatus();
}

absl::Status ReadField(const YAML::Node& node, std::string_view path, const FieldDescriptor& field, Message& message) {
  if (field.is_repeated()) return ReadList(node, path, field, message);
  if (!IsScalar(field)) {
    return ReadMessage(node, path, *message.GetReflection()->MutableMessage(&message, &field));
  }
  if (!node.IsScalar()) return InvalidField(path, Described(node), "one value");
  return SetScalar(message, field, path, node.Scalar());
}

absl::Status ReadMessage(const YAML::Node& node, std::string_view path, Message& message) {
  if (node.IsNull()) return absl::OkStatus();  // "log:" with nothing under it
  const std::string_view what = path.empty() ? "configuration" : path;
  if (!node.IsMap()) return InvalidField(what, Described(node), "settings as name: value");
  std::set<std::string> seen;
  for (const auto& entry : node) {
    if (!entry.first.IsScalar()) return InvalidField(what, Described(entry.first), "settings as name: value");
    const std::string& key = entry.first.Scalar();
    const FieldDescriptor* field = message.GetDescriptor()->FindFieldByName(key);
    if (field == nullptr) return UnknownKey(message, path, key);
    const std::string field_path = Join(path, key);
    if (!seen.insert(key).second) {
      return WithField(Error(v1::REASON_INVALID_FIELD, std::format("{} is given twice", field_path)), field_path);
    }
    LH_RETURN_IF_ERROR(ReadField(entry.second, field_path, *field, message));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ReadYaml(std::string_view yaml, v1::Config& config) {
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(std::string(yaml));
    if (documents.empty()) return absl::OkStatus();
    if (documents.size() > 1)
      return Error(v1::REASON_INVALID_FIELD, "the configuration is more than one YAML document");
    return ReadMessage(documents.front(), "", config);
  } catch (const YAML::Exception& error) {
    return Error(v1::REASON_INVALID_FIELD, std::format("the configuration is not YAML: line {}, column {}: {}",
                                                       error.mark.line + 1, error.mark.column + 1, error.msg));
  }
}

}  // namespace leasehold::config
