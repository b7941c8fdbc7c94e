// What an administrator prepares on a fresh server before Leasehold may use it.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "common/secret/secret.h"

namespace leasehold::stack {

struct Bootstrap {
  int port = 0;                  // on 127.0.0.1
  Secret superuser_password;     // of role `postgres`
  std::string login;             // made, or given this password if it is there
  Secret login_password;         // the server learns only its SCRAM form
  bool manages_tenants = false;  // CREATEDB and CREATEROLE for the login; it is no superuser either way
  std::string database;          // made, owned by the login
};

// Blocks. Safe to repeat.
absl::Status Prepare(const Bootstrap& bootstrap);

}  // namespace leasehold::stack
