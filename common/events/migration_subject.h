// Where the provisioners of a service take MigrationCalls (leasehold/v1/migration.proto), outside the streams.
#pragma once

#include <string>

#include "common/identity/identity.h"

namespace leasehold {

inline std::string MigrationSubject(const ServiceName& service) { return "migration." + service.str(); }

}  // namespace leasehold
