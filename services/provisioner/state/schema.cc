// The provisioner's own tables, version by version. A released version is never edited.
#include <format>
#include <iterator>
#include <string_view>

#include "common/status/error.h"
#include "services/provisioner/state/central.h"

namespace leasehold::provisioner {
namespace {

constexpr std::string_view kVersions[] = {
    R"(CREATE TABLE leasehold.tenants (
  id                text PRIMARY KEY,
  generation        bigint NOT NULL,
  desired           text NOT NULL CHECK (desired IN ('present', 'closed', 'absent')),
  confirmed         boolean NOT NULL,
  desired_time      timestamptz NOT NULL,
  database_id       text,
  state             text NOT NULL DEFAULT 'pending'
                    CHECK (state IN ('pending', 'ready', 'failed', 'closed', 'removed')),
  state_generation  bigint NOT NULL DEFAULT 0,
  message           text NOT NULL DEFAULT '',
  attempts          int NOT NULL DEFAULT 0,
  next_attempt_time timestamptz,
  schema_version    int,
  role_key          text NOT NULL DEFAULT '',
  status_version    bigint NOT NULL DEFAULT 0,
  reported_version  bigint NOT NULL DEFAULT 0,
  reported_state    text NOT NULL DEFAULT 'pending',
  reported_generation bigint NOT NULL DEFAULT 0,
  update_time       timestamptz NOT NULL
);
COMMENT ON COLUMN leasehold.tenants.generation IS 'of what is desired; never falls, also after a removal';
COMMENT ON COLUMN leasehold.tenants.confirmed IS 'the registry itself said so, not an event alone';
COMMENT ON COLUMN leasehold.tenants.schema_version IS 'after the last complete run; null: none yet';
COMMENT ON COLUMN leasehold.tenants.status_version IS 'rises with each status; above reported_version: to be reported';
CREATE INDEX tenants_unreported ON leasehold.tenants (id) WHERE status_version > reported_version)",
    R"(ALTER TABLE leasehold.tenants ADD COLUMN create_generation bigint NOT NULL DEFAULT 0,
  ADD COLUMN database_generation bigint NOT NULL DEFAULT 0;
UPDATE leasehold.tenants SET database_generation = generation WHERE database_id IS NOT NULL;
COMMENT ON COLUMN leasehold.tenants.create_generation IS 'in which the desired tenant began; 0: not said';
COMMENT ON COLUMN leasehold.tenants.database_generation IS 'for which the database was begun; 0: none, or for an announcement')",
};

}  // namespace

absl::Status PrepareRecords(postgres::Transaction& tx) {
  LH_RETURN_IF_ERROR(tx.Exec("SELECT pg_advisory_xact_lock(1818784867)").status());  // "lhsc"
  LH_ASSIGN_OR_RETURN(const pqxx::result known, tx.Exec("SELECT to_regclass('leasehold.schema_version') IS NOT NULL"));
  if (!known[0][0].as<bool>()) {
    LH_RETURN_IF_ERROR(tx.Exec("CREATE SCHEMA IF NOT EXISTS leasehold; REVOKE ALL ON SCHEMA leasehold FROM PUBLIC;"
                               "CREATE TABLE leasehold.schema_version (version int NOT NULL);"
                               "INSERT INTO leasehold.schema_version VALUES (0)")
                           .status());
  }
  LH_ASSIGN_OR_RETURN(const pqxx::result rows, tx.Exec("SELECT version FROM leasehold.schema_version"));
  const auto present = static_cast<size_t>(rows[0][0].as<int>());
  if (present > std::size(kVersions)) {
    return Error(
        v1::REASON_MIGRATION_FAILED,
        std::format("the provisioner's records have version {}, made by a newer provisioner; this one knows {}",
                    present, std::size(kVersions)));
  }
  for (size_t version = present; version < std::size(kVersions); ++version) {
    LH_RETURN_IF_ERROR(tx.Exec(kVersions[version]).status());
  }
  return tx.Exec("UPDATE leasehold.schema_version SET version = $1", {std::format("{}", std::size(kVersions))})
      .status();
}

}  // namespace leasehold::provisioner
