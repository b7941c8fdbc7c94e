-- Signed-in browsers and apps. Only a digest of the token is kept.
CREATE TABLE sessions (
  token_digest bytea PRIMARY KEY CHECK (octet_length(token_digest) = 32),
  user_id      uuid NOT NULL REFERENCES users ON DELETE CASCADE,
  user_agent   text NOT NULL DEFAULT '',
  started_at   timestamptz NOT NULL DEFAULT now(),
  expires_at   timestamptz NOT NULL CHECK (expires_at > started_at)
);
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_expiry ON sessions (expires_at);
