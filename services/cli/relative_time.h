// Times as people say them.
#pragma once

#include <string>

#include "absl/time/time.h"
#include "google/protobuf/timestamp.pb.h"

namespace leasehold::cli {

// The two largest units, cut off: "2m 5s", "3h 20m", "4d 1h", "850ms"; "0s".
std::string ShortDuration(absl::Duration d);

// "3m 2s ago", "in 14m 59s", "now" within a second. Empty for an unset time.
std::string Relative(const google::protobuf::Timestamp& time, absl::Time now);

}  // namespace leasehold::cli
