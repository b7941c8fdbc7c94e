// The protobuf JSON mapping, for --json.
#pragma once

#include <string>

#include "google/protobuf/message.h"

namespace leasehold::cli {

// Indented, over several lines, with a newline at the end.
std::string ToJson(const google::protobuf::Message& message);

// On one line, with a newline at the end: one message of an endless stream.
std::string ToJsonLine(const google::protobuf::Message& message);

}  // namespace leasehold::cli
