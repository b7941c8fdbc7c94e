-- Attempts to sign in, over all tenants: what a tenant's administrators must not be able to rewrite.
CREATE TABLE sign_in_audit (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  tenant     text NOT NULL,
  email      text NOT NULL,
  succeeded  boolean NOT NULL,
  happened_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX sign_in_audit_tenant ON sign_in_audit (tenant, happened_at DESC);
