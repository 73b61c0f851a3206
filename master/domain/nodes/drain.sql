-- Start a drain or change its settings. Moves that had to wait are tried at once.
-- name: begin
WITH again AS (
    UPDATE drain_failures SET next_at = now() WHERE node_id = :node_id
)
INSERT INTO drains AS d (node_id, node_ids, overlap_s, leaving)
VALUES (:node_id, :node_ids::bigint[], :overlap_s, :leaving)
ON CONFLICT (node_id) DO UPDATE
SET node_ids = EXCLUDED.node_ids, overlap_s = EXCLUDED.overlap_s, leaving = EXCLUDED.leaving,
    next_check_at = '-infinity';

-- Moves that have begun go on.
-- name: stop
WITH waiting AS (
    DELETE FROM rotations WHERE drained_node_id = :node_id AND state = 'waiting'
)
DELETE FROM drains WHERE node_id = :node_id;

-- The master that claims a drain works on it; if it dies, another one takes over a moment later.
-- name: claim
WITH due AS (
    SELECT node_id FROM drains WHERE next_check_at <= clock_timestamp() ORDER BY next_check_at, node_id LIMIT :max_rows
    FOR UPDATE SKIP LOCKED
)
UPDATE drains d SET next_check_at = clock_timestamp() + :quiet::interval FROM due WHERE d.node_id = due.node_id
RETURNING d.node_id;

-- `is_settled`: nothing runs on the node any more, as far as is known.
-- name: select_drain
SELECT
    d.node_id, d.node_ids, d.overlap_s, d.leaving, d.emptied_at, n.location_id, s.online,
    n.proxy_count = 0 AND NOT EXISTS (SELECT FROM endpoints e WHERE e.node_id = n.id) AS is_empty,
    NOT s.online OR s.confirmed_rev >= n.revision AS is_settled,
    (
        SELECT count(*) FROM rotations r
        WHERE r.drained_node_id = d.node_id AND r.state IN ('waiting', 'starting')
    ) AS starting
FROM drains d
JOIN nodes n ON n.id = d.node_id
JOIN node_status s ON s.node_id = n.id
WHERE d.node_id = :node_id;

-- name: lock_drain
SELECT node_id FROM drains WHERE node_id = :node_id FOR UPDATE;

-- name: set_emptied
UPDATE drains SET emptied_at = CASE WHEN :is_empty::boolean THEN now() END WHERE node_id = :node_id;

-- Proxies of these nodes that are in no rotation and whose last attempt to move is over. `serves`: clients may be using
-- it.
-- name: select_movable
SELECT
    p.id, p.node_id, p.engine, p.exit,
    p.enabled AND s.online AND p.state NOT IN ('stopped', 'failed', 'expired') AS serves
FROM proxy_resources p
JOIN node_status s ON s.node_id = p.node_id
WHERE p.node_id = ANY (:node_ids::bigint[])
  AND NOT EXISTS (SELECT FROM rotations r WHERE r.proxy_id = p.id AND r.state NOT IN ('done', 'failed'))
  AND NOT EXISTS (
      SELECT FROM drain_failures f
      WHERE f.proxy_id = p.id AND f.node_id = p.node_id AND f.next_at > clock_timestamp()
  )
ORDER BY p.id;

-- Nodes of a location or with these ids, and how many proxies are on their way to each. Those `waiting` have no port
-- there yet, so select_candidates does not count them.
-- name: select_targets
SELECT n.id, n.ip, s.online, waiting.count AS waiting, waiting.count + nexts.count AS starting
FROM nodes n
JOIN node_status s ON s.node_id = n.id
CROSS JOIN LATERAL (
    SELECT count(*) AS count FROM endpoints e WHERE e.node_id = n.id AND e.role = 'next' AND e.away
) AS nexts
CROSS JOIN LATERAL (
    SELECT count(*) AS count FROM rotations r WHERE r.state = 'waiting' AND r.node_ids = ARRAY[n.id]
) AS waiting
WHERE (:location_id::bigint IS NULL OR n.location_id = :location_id)
  AND (:node_ids::bigint[] IS NULL OR n.id = ANY (:node_ids));

