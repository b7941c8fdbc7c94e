// What may be taken from the text of a PostgreSQL error.
#pragma once

#include <string_view>

#include "absl/status/status.h"

namespace leasehold::provisioner {

// The line of `statement` (from 1) that the error points at, by its "at character N"; 1 if it points nowhere.
int LineOf(const absl::Status& status, std::string_view statement);

}  // namespace leasehold::provisioner
