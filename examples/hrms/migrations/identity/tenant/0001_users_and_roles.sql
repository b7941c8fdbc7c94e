-- Who may sign in to this tenant, and as what.
CREATE TABLE users (
  id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  email        text NOT NULL CHECK (email LIKE '%_@_%'),
  display_name text NOT NULL,
  password_set boolean NOT NULL DEFAULT false,
  is_active    boolean NOT NULL DEFAULT true,
  created_at   timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX users_email ON users (lower(email));

CREATE TABLE roles (
  name        text PRIMARY KEY CHECK (name ~ '^[a-z][a-z_]*$'),
  description text NOT NULL
);
INSERT INTO roles (name, description) VALUES
  ('employee', 'sees and edits their own record'),
  ('manager', 'approves leave of their department'),
  ('hr_admin', 'manages all employees of the tenant');

CREATE TABLE user_roles (
  user_id    uuid NOT NULL REFERENCES users ON DELETE CASCADE,
  role       text NOT NULL REFERENCES roles,
  granted_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (user_id, role)
);