-- Taken before a node is changed or removed and its proxies move to others.
-- name: lock_nodes
SELECT id, ip FROM nodes WHERE id = ANY (:ids::bigint[]) ORDER BY id FOR UPDATE;

-- name: select_nodes
SELECT id, ip, state, proxy_count FROM nodes WHERE id = ANY (:ids::bigint[]) ORDER BY id;

-- name: insert_rotations
INSERT INTO rotations (proxy_id, what, overlap_s, node_ids, scheduled, drained_node_id, actor, request_id)
SELECT
    r.proxy_id, ARRAY['node'], :overlap_s, ARRAY[r.node_id], false, :drained_node_id::bigint, :actor, :request_id::text
FROM jsonb_to_recordset(:rows::jsonb) AS r (proxy_id bigint, node_id bigint)
ORDER BY r.proxy_id
ON CONFLICT (proxy_id) WHERE state NOT IN ('done', 'failed') DO NOTHING
RETURNING id, proxy_id;

-- Move these proxies to this node at once. Each keeps its port if that is free there; the others get the lowest free
-- ports. All affected nodes are locked, and this node's ip.
-- name: relocate
WITH free AS (
    SELECT port FROM free_ports(:node_id)
), movers AS (
    SELECT p.id, p.port, p.node_id FROM proxies p WHERE p.id = ANY (:ids::bigint[])
), kept AS (
    SELECT DISTINCT ON (m.port) m.id, m.port FROM movers m JOIN free USING (port) ORDER BY m.port, m.id
), others AS (
    SELECT m.id, row_number() OVER (ORDER BY m.id) AS rank
    FROM movers m WHERE NOT EXISTS (SELECT FROM kept k WHERE k.id = m.id)
), rest AS (
    SELECT f.port, row_number() OVER (ORDER BY f.port) AS rank
    FROM free f WHERE NOT EXISTS (SELECT FROM kept k WHERE k.port = f.port)
    ORDER BY f.port LIMIT cardinality(:ids)
), placed AS (
    SELECT id, port FROM kept
    UNION ALL
    SELECT o.id, r.port FROM others o JOIN rest r USING (rank)
)
UPDATE proxies p
SET node_id = :node_id, port = placed.port, port_requested = p.port_requested AND p.port = placed.port, ever_ran = false
FROM movers m
JOIN placed USING (id)
WHERE p.id = m.id
RETURNING p.id, m.node_id AS from_node_id, p.node_id, m.port AS before, p.port, p.version, p.enabled;

-- Store why proxies could not move. Returns those with a new reason.
-- name: store_failures
WITH known AS (
    SELECT proxy_id, reason FROM drain_failures WHERE node_id = :node_id
), stored AS (
    INSERT INTO drain_failures AS f (proxy_id, node_id, reason, next_at)
    SELECT r.proxy_id, :node_id, r.reason, retry_at(1, 60)
    FROM jsonb_to_recordset(:rows::jsonb) AS r (proxy_id bigint, reason text)
    JOIN proxies p ON p.id = r.proxy_id AND p.node_id = :node_id
    ORDER BY r.proxy_id
    ON CONFLICT (proxy_id) DO UPDATE
    SET reason = EXCLUDED.reason, tries = f.tries + 1, next_at = retry_at(f.tries + 1, 60)
    RETURNING f.proxy_id, f.reason, f.tries
)
SELECT s.proxy_id, s.reason, s.tries
FROM stored s
WHERE NOT EXISTS (SELECT FROM known k WHERE k.proxy_id = s.proxy_id AND k.reason = s.reason)
ORDER BY s.proxy_id;

-- Open rotations from a node or to it, and the nodes that they affect.
-- name: select_rotations
SELECT r.id, r.state, p.node_id, e.node_id AS endpoint_node_id
FROM rotations r
JOIN proxies p ON p.id = r.proxy_id
LEFT JOIN endpoints e ON e.proxy_id = r.proxy_id
WHERE r.state NOT IN ('done', 'failed') AND (p.node_id = :node_id OR e.node_id = :node_id)
ORDER BY r.id;
