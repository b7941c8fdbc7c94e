-- Who may use the back office. What is here cannot be made again: this side is the one to back up.
CREATE SCHEMA config;

CREATE TABLE config.users (
  id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  email           text NOT NULL UNIQUE CHECK (email = lower(email)),
  password_digest text NOT NULL,
  role            text NOT NULL CHECK (role IN ('admin', 'operator', 'viewer')),
  disabled        boolean NOT NULL DEFAULT false
);

-- The token itself is nowhere: whoever reads this table cannot sign in with it.
CREATE TABLE config.sessions (
  token_digest bytea PRIMARY KEY,
  user_id      bigint NOT NULL REFERENCES config.users ON DELETE CASCADE,
  expires_at   timestamptz NOT NULL
);
CREATE INDEX sessions_user ON config.sessions (user_id);
