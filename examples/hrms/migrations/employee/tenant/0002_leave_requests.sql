CREATE TABLE leave_requests (
  id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  employee_id bigint NOT NULL REFERENCES employees,
  kind        text NOT NULL CHECK (kind IN ('annual', 'sick', 'parental', 'unpaid')),
  first_day   date NOT NULL,
  last_day    date NOT NULL CHECK (last_day >= first_day),
  state       text NOT NULL DEFAULT 'asked' CHECK (state IN ('asked', 'approved', 'refused', 'withdrawn')),
  asked_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX leave_requests_open ON leave_requests (employee_id) WHERE state = 'asked';

CREATE VIEW absent_today AS
  SELECT e.full_name, l.kind, l.last_day
  FROM leave_requests l JOIN employees e ON e.id = l.employee_id
  WHERE l.state = 'approved' AND current_date BETWEEN l.first_day AND l.last_day;
