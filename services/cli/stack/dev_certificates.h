// Certificates of a CA of one's own, for stacks on one machine.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace leasehold::stack {

struct DevCertificates {
  std::string folder = {};
  // What servers are reached by: DNS names and addresses.
  std::vector<std::string> hosts = {"localhost", "127.0.0.1", "::1"};
  absl::Duration valid = absl::Hours(24 * 30);
  bool overwrite = false;
};

// Whose identities are made: NAME.crt and NAME.key, spiffe://leasehold.local/NAME. Of them "client" is nobody's server.
inline constexpr const char* kDevIdentities[] = {"gateway", "provisioner", "client", "postgres", "nats"};

// Writes ca.crt and ca.key too; keys can be read by their owner alone. FAILED_PRECONDITION names what is there already
// and is not to be overwritten, then nothing has changed; INVALID_FIELD "--host" for what is neither a name nor an
// address.
absl::Status MakeDevCertificates(const DevCertificates& options);

// The same if there are none in the folder, or if one ends within a day.
absl::Status EnsureDevCertificates(DevCertificates options);

}  // namespace leasehold::stack
