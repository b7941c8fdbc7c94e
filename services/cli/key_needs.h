// Whether a role key can be taken away, by what the service's provisioner says of itself.
#pragma once

#include <string>

#include "leasehold/v1/status.pb.h"

namespace leasehold::cli {

// Why the key that is not `current` has to stay, as the end of a sentence; empty: it can go. `current`: the fingerprint
// of the first key in the file. `service`: with count_outdated_secrets.
std::string WhyOtherKeyIsNeeded(const v1::ServiceOverview& service, const std::string& current);

}  // namespace leasehold::cli
