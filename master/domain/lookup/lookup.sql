-- The history is kept by the database's clock.
-- name: clock
SELECT clock_timestamp();

-- Proxies that served at this ip and port at this time.
-- name: select_endpoint
SELECT id, proxy_id, name, node_id, ip, port, username, exit_mode, exit_address, exit_prefix, since, until
FROM endpoint_history
WHERE ip = :ip AND port = :port::integer
  AND since <= :at::timestamptz AND (until IS NULL OR until > :at)
  AND id > :after::bigint
ORDER BY id
LIMIT :limit::bigint;

-- Proxies whose connections left from this fixed address at this time.
-- name: select_exit
SELECT id, proxy_id, name, node_id, ip, port, username, exit_mode, exit_address, exit_prefix, since, until
FROM endpoint_history
WHERE exit_address = :ip
  AND since <= :at::timestamptz AND (until IS NULL OR until > :at)
  AND id > :after::bigint
ORDER BY id
LIMIT :limit::bigint;

-- Prefixes that contain this address, with every key by which a node drew addresses from them.
-- name: select_keys
SELECT node_id, prefix::text AS prefix, key
FROM exit_keys
WHERE prefix >>= :ip::text::inet
ORDER BY node_id, prefix, key;

-- Proxies that drew from the prefix at this time and match the decoded part of the id. `place` numbers the decoded
-- values.
-- name: select_drawn
SELECT
    d.place, h.id, h.proxy_id, h.name, h.node_id, h.ip, h.port, h.username, h.exit_mode, h.exit_address, h.exit_prefix,
    h.since, h.until
FROM jsonb_to_recordset(:drawn::jsonb) AS d (place integer, node_id bigint, prefix text, rest bigint, modulus bigint)
CROSS JOIN LATERAL generate_series(d.rest, (SELECT max(proxy_id) FROM endpoint_history), d.modulus) AS meant (id)
JOIN endpoint_history h ON h.proxy_id = meant.id AND h.node_id = d.node_id AND h.exit_prefix = d.prefix
WHERE h.since <= :at::timestamptz AND (h.until IS NULL OR h.until > :at)
ORDER BY d.place, h.id;

-- name: forget
DELETE FROM endpoint_history
WHERE id = ANY (ARRAY(
    SELECT id FROM endpoint_history WHERE until < now() - :kept::interval
    ORDER BY until LIMIT :max_rows::bigint
    FOR UPDATE SKIP LOCKED
));

-- A key is deleted with the last period that needs it. The present key of a node stays.
-- name: forget_keys
DELETE FROM exit_keys k
WHERE NOT EXISTS (SELECT FROM nodes n WHERE n.id = k.node_id AND n.exit_key = k.key)
  AND NOT EXISTS (
      SELECT FROM endpoint_history h WHERE h.node_id = k.node_id AND h.exit_prefix = k.prefix::text
  );
