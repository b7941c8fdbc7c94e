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
    R"(CREATE TABLE leasehold.spares (
  database_id    text PRIMARY KEY,
  state          text NOT NULL CHECK (state IN ('building', 'ready')),
  schema_version int,
  role_key       text NOT NULL DEFAULT '',
  create_time    timestamptz NOT NULL
);
COMMENT ON TABLE leasehold.spares IS 'databases leasehold_new_<database_id> that are no tenant''s yet';
COMMENT ON COLUMN leasehold.spares.state IS 'building: also if nobody is at work on it any more; only ready ones are claimed')",
    R"(ALTER TABLE leasehold.tenants ADD COLUMN origin_tenant text NOT NULL DEFAULT '',
  ADD COLUMN origin_backup text NOT NULL DEFAULT '',
  ADD COLUMN origin_generation bigint NOT NULL DEFAULT 0,
  ADD COLUMN filled_generation bigint NOT NULL DEFAULT 0,
  ADD COLUMN fill_database_id text,
  ADD COLUMN fill_generation bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN leasehold.tenants.filled_generation IS 'of the newest origin that the database was filled from';
COMMENT ON COLUMN leasehold.tenants.fill_database_id IS 'of what is being filled beside the database; null: nothing';
CREATE TABLE leasehold.backups (
  id                text PRIMARY KEY,
  tenant            text NOT NULL,
  cancelled         boolean NOT NULL,
  state             text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'complete', 'failed', 'removed')),
  message           text NOT NULL DEFAULT '',
  attempts          int NOT NULL DEFAULT 0,
  next_attempt_time timestamptz,
  bytes             bigint NOT NULL DEFAULT 0,
  manifest_sha256   text NOT NULL DEFAULT '',
  schema_version    int NOT NULL DEFAULT 0,
  status_version    bigint NOT NULL DEFAULT 0,
  reported_version  bigint NOT NULL DEFAULT 0,
  create_time       timestamptz NOT NULL DEFAULT now(),
  update_time       timestamptz NOT NULL
))",
    R"(CREATE TABLE leasehold.inspections (
  tenant       text PRIMARY KEY,
  inspect_time timestamptz NOT NULL,
  findings     bytea NOT NULL DEFAULT ''
);
COMMENT ON TABLE leasehold.inspections IS 'when a tenant''s database was last looked into, and what somebody has to see to there';
CREATE INDEX tenants_unsettled ON leasehold.tenants (id) WHERE state IN ('pending', 'failed'))",
    R"(CREATE TABLE leasehold.schemas (
  database_id text PRIMARY KEY,
  version     int NOT NULL,
  digest      text NOT NULL,
  update_time timestamptz NOT NULL
);
COMMENT ON TABLE leasehold.schemas IS 'what each database''s leasehold.migrations says, for a look at all of them at once';
COMMENT ON COLUMN leasehold.schemas.database_id IS 'of tenants and of spares; ''central'' for this one';
COMMENT ON COLUMN leasehold.schemas.digest IS 'over names and checksums of what was applied: the same for the same history';
CREATE TABLE leasehold.runs (
  id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  request_id  text UNIQUE,
  kind        text NOT NULL,
  spec        bytea NOT NULL,
  files       bytea NOT NULL,
  state       text NOT NULL DEFAULT 'running'
              CHECK (state IN ('running', 'succeeded', 'failed', 'stopped', 'cancelled')),
  phase       text NOT NULL DEFAULT 'listing' CHECK (phase IN ('listing', 'checking', 'working', 'ended')),
  message     text NOT NULL DEFAULT '',
  wave        int NOT NULL DEFAULT 0,
  forgiven    int NOT NULL DEFAULT 0,
  cancelled   boolean NOT NULL DEFAULT false,
  findings    bytea NOT NULL DEFAULT '',
  scratch     text NOT NULL DEFAULT '',
  create_time timestamptz NOT NULL,
  update_time timestamptz NOT NULL,
  end_time    timestamptz
);
CREATE UNIQUE INDEX runs_one_at_a_time ON leasehold.runs ((true)) WHERE state = 'running';
COMMENT ON COLUMN leasehold.runs.files IS 'names and checksums, as they were when the run began: it goes on with no others';
COMMENT ON COLUMN leasehold.runs.scratch IS 'the id of a database that the run has made for itself and will drop';
COMMENT ON COLUMN leasehold.runs.forgiven IS 'failures that the budget does not count any more, since the run was resumed';
CREATE TABLE leasehold.run_tasks (
  run          bigint NOT NULL REFERENCES leasehold.runs ON DELETE CASCADE,
  database_id  text NOT NULL,
  database     text NOT NULL,
  tenant       text NOT NULL,
  wave         int NOT NULL,
  state        text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'running', 'done', 'failed', 'skipped')),
  from_version int NOT NULL DEFAULT 0,
  to_version   int NOT NULL DEFAULT 0,
  attempts     int NOT NULL DEFAULT 0,
  findings     int NOT NULL DEFAULT 0,
  report       bytea NOT NULL DEFAULT '',
  update_time  timestamptz,
  PRIMARY KEY (run, database_id)
);
COMMENT ON COLUMN leasehold.run_tasks.report IS 'files, failure and findings: leasehold.v1.MigrationTask')",
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
