// Owner and read-only roles: made once, opened and closed, dropped. All of it inside the caller's transaction, so that
// a role and its mark appear together. Thread: the transaction's.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "common/postgres/postgres.h"
#include "common/secret/secret.h"

namespace leasehold::provisioner {

struct RoleSpec {
  std::string name{};
  std::string mark{};
  RoleKind kind = RoleKind::kOwner;
};

// Makes the role, unable to log in, if it is absent; NAME_TAKEN if it is there under another mark. The provisioner's
// login becomes a member with INHERIT and SET, which since PostgreSQL 16 CREATEROLE alone does not give. `secret`: see
// Instance::RoleSecret; an existing role gets it too if `renew_secret`.
absl::Status MakeRole(postgres::Transaction& tx, const RoleSpec& role, std::string_view secret, bool renew_secret);

// LOGIN or NOLOGIN. To close what is absent or under another mark is nothing to do; to open it is an error. Opening an
// owner ends dumps that count on its being closed (closed_dump.h).
absl::Status SetLogin(postgres::Transaction& tx, const RoleSpec& role, bool may_log_in);

// An absent role, or one under another mark, is left alone.
absl::Status DropRole(postgres::Transaction& tx, const RoleSpec& role);

// Ends all sessions of those of the two roles that bear the mark, waiting up to 5 s for each. To be called after
// SetLogin(false) was committed. INTERNAL if some remain.
absl::Status EndSessions(postgres::Connection& central, const RoleSpec& owner, const RoleSpec& read_only);

}  // namespace leasehold::provisioner
