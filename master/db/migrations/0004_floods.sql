-- A node that floods the master is shut out of the broker until then: it has no login.
ALTER TABLE nodes ADD COLUMN shut_out_until timestamptz NOT NULL DEFAULT '-infinity';
