-- What imports are transformed into, and exports are made from.
CREATE SCHEMA reference;

CREATE TABLE reference.records (
  account bigint NOT NULL,
  code    text NOT NULL,
  label   text NOT NULL,
  PRIMARY KEY (account, code)
);
