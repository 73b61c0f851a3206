-- name: server
SELECT
    current_setting('server_version_num')::integer AS version,
    current_setting('max_connections')::integer AS max_connections,
    (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections,
    pg_is_in_recovery() AS in_recovery,
    COALESCE(has_schema_privilege(current_schema(), 'CREATE'), false) AS may_create,
    to_regclass('migrations') IS NOT NULL AS has_history;

-- name: clock
SELECT clock_timestamp();

-- name: history
SELECT version, sha256 FROM migrations ORDER BY version;

-- name: nodes
SELECT
    s.id, s.name, s.ip, s.link, s.count, s.failed, s.held_rev, s.held_stops, s.held_of,
    EXTRACT(epoch FROM clock_timestamp() - COALESCE(s.reported_at, s.created_at))::float8 AS silent_s,
    n.broker_password_hash, n.agent
FROM node_resources s
JOIN nodes n ON n.id = s.id
ORDER BY s.id;

-- The upgrade that is open, if there is one.
-- name: upgrade
SELECT id, version, state, reason FROM upgrades WHERE state IN ('running', 'paused', 'halted');
