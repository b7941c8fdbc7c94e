// YAML over a configuration message, driven by the message's descriptor: there is no second list of fields to keep.
#pragma once

#include <string_view>

#include "absl/status/status.h"
#include "google/protobuf/message.h"

namespace leasehold::config {

// Sets what `yaml` names and leaves the rest of `message` as it is. Refuses unknown and doubled keys, wrong types, and
// empty values, each with its path; the whole is called `what` in errors.
absl::Status ReadYaml(std::string_view yaml, google::protobuf::Message& message, std::string_view what);

}  // namespace leasehold::config
