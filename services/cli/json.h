// The protobuf JSON mapping, for --json.
#pragma once

#include <string>

#include "absl/time/time.h"
#include "google/protobuf/message.h"

namespace leasehold::cli {

// Indented, over several lines, with a newline at the end.
std::string ToJson(const google::protobuf::Message& message);

// On one line, with a newline at the end: one message of an endless stream.
std::string ToJsonLine(const google::protobuf::Message& message);

// "2027-01-15T08:00:00Z", as that mapping has times, for what is no message of its own.
std::string TimeJson(absl::Time time);

}  // namespace leasehold::cli
