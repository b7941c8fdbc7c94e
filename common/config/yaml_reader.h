// YAML over a configuration message, driven by the message's descriptor: there is no second list of fields to keep.
#pragma once

#include <string_view>

#include "absl/status/status.h"
#include "leasehold/v1/config.pb.h"

namespace leasehold::config {

// Sets what `yaml` names and leaves the rest of `config` as it is. Refuses unknown and doubled keys, wrong types, and
// empty values, each with its path.
absl::Status ReadYaml(std::string_view yaml, v1::Config& config);

}  // namespace leasehold::config
