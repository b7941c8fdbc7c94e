// What the gateway answers a PostgreSQL server that asks who it is. No I/O.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "common/scram/scram.h"
#include "common/secret/secret.h"

namespace leasehold::gateway {

// One log-in. SCRAM-SHA-256 or trust: a server that asks for the password in clear or as MD5 is refused.
class ServerAuthentication {
 public:
  explicit ServerAuthentication(const Secret& password) : exchange_(password, scram::MakeNonce()) {}

  // Appends the answer to an Authentication message, of which `body` is the body, to `out`. UNAUTHENTICATED: the server
  // is not to be trusted, or wants what it does not get.
  absl::Status Answer(std::string_view body, std::string& out);

 private:
  enum class Step { kNone, kStarted, kDone };
  scram::ClientExchange exchange_;
  Step step_ = Step::kNone;
};

}  // namespace leasehold::gateway
