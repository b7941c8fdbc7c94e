-- One row a tenant and month, written by a nightly job that walks the tenants on one central lease.
CREATE TABLE headcount (
  tenant    text NOT NULL,
  month     date NOT NULL CHECK (extract(day FROM month) = 1),
  employees integer NOT NULL CHECK (employees >= 0),
  PRIMARY KEY (tenant, month)
);
