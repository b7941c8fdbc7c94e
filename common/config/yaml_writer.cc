#include <yaml-cpp/yaml.h>

#include "common/config/config.h"
#include "common/config/scalar.h"

namespace leasehold {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

void Write(YAML::Emitter& out, const Message& message) {
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  out << YAML::BeginMap;
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor& field = *message.GetDescriptor()->field(i);
    if (field.is_repeated()) {
      out << YAML::Key << field.name() << YAML::Value << YAML::BeginSeq;
      for (int j = 0; j < reflection.FieldSize(message, &field); ++j) {
        Write(out, reflection.GetRepeatedMessage(message, &field, j));
      }
      out << YAML::EndSeq;
    } else if (!config::IsScalar(field)) {
      out << YAML::Key << field.name() << YAML::Value;
      Write(out, reflection.GetMessage(message, &field));
    } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
      const std::string text = config::ScalarText(message, field);
      if (text.empty()) continue;  // not set
      out << YAML::Key << field.name() << YAML::Value << YAML::DoubleQuoted << text;
    } else {
      out << YAML::Key << field.name() << YAML::Value << config::ScalarText(message, field);
    }
  }
  out << YAML::EndMap;
}

}  // namespace

std::string ToYaml(const v1::Config& config) {
  YAML::Emitter out;
  Write(out, config);
  return std::string(out.c_str()) + "\n";
}

}  // namespace leasehold
