-- What the HRMS sells; the same for all tenants.
CREATE TABLE plans (
  name          text PRIMARY KEY,
  max_employees integer NOT NULL CHECK (max_employees > 0)
);
INSERT INTO plans (name, max_employees) VALUES ('trial', 10), ('team', 250), ('enterprise', 100000);
