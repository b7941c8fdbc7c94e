// One field of a configuration message, given as text.
#pragma once

#include <string_view>

#include <google/protobuf/message.h>

#include "absl/status/status.h"
#include "common/config/rules.h"

namespace leasehold::config {

// True for a field that is written as one value: text, number, flag or google.protobuf.Duration.
bool IsScalar(const google::protobuf::FieldDescriptor& field);

// INVALID_FIELD with `path` if `text` has the wrong type; a number that the field's type cannot hold is refused with
// the field's limits. What else `rules` say is not checked.
absl::Status SetScalar(google::protobuf::Message& message, const google::protobuf::FieldDescriptor& field,
                       std::string_view path, std::string_view text, const Rules& rules);

// The inverse.
std::string ScalarText(const google::protobuf::Message& message, const google::protobuf::FieldDescriptor& field);

}  // namespace leasehold::config
