CREATE TABLE items (sku text PRIMARY KEY, quantity integer NOT NULL CHECK (quantity >= 0));
