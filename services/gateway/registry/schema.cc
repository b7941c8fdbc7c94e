#include "services/gateway/registry/schema.h"

#include <format>
#include <span>
#include <string>
#include <string_view>

#include "absl/strings/str_split.h"
#include "common/status/error.h"

namespace leasehold::gateway {
namespace {

struct Version {
  int number;
  std::string_view sql;  // statements end with ";\n\n"
};

constexpr Version kVersions[] = {
    {1, R"sql(
-- A purged tenant's row stays, with nothing but its generation, so that a new tenant of that id goes on from there.
CREATE TABLE leasehold.tenants (
  id                   text COLLATE "C" PRIMARY KEY,
  name                 text NOT NULL,
  domain               text COLLATE "C",
  settings             jsonb NOT NULL,
  state                text NOT NULL CHECK (state IN ('PROVISIONING', 'ACTIVE', 'DEGRADED', 'SUSPENDED', 'DELETED', 'PURGING',
                                                      'PURGED')),
  desired              text NOT NULL CHECK (desired IN ('PRESENT', 'CLOSED', 'ABSENT')),
  generation           bigint NOT NULL CHECK (generation > 0),
  provision_generation bigint NOT NULL CHECK (provision_generation BETWEEN 1 AND generation),
  create_time          timestamptz NOT NULL,
  update_time          timestamptz NOT NULL,
  purge_time           timestamptz
);

CREATE UNIQUE INDEX tenants_domain ON leasehold.tenants (domain) WHERE state <> 'PURGED';

CREATE INDEX tenants_purge_time ON leasehold.tenants (purge_time) WHERE state = 'DELETED';

CREATE INDEX tenants_state ON leasehold.tenants (state, id);

-- The newest report of each service, as it came; see tenant_state.h for what it is worth.
CREATE TABLE leasehold.tenant_services (
  tenant            text COLLATE "C" NOT NULL REFERENCES leasehold.tenants (id),
  service           text COLLATE "C" NOT NULL,
  state             text NOT NULL CHECK (state IN ('READY', 'FAILED', 'CLOSED', 'REMOVED')),
  generation        bigint NOT NULL,
  database          text NOT NULL,
  database_id       text NOT NULL,
  message           text NOT NULL,
  attempts          integer NOT NULL,
  next_attempt_time timestamptz,
  schema_version    integer NOT NULL,
  update_time       timestamptz,
  PRIMARY KEY (tenant, service)
);

CREATE TABLE leasehold.operations (
  tenant      text COLLATE "C" NOT NULL,
  generation  bigint NOT NULL,
  kind        text NOT NULL CHECK (kind IN ('CREATE', 'UPDATE', 'SUSPEND', 'RESUME', 'DELETE', 'PURGE')),
  state       text NOT NULL CHECK (state IN ('RUNNING', 'SUCCEEDED', 'FAILED', 'ABORTED')),
  done        integer NOT NULL,
  total       integer NOT NULL,
  message     text NOT NULL,
  create_time timestamptz NOT NULL,
  end_time    timestamptz,
  PRIMARY KEY (tenant, generation)
);

CREATE INDEX operations_newest ON leasehold.operations (create_time DESC, tenant DESC, generation DESC);

CREATE INDEX operations_end_time ON leasehold.operations (end_time);

-- What a write answered, so that it can be repeated.
CREATE TABLE leasehold.requests (
  request_id  text COLLATE "C" PRIMARY KEY,
  fingerprint text NOT NULL,
  response    bytea,
  create_time timestamptz NOT NULL
);

CREATE INDEX requests_create_time ON leasehold.requests (create_time);

-- Events that the stream has not stored yet. A tenant's are in the order of ids: its row was locked when they were written.
CREATE TABLE leasehold.outbox (
  id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  subject     text NOT NULL,
  headers     jsonb NOT NULL,
  payload     bytea NOT NULL,
  message_id  text NOT NULL,
  create_time timestamptz NOT NULL
);
)sql"},
    {2, R"sql(
ALTER TABLE leasehold.tenant_services ADD COLUMN version bigint NOT NULL DEFAULT 0
)sql"},
    {3, R"sql(
-- The generation in which the id's present tenant began. What services report on a purged tenant is kept from here on: a
-- service without a REMOVED among it is still to drop its database.
ALTER TABLE leasehold.tenants ADD COLUMN create_generation bigint NOT NULL DEFAULT 1
)sql"},
    {4, R"sql(
-- What the databases begin with, until every service has followed it; see tenant_state.h.
ALTER TABLE leasehold.tenants ADD COLUMN origin_tenant text COLLATE "C", ADD COLUMN origin_backup text COLLATE "C",
  ADD COLUMN origin_generation bigint NOT NULL DEFAULT 0, ADD COLUMN origin_in_place boolean NOT NULL DEFAULT false;

ALTER TABLE leasehold.operations DROP CONSTRAINT operations_kind_check, DROP CONSTRAINT operations_state_check,
  ADD CONSTRAINT operations_kind_check CHECK (kind IN ('CREATE', 'UPDATE', 'SUSPEND', 'RESUME', 'DELETE', 'PURGE', 'UNDELETE',
                                                       'RETRY', 'CLONE', 'BACKUP', 'RESTORE')),
  ADD CONSTRAINT operations_state_check CHECK (state IN ('RUNNING', 'SUCCEEDED', 'FAILED', 'ABORTED', 'CANCELLED')),
  ADD COLUMN subject text COLLATE "C" NOT NULL DEFAULT '',
  -- An Operation of which only `services` is set.
  ADD COLUMN services bytea NOT NULL DEFAULT '';

-- Outlives its tenant. `removed`: cancelled or deleted; what each service makes of that stands in backup_services.
CREATE TABLE leasehold.backups (
  tenant      text COLLATE "C" NOT NULL,
  generation  bigint NOT NULL,
  removed     boolean NOT NULL,
  create_time timestamptz NOT NULL,
  end_time    timestamptz,
  PRIMARY KEY (tenant, generation)
);

CREATE INDEX backups_newest ON leasehold.backups (create_time DESC, tenant DESC, generation DESC);

-- One row for each service that was configured when the backup began. `open`: it has still to take it, or to remove it.
CREATE TABLE leasehold.backup_services (
  tenant          text COLLATE "C" NOT NULL,
  generation      bigint NOT NULL,
  service         text COLLATE "C" NOT NULL,
  state           text NOT NULL CHECK (state IN ('RUNNING', 'COMPLETE', 'FAILED', 'REMOVED')),
  message         text NOT NULL DEFAULT '',
  attempts        integer NOT NULL DEFAULT 0,
  bytes           bigint NOT NULL DEFAULT 0,
  manifest_sha256 text NOT NULL DEFAULT '',
  schema_version  integer NOT NULL DEFAULT 0,
  update_time     timestamptz,
  open            boolean NOT NULL DEFAULT true,
  PRIMARY KEY (tenant, generation, service),
  FOREIGN KEY (tenant, generation) REFERENCES leasehold.backups ON DELETE CASCADE
);

CREATE INDEX backup_services_open ON leasehold.backup_services (service) WHERE open;
)sql"},
    {5, R"sql(
-- What each service's provisioners found amiss in their last pass.
CREATE TABLE leasehold.findings (
  service         text COLLATE "C" NOT NULL,
  kind            text NOT NULL,
  tenant          text COLLATE "C" NOT NULL,
  object          text NOT NULL,
  message         text NOT NULL,
  remedy          text NOT NULL,
  first_seen_time timestamptz NOT NULL,
  PRIMARY KEY (service, kind, tenant, object)
);

CREATE TABLE leasehold.passes (
  service     text COLLATE "C" PRIMARY KEY,
  provisioner text NOT NULL,
  pass_time   timestamptz,  -- NULL: never
  trouble     text NOT NULL DEFAULT ''
)
)sql"},
    {6, R"sql(
-- The trail (docs/audit.md): what one gateway has recorded at once, on a chain of hashes. Appended to, never changed.
CREATE TABLE leasehold.audit (
  number      bigint PRIMARY KEY CHECK (number > 0),
  gateway     text COLLATE "C" NOT NULL,
  first_time  timestamptz NOT NULL,
  last_time   timestamptz NOT NULL,
  event_count integer NOT NULL,
  events      text NOT NULL,
  previous    bytea NOT NULL CHECK (octet_length(previous) = 32),
  hash        bytea NOT NULL CHECK (octet_length(hash) = 32)
);

-- PostgreSQL's own compression takes several times as long as all the rest of an INSERT; it may be built without this one.
DO $$ BEGIN
  ALTER TABLE leasehold.audit ALTER COLUMN events SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN
  ALTER TABLE leasehold.audit ALTER COLUMN events SET STORAGE EXTERNAL;
END $$;

CREATE FUNCTION leasehold.refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  RAISE EXCEPTION 'leasehold.audit is only appended to: % refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON leasehold.audit
  FOR EACH STATEMENT EXECUTE FUNCTION leasehold.refuse_audit_change();

-- Also where session_replication_role leaves other triggers out.
ALTER TABLE leasehold.audit ENABLE ALWAYS TRIGGER append_only;

REVOKE UPDATE, DELETE, TRUNCATE ON leasehold.audit FROM PUBLIC, CURRENT_USER;

CREATE VIEW leasehold.audit_events AS
  SELECT a.number, l.position, (l.event ->> 'time')::timestamptz AS time, l.event ->> 'action' AS action,
         l.event ->> 'outcome' AS outcome, l.event ->> 'principal' AS principal, l.event ->> 'holder' AS holder,
         l.event ->> 'address' AS address, l.event ->> 'traceId' AS trace_id, l.event ->> 'tenant' AS tenant,
         l.event ->> 'service' AS service, l.event ->> 'lease' AS lease, l.event ->> 'subject' AS subject,
         l.event ->> 'detail' AS detail, a.gateway
    FROM leasehold.audit a,
         LATERAL (SELECT t.position, t.line::jsonb AS event
                    FROM string_to_table(rtrim(a.events, E'\n'), E'\n') WITH ORDINALITY AS t (line, position)) l;

-- The newest record that the stream AUDIT has.
CREATE TABLE leasehold.audit_published (number bigint NOT NULL);

INSERT INTO leasehold.audit_published VALUES (0)
)sql"},
    {7, R"sql(
-- W3C Trace Context of what asked for the generation.
ALTER TABLE leasehold.tenants ADD COLUMN traceparent text COLLATE "C" NOT NULL DEFAULT ''
)sql"},
    {8, R"sql(
-- The trail is shortened from its beginning, up to a record that an anchor names (docs/adr/0032-trimming.md). What counts
-- is when PostgreSQL took a record in, not the time that a gateway wrote into it; NULL: before this was known.
ALTER TABLE leasehold.audit ADD COLUMN stored_time timestamptz;

ALTER TABLE leasehold.audit ALTER COLUMN stored_time SET DEFAULT now();

-- Nothing younger is removed, whatever a gateway's configuration says.
CREATE TABLE leasehold.audit_floor (retention interval NOT NULL);

INSERT INTO leasehold.audit_floor VALUES ('24 hours');

CREATE FUNCTION leasehold.guard_audit_floor() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$ BEGIN
  IF TG_OP = 'UPDATE' THEN
    IF NEW.retention >= OLD.retention THEN RETURN NEW; END IF;
  END IF;
  RAISE EXCEPTION 'leasehold.audit_floor is only raised: % refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE TRIGGER raised_only BEFORE UPDATE ON leasehold.audit_floor
  FOR EACH ROW EXECUTE FUNCTION leasehold.guard_audit_floor();

CREATE TRIGGER one_row BEFORE INSERT OR DELETE OR TRUNCATE ON leasehold.audit_floor
  FOR EACH STATEMENT EXECUTE FUNCTION leasehold.guard_audit_floor();

ALTER TABLE leasehold.audit_floor ENABLE ALWAYS TRIGGER raised_only;

ALTER TABLE leasehold.audit_floor ENABLE ALWAYS TRIGGER one_row;

CREATE TABLE leasehold.audit_trims (
  number    bigint PRIMARY KEY,  -- the newest record that may be removed
  hash      bytea NOT NULL CHECK (octet_length(hash) = 32),
  told_in   bigint,  -- the record that tells of it; NULL: set by hand
  retention interval NOT NULL,
  trim_time timestamptz NOT NULL DEFAULT now()
);

CREATE FUNCTION leasehold.check_audit_trim() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
  before bigint := (SELECT coalesce(max(number), 0) FROM leasehold.audit_trims);
  why text := CASE
    WHEN NEW.number <= before THEN 'this is no newer than what was trimmed before'
    WHEN NEW.retention < (SELECT coalesce(max(retention), interval '1000 years') FROM leasehold.audit_floor)
      THEN 'the retention is shorter than leasehold.audit_floor'
    WHEN NOT EXISTS (SELECT FROM leasehold.audit WHERE number = NEW.number AND hash = NEW.hash) THEN 'there is no such record'
    WHEN NOT EXISTS (SELECT FROM leasehold.audit WHERE number = NEW.told_in AND number > NEW.number)
      THEN 'no record behind it tells of it'
    WHEN NEW.number > (SELECT coalesce(max(number), 0) FROM leasehold.audit_published) THEN 'the stream AUDIT has not got it'
    WHEN EXISTS (SELECT FROM leasehold.audit WHERE number > before AND number <= NEW.number
                    AND coalesce(stored_time, last_time) > now() - NEW.retention)
      THEN 'not everything up to there is older than the retention'
  END;
BEGIN
  IF why IS NOT NULL THEN
    RAISE EXCEPTION 'leasehold.audit is not trimmed: %', why USING ERRCODE = 'insufficient_privilege';
  END IF;
  NEW.trim_time := now();
  RETURN NEW;
END $$;

CREATE TRIGGER checked BEFORE INSERT ON leasehold.audit_trims
  FOR EACH ROW EXECUTE FUNCTION leasehold.check_audit_trim();

CREATE OR REPLACE FUNCTION leasehold.refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  RAISE EXCEPTION 'leasehold.% is only appended to: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON leasehold.audit_trims
  FOR EACH STATEMENT EXECUTE FUNCTION leasehold.refuse_audit_change();

ALTER TABLE leasehold.audit_trims ENABLE ALWAYS TRIGGER checked;

ALTER TABLE leasehold.audit_trims ENABLE ALWAYS TRIGGER append_only;

REVOKE UPDATE, DELETE, TRUNCATE ON leasehold.audit_trims FROM PUBLIC, CURRENT_USER;

CREATE FUNCTION leasehold.keep_audit_record() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$ BEGIN
  IF OLD.number <= (SELECT max(number) FROM leasehold.audit_trims) THEN RETURN OLD; END IF;
  RAISE EXCEPTION 'leasehold.audit is only appended to: % refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;

DROP TRIGGER append_only ON leasehold.audit;

CREATE TRIGGER append_only BEFORE UPDATE OR TRUNCATE ON leasehold.audit
  FOR EACH STATEMENT EXECUTE FUNCTION leasehold.refuse_audit_change();

CREATE TRIGGER trimmed_only BEFORE DELETE ON leasehold.audit
  FOR EACH ROW EXECUTE FUNCTION leasehold.keep_audit_record();

ALTER TABLE leasehold.audit ENABLE ALWAYS TRIGGER append_only;

ALTER TABLE leasehold.audit ENABLE ALWAYS TRIGGER trimmed_only;

-- Of what the trigger lets go.
GRANT DELETE ON leasehold.audit TO CURRENT_USER
)sql"},
};

// Any number that nothing else in this database locks.
constexpr std::string_view kLock = "SELECT pg_advisory_xact_lock(7450000001)";

// On a server that holds more than this, other roles could take these locks. Whoever else is to connect is granted it.
// Without a word where this login does not own the database.
constexpr std::string_view kClose = R"sql(DO $$ BEGIN
  IF has_database_privilege('public', current_database(), 'CONNECT')
     AND pg_has_role((SELECT datdba FROM pg_database WHERE datname = current_database()), 'USAGE') THEN
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
  END IF;
END $$)sql";

absl::Status Apply(postgres::Transaction& tx, const Version& version) {
  for (const absl::string_view statement : absl::StrSplit(AbslView(version.sql), ";\n\n")) {
    LH_RETURN_IF_ERROR(tx.Exec(StdView(statement)).status());
  }
  return tx.Exec("INSERT INTO leasehold.schema_version (version) VALUES ($1)", {std::to_string(version.number)})
      .status();
}

}  // namespace

