#include "services/provisioner/steps/schema_note.h"

#include <format>

namespace leasehold::provisioner {

absl::Status NoteSchema(postgres::Connection& central, const SchemaNote& note) {
  return central
      .ExecAlone(
          "INSERT INTO leasehold.schemas (database_id, version, digest, update_time) VALUES ($1, $2, $3, now()) "
          "ON CONFLICT (database_id) DO UPDATE SET version = excluded.version, digest = excluded.digest, "
          "update_time = excluded.update_time",
          {note.database_id, std::format("{}", note.version), note.digest})
      .status();
}

}  // namespace leasehold::provisioner
