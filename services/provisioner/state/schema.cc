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
    // 7 was the first leasehold.take_spare, which did not know digests; 8 makes it anew.
    "SELECT",
    // Of spares the oldest that fits. One that somebody is connected to is passed over, since a rename would wait up to
    // five seconds for them; and one that is not what it was when it was offered, for whoever keeps the spares to look
    // at. The conditions are asked of one after another until one holds. shobj_description() is planned anew at each
    // call.
    R"(ALTER TABLE leasehold.spares ADD COLUMN schema_digest text NOT NULL DEFAULT '';
COMMENT ON COLUMN leasehold.spares.schema_digest IS 'of what schema_version was made of, as in leasehold.schemas; empty: not known';
DROP FUNCTION IF EXISTS leasehold.take_spare;
CREATE FUNCTION leasehold.take_spare(wanted leasehold.tenants, database text, reader text, newest int, digest text, key text,
  at_time timestamptz, OUT asked boolean, OUT spare text, OUT trouble text, OUT became leasehold.tenants)
LANGUAGE plpgsql AS $function$
BEGIN
  became := wanted;
  asked := wanted.desired = 'present' AND wanted.database_id IS NULL AND wanted.fill_database_id IS NULL
           AND wanted.origin_generation <= wanted.filled_generation;
  IF NOT asked THEN
    RETURN;
  END IF;
  BEGIN
    DELETE FROM leasehold.spares WHERE database_id = ANY (ARRAY(
      SELECT s.database_id FROM (
        SELECT database_id, 'leasehold_new_' || database_id AS name, 'leasehold:1:' || database_id AS mark
        FROM leasehold.spares WHERE state = 'ready' AND schema_version = newest AND schema_digest = digest AND role_key = key
        ORDER BY create_time, database_id FOR UPDATE SKIP LOCKED) s
      WHERE (SELECT count(*) FROM pg_database d
             WHERE d.datname = s.name AND pg_stat_get_db_numbackends(d.oid) = 0
             AND s.mark = (SELECT description FROM pg_shdescription
                           WHERE objoid = d.oid AND classoid = 'pg_database'::regclass)
             AND s.mark = (SELECT description FROM pg_shdescription
                           WHERE objoid = d.datdba AND classoid = 'pg_authid'::regclass)
             AND (SELECT bool_or(m.admin_option) FROM pg_auth_members m WHERE m.roleid = d.datdba
                  AND m.member = (SELECT oid FROM pg_roles WHERE rolname = current_user))) = 1
      LIMIT 1))
    RETURNING database_id INTO spare;
    IF spare IS NULL THEN
      RETURN;
    END IF;
    EXECUTE format('ALTER ROLE %1$I RENAME TO %3$I; ALTER ROLE %2$I RENAME TO %4$I; ALTER ROLE %3$I LOGIN; '
                   'ALTER ROLE %4$I LOGIN; ALTER DATABASE %1$I RENAME TO %3$I',
                   'leasehold_new_' || spare, 'leasehold_new_' || spare || '_ro', database, reader);
    UPDATE leasehold.tenants t SET database_id = spare, database_generation = generation, state = 'ready',
      state_generation = generation, message = '', attempts = attempts + 1, next_attempt_time = NULL,
      schema_version = newest, role_key = key, status_version = status_version + 1, update_time = at_time
    WHERE t.id = wanted.id RETURNING t.* INTO became;
  EXCEPTION
    WHEN duplicate_database OR duplicate_object THEN
      asked := false;
      spare := NULL;
    WHEN OTHERS THEN
      asked := false;
      trouble := SQLERRM;
      UPDATE leasehold.spares SET state = 'building' WHERE database_id = spare;
  END;
END
$function$;
COMMENT ON FUNCTION leasehold.take_spare IS 'gives the tenant of the row `wanted` a spare if it is to have a database and has none; all or nothing')",
    R"(ALTER TABLE leasehold.tenants ADD COLUMN traceparent text NOT NULL DEFAULT '';
COMMENT ON COLUMN leasehold.tenants.traceparent IS 'W3C Trace Context of what asked for the generation; empty: not known')",
    R"(ALTER TABLE leasehold.runs ADD COLUMN calls text[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN leasehold.runs.calls IS 'ids of the newest calls that cancelled or resumed it: none does so twice')",
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