int NewestSchemaVersion() { return std::span(kVersions).back().number; }

absl::Status MigrateSchema(postgres::Connection& connection) {
  const absl::Status recorded = connection.InTransaction([](postgres::Transaction& tx) -> absl::Status {
    LH_RETURN_IF_ERROR(tx.Exec(kLock).status());
    LH_RETURN_IF_ERROR(tx.Exec(kClose).status());
    LH_ASSIGN_OR_RETURN(const pqxx::result exists,
                        tx.Exec("SELECT to_regclass('leasehold.schema_version') IS NOT NULL"));
    if (exists[0][0].as<bool>()) return absl::OkStatus();
    LH_RETURN_IF_ERROR(tx.Exec("CREATE SCHEMA IF NOT EXISTS leasehold").status());
    return tx
        .Exec(
            "CREATE TABLE leasehold.schema_version (version integer PRIMARY KEY,"
            " applied_at timestamptz NOT NULL DEFAULT now())")
        .status();
  });
  LH_RETURN_IF_ERROR(recorded);
  for (const Version& version : kVersions) {
    const absl::Status done = connection.InTransaction([&version](postgres::Transaction& tx) -> absl::Status {
      LH_RETURN_IF_ERROR(tx.Exec(kLock).status());
      LH_ASSIGN_OR_RETURN(const pqxx::result now,
                          tx.Exec("SELECT coalesce(max(version), 0) FROM leasehold.schema_version"));
      const int present = now[0][0].as<int>();
      if (present > NewestSchemaVersion()) {
        return absl::FailedPreconditionError(
            std::format("the registry's schema has version {}, this gateway knows {}: run a newer gateway", present,
                        NewestSchemaVersion()));
      }
      return present >= version.number ? absl::OkStatus() : Apply(tx, version);
    });
    LH_RETURN_IF_ERROR(done);
  }
  return absl::OkStatus();
}

}  // namespace leasehold::gateway
