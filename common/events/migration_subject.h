// Where the provisioners of a service take MigrationCalls (leasehold/v1/migration.proto), outside the streams.
#pragma once

#include <string>

#include "common/identity/identity.h"

namespace leasehold {

// One of them answers.
inline std::string MigrationSubject(const ServiceName& service) { return "migration." + service.str(); }
// Each answers: for a call that the one it went to leaves without an answer.
inline std::string MigrationSubjectOfAll(const ServiceName& service) { return MigrationSubject(service) + ".all"; }

}  // namespace leasehold
