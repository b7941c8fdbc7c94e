#include "common/config/scalar.h"

#include <google/protobuf/duration.pb.h>

#include <algorithm>
#include <format>

#include "absl/log/absl_check.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "common/config/config.h"
#include "common/status/error.h"
#include "common/status/view.h"

namespace leasehold::config {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

absl::Status SetDuration(Message& message, const FieldDescriptor& field, std::string_view path, std::string_view text) {
  LH_ASSIGN_OR_RETURN(const absl::Duration duration, ParseDurationField(path, text));
  message.GetReflection()->MutableMessage(&message, &field)->CopyFrom(FromDuration(duration));
  return absl::OkStatus();
}

bool IsWholeNumber(std::string_view text) {
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  return !text.empty() && std::ranges::all_of(text, absl::ascii_isdigit);
}

}  // namespace

bool IsScalar(const FieldDescriptor& field) {
  if (field.is_repeated()) return false;
  return field.cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE ||
         field.message_type() == google::protobuf::Duration::descriptor();
}

absl::Status SetScalar(Message& message, const FieldDescriptor& field, std::string_view path, std::string_view text,
                       const Rules& rules) {
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      reflection.SetString(&message, &field, std::string(text));
      return absl::OkStatus();
    case FieldDescriptor::CPPTYPE_INT32: {
      int32_t number = 0;
      if (!absl::SimpleAtoi(AbslView(text), &number)) {
        const std::string limits = rules.AllowedText(field);
        return InvalidField(path, text, IsWholeNumber(text) ? limits : std::format("a whole number, {}", limits));
      }
      reflection.SetInt32(&message, &field, number);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_BOOL: {
      bool flag = false;
      const bool known = absl::SimpleAtob(AbslView(text), &flag);  // true, t, yes, y, 1 and their opposites
      if (!known && text != "on" && text != "off") return InvalidField(path, text, "true or false");
      reflection.SetBool(&message, &field, known ? flag : text == "on");
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return SetDuration(message, field, path, text);
    default:
      ABSL_CHECK(false) << field.full_name() << " has a type that configuration files do not know";
  }
}

std::string ScalarText(const Message& message, const FieldDescriptor& field) {
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      return reflection.GetString(message, &field);
    case FieldDescriptor::CPPTYPE_INT32:
      return std::format("{}", reflection.GetInt32(message, &field));
    case FieldDescriptor::CPPTYPE_BOOL:
      return reflection.GetBool(message, &field) ? "true" : "false";
    case FieldDescriptor::CPPTYPE_MESSAGE: {
      google::protobuf::Duration duration;
      duration.CopyFrom(reflection.GetMessage(message, &field));
      return absl::FormatDuration(ToDuration(duration));
    }
    default:
      ABSL_CHECK(false) << field.full_name() << " has a type that configuration files do not know";
  }
}

}  // namespace leasehold::config
