CREATE TABLE departments (
  id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text NOT NULL UNIQUE
);

CREATE TABLE employees (
  id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  number        text NOT NULL UNIQUE CHECK (number ~ '^[A-Z]{1,4}-[0-9]+$'),
  full_name     text NOT NULL,
  department_id bigint REFERENCES departments,
  manager_id    bigint REFERENCES employees,
  hired_on      date NOT NULL,
  left_on       date CHECK (left_on >= hired_on),
  CHECK (manager_id <> id)
);
CREATE INDEX employees_department ON employees (department_id);
