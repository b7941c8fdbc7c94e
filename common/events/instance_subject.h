// Where the provisioners of a service take InstanceCalls (leasehold/v1/instance.proto), outside the streams.
#pragma once

#include <string>

#include "common/identity/identity.h"

namespace leasehold {

// One of them answers.
inline std::string InstanceSubject(const ServiceName& service) { return "instance." + service.str(); }
// Each answers: for a call that the one it went to leaves without an answer.
inline std::string InstanceSubjectOfAll(const ServiceName& service) { return InstanceSubject(service) + ".all"; }

}  // namespace leasehold
