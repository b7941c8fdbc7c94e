#include "common/config/yaml_reader.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <format>
#include <set>
#include <sstream>
#include <vector>

#include "common/config/defaults.h"
#include "common/config/rules.h"
#include "common/config/scalar.h"
#include "common/config/spelling.h"
#include "common/status/error.h"

namespace leasehold::config {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

std::string Join(std::string_view path, std::string_view key) {
  return path.empty() ? std::string(key) : std::format("{}.{}", path, key);
}

absl::Status UnknownKey(const Message& message, std::string_view path, const std::string& key) {
  std::vector<std::string> known;
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
    known.push_back(message.GetDescriptor()->field(i)->name());
  }
  const std::string where = Join(path, Printable(key));
  const std::string text = std::format("{} is not a setting; {}", where, SpellingHint(key, known));
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

// Of documents that nobody wants to keep.
class Nobody : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t, const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}
};

// Up to two: of what stands where no document can begin ("[1],2") yaml-cpp makes empty ones without end, and
// YAML::LoadAll keeps them all until there is no memory left.
int CountDocuments(const std::string& yaml) {
  std::istringstream stream(yaml);
  YAML::Parser parser(stream);
  Nobody nobody;
  int documents = 0;
  while (documents < 2 && parser.HandleNextDocument(nobody)) ++documents;
  return documents;
}

absl::Status ReadMessage(const YAML::Node& node, std::string_view path, Message& message, const Rules& rules);

absl::Status ReadList(const YAML::Node& node, std::string_view path, const FieldDescriptor& field, Message& message,
                      const Rules& rules) {
  if (!node.IsSequence()) return InvalidField(path, Described(node), "a list");
  for (size_t i = 0; i < node.size(); ++i) {
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
      if (!node[i].IsScalar()) return InvalidField(std::format("{}[{}]", path, i), Described(node[i]), "one value");
      message.GetReflection()->AddString(&message, &field, node[i].Scalar());
      continue;
    }
    Message* entry = message.GetReflection()->AddMessage(&message, &field);
    if (auto* service = dynamic_cast<v1::ServiceConfig*>(entry)) *service = ServiceDefaults(static_cast<int>(i));
    LH_RETURN_IF_ERROR(ReadMessage(node[i], std::format("{}[{}]", path, i), *entry, rules));
  }
  return absl::OkStatus();
}

absl::Status ReadField(const YAML::Node& node, std::string_view path, const FieldDescriptor& field, Message& message,
                       const Rules& rules) {
  if (field.is_repeated()) return ReadList(node, path, field, message, rules);
  if (!IsScalar(field)) {
    return ReadMessage(node, path, *message.GetReflection()->MutableMessage(&message, &field), rules);
  }
  if (!node.IsScalar()) return InvalidField(path, Described(node), "one value");
  return SetScalar(message, field, path, node.Scalar(), rules);
}

absl::Status ReadMessage(const YAML::Node& node, std::string_view path, Message& message, const Rules& rules) {
  if (node.IsNull()) return absl::OkStatus();  // "log:" with nothing under it
  const std::string_view what = path.empty() ? "the file" : path;
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
    LH_RETURN_IF_ERROR(ReadField(entry.second, field_path, *field, message, rules));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ReadYaml(std::string_view yaml, Message& message, std::string_view what) {
  // UTF-16, mostly, which would be read as nothing.
  if (yaml.contains('\0')) {
    return Error(v1::REASON_INVALID_FIELD, std::format("the {} is not text in UTF-8: it holds zero bytes", what));
  }
  try {
    const std::string text(yaml);
    const int documents = CountDocuments(text);
    if (documents == 0) return absl::OkStatus();
    if (documents > 1) {
      return Error(v1::REASON_INVALID_FIELD,
                   std::format("the {} is more than one YAML document, or has something behind its end", what));
    }
    return ReadMessage(YAML::Load(text), "", message, Rules());
  } catch (const YAML::Exception& error) {
    return Error(v1::REASON_INVALID_FIELD, std::format("the {} is not YAML: line {}, column {}: {}", what,
                                                       error.mark.line + 1, error.mark.column + 1, error.msg));
  }
}

}  // namespace leasehold::config
