// What may be taken from the text of a PostgreSQL error.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace leasehold::provisioner {

// The line of `statement` (from 1) that the error points at, by its "at character N"; 1 if it points nowhere.
int LineOf(const absl::Status& status, std::string_view statement);

// PostgreSQL's message without severity and place, if it speaks of names alone: of SQLSTATE classes that tell of
// objects and constraints, and where code of a tenant's own may have worded it (a trigger, a DO block), only of names
// that stand in `statement`, or of a constraint's. Else empty: what stands in rows is nobody's to read.
std::string NamesOnlyMessage(const absl::Status& status, std::string_view sqlstate, std::string_view statement);

}  // namespace leasehold::provisioner
