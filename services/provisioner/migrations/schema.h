// What is in a database, object by object, so that two databases can be compared: verify's eyes.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/postgres/postgres.h"

namespace leasehold::provisioner {

// "column public.person.name" → "text NOT NULL DEFAULT ''". Owners and privileges are left out, for they differ from
// tenant to tenant and are the doctor's subject; so are PostgreSQL's own schemas, Leasehold's, what belongs to an
// extension (the extension itself is in), and the order of columns.
using SchemaObjects = std::map<std::string, std::string>;

// `connection`: any role that may connect; catalogs are open to all.
absl::StatusOr<SchemaObjects> ReadSchema(postgres::Connection& connection);

enum class Drift { kMissing, kUnexpected, kDiffers };
struct DriftedObject {
  Drift drift = Drift::kDiffers;
  std::string object{};
  std::string is{};         // empty if it is missing
  std::string should_be{};  // empty if it is unexpected
};
// What hangs on an object that is missing or unexpected as a whole (a table's columns) is not listed again.
std::vector<DriftedObject> CompareSchemas(const SchemaObjects& is, const SchemaObjects& should_be);

}  // namespace leasehold::provisioner
