// The summary of each database's migrations in the central one (leasehold.schemas), so that the fleet's status is one
// query. Written behind the database's own history, which is the truth; `verify` compares them.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "common/postgres/postgres.h"

namespace leasehold::provisioner {

struct SchemaNote {
  std::string database_id{};
  int version = 0;
  std::string digest{};  // DigestOf(History)
};

absl::Status NoteSchema(postgres::Connection& central, const SchemaNote& note);

}  // namespace leasehold::provisioner
