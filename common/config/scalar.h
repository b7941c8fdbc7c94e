// One field of a configuration message, given as text.
#pragma once

#include <string_view>

#include <google/protobuf/message.h>

#include "absl/status/status.h"

namespace leasehold::config {

// True for a field that is written as one value: text, number, flag or google.protobuf.Duration.
bool IsScalar(const google::protobuf::FieldDescriptor& field);

// INVALID_FIELD with `path` if `text` has the wrong type.
absl::Status SetScalar(google::protobuf::Message& message, const google::protobuf::FieldDescriptor& field,
                       std::string_view path, std::string_view text);

// The inverse.
std::string ScalarText(const google::protobuf::Message& message, const google::protobuf::FieldDescriptor& field);

}  // namespace leasehold::config
