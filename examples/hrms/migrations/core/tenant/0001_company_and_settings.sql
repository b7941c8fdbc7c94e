-- Exactly one company a tenant.
CREATE TABLE company (
  only_row   boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  legal_name text NOT NULL,
  country    char(2) NOT NULL,
  currency   char(3) NOT NULL,
  time_zone  text NOT NULL DEFAULT 'UTC'
);

CREATE TABLE settings (
  key        text PRIMARY KEY,
  value      jsonb NOT NULL,
  changed_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO settings (key, value) VALUES
  ('leave.annual_days', '28'),
  ('week.first_day', '"monday"');
