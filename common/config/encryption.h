// Certificates, keys and CAs: which fields name them, and what has to be set together.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "leasehold/v1/config.pb.h"

namespace leasehold::config {

// The fields that hold paths of certificates, keys, CAs and credentials of connections; empty ones among them.
std::vector<std::string*> EncryptionFiles(v1::Config& config);

// INVALID_FIELD names what is missing beside what is set.
absl::Status CheckEncryption(const v1::Config& config);

}  // namespace leasehold::config
