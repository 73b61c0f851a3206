-- `started_at` is by the database's clock, however late the row is written. Rows of masters that ended without a chance
-- to delete theirs stay for a day.
-- name: refresh
WITH gone AS (
    DELETE FROM masters WHERE last_seen_at < now() - :kept::interval AND id <> :id
)
INSERT INTO masters (id, host, version, started_at, broker_revs)
VALUES (:id, :host, :version, now() - :running::interval, :broker_revs::bigint[])
ON CONFLICT (id) DO UPDATE SET last_seen_at = now(), broker_revs = EXCLUDED.broker_revs;

-- name: withdraw
DELETE FROM masters WHERE id = :id;

-- name: select_masters
SELECT id, host, version, started_at, last_seen_at FROM masters ORDER BY started_at, id;

-- name: select_cluster
SELECT id::text AS cluster, current_setting('server_version') AS postgresql, clock_timestamp() AS time FROM cluster;
