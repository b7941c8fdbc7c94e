-- One row that says whose database this is, so that an answer from the wrong one cannot look right.
CREATE TABLE place (tenant text NOT NULL);
CREATE TABLE entries (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, client text NOT NULL, number int NOT NULL,
                      UNIQUE (client, number));
