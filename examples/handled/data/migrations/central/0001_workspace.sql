-- What was imported, as it came. This side can be filled again from its sources.
CREATE SCHEMA workspace;

-- `account` is a customer's id on the primary side: no foreign key reaches across.
CREATE TABLE workspace.imports (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  account    bigint NOT NULL,
  source     text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE workspace.rows (
  import_id bigint NOT NULL REFERENCES workspace.imports ON DELETE CASCADE,
  line      integer NOT NULL,
  fields    jsonb NOT NULL,
  PRIMARY KEY (import_id, line)
);
