-- One rotation for each proxy. A unique index allows a proxy one open rotation at a time.
-- name: insert
INSERT INTO rotations (proxy_id, what, overlap_s, node_ids, scheduled, actor, request_id)
SELECT id, :what::text[], :overlap_s, :node_ids::bigint[], false, :actor, :request_id::text
FROM unnest(:proxy_ids::bigint[]) AS r (id)
RETURNING id;

-- name: select_one
SELECT
    id, proxy_id, what, overlap_s, scheduled, state, reason, from_node_id, to_node_id, until, created_at, started_at,
    probed_at, switched_at, ended_at, updated_at
FROM rotations
WHERE id = :id;

-- A rotation that began later was also changed later, which has an index.
-- name: select_page
-- sort: id
SELECT
    id, proxy_id, what, overlap_s, scheduled, state, reason, from_node_id, to_node_id, until, created_at, started_at,
    probed_at, switched_at, ended_at, updated_at
FROM rotations
WHERE true
  AND {beyond}
  AND (:proxy_id::bigint[] IS NULL OR proxy_id = ANY (:proxy_id))
  AND (:node_id::bigint[] IS NULL OR from_node_id = ANY (:node_id)
      OR (to_node_id = ANY (:node_id) AND to_node_id <> from_node_id))
  AND (:state::text[] IS NULL OR state = ANY (:state))
  AND (:since::timestamptz IS NULL OR (created_at >= :since AND updated_at >= :since))
ORDER BY {order}
LIMIT :limit::bigint;

-- Whether this rotation is past its probe, or has failed.
-- name: has_begun
SELECT state NOT IN ('waiting', 'starting') FROM rotations WHERE id = :id;

-- Start rotations of schedules that are due, each by one master, since the same statement sets the next time. A proxy
-- that does not run skips its rotation, and so does one with an open rotation.
-- name: claim_due
WITH due AS (
    SELECT proxy_id FROM schedules WHERE next_at <= now() ORDER BY next_at LIMIT :max_rows FOR UPDATE SKIP LOCKED
), moved AS (
    UPDATE schedules s SET next_at = now() + make_interval(secs => s.every_s + random() * s.jitter_s)
    FROM due WHERE s.proxy_id = due.proxy_id
    RETURNING s.proxy_id, s.what, s.overlap_s
)
INSERT INTO rotations (proxy_id, what, overlap_s, scheduled, actor)
SELECT m.proxy_id, m.what, m.overlap_s, true, :actor
FROM moved m
JOIN proxies p ON p.id = m.proxy_id AND p.enabled
JOIN nodes n ON n.id = p.node_id AND n.state <> 'disabled'
ON CONFLICT (proxy_id) WHERE state NOT IN ('done', 'failed') DO NOTHING
RETURNING id;

-- The master that claims a step does it; if it dies, another one takes over when the claim has expired.
-- name: claim_steps
WITH due AS (
    SELECT r.id FROM rotations r
    WHERE r.state NOT IN ('done', 'failed') AND r.claimed_until < clock_timestamp()
      AND EXISTS (SELECT FROM rotation_steps s WHERE s.id = r.id AND s.step IS NOT NULL)
    ORDER BY r.id LIMIT :max_rows FOR UPDATE SKIP LOCKED
)
UPDATE rotations r SET claimed_until = clock_timestamp() + :claim::interval
FROM due JOIN rotation_steps s ON s.id = due.id
WHERE r.id = due.id
RETURNING r.id, r.proxy_id, r.what, r.actor, r.request_id, s.step, s.reason;

-- Everything that a step depends on, read without a lock.
-- name: select_context
SELECT
    r.id, r.proxy_id, r.state, r.what, r.overlap_s, r.node_ids, r.scheduled,
    r.exit_before, p.node_id, n.location_id, p.port, p.username, p.password, p.engine, p.exit,
    e.node_id AS endpoint_node_id
FROM rotations r
JOIN proxies p ON p.id = r.proxy_id
JOIN nodes n ON n.id = p.node_id
LEFT JOIN endpoints e ON e.proxy_id = p.id
WHERE r.id = :id;

-- name: lock
SELECT id, state FROM rotations WHERE id = :id FOR UPDATE;

-- Where the proxy will serve if this rotation succeeds, with its login: the new endpoint, or the proxy as it is.
-- name: select_endpoint
SELECT
    n.ip AS host, COALESCE(e.port, p.port) AS port, p.protocol, p.tls, p.engine, p.allow_ips,
    CASE WHEN e.proxy_id IS NULL THEN p.username ELSE e.username END AS username,
    CASE WHEN e.proxy_id IS NULL THEN p.password ELSE e.password END AS password
FROM rotations r
JOIN proxies p ON p.id = r.proxy_id
LEFT JOIN endpoints e ON e.proxy_id = p.id AND e.rotation_id = r.id AND e.role = 'next'
JOIN nodes n ON n.id = COALESCE(e.node_id, p.node_id)
WHERE r.id = :id;

-- name: insert_endpoint
INSERT INTO endpoints (proxy_id, rotation_id, node_id, port, username, password, exit, role)
VALUES (:proxy_id, :rotation_id, :node_id, :port, :username, :password, :exit::jsonb, 'next');

-- name: set_exit
UPDATE proxies SET exit = :exit::jsonb WHERE id = :proxy_id;

-- Whether another program has this port of the node, or it was given up a moment ago.
-- name: is_port_taken
SELECT EXISTS (SELECT FROM public.taken_ports WHERE node_id = :node_id AND port = :port AND until > now());

-- The new endpoint becomes the proxy's own.
-- name: adopt_endpoint
UPDATE proxies p
SET node_id = e.node_id, port = e.port, username = e.username, password = e.password, exit = e.exit,
    port_requested = p.port_requested AND p.port = e.port
FROM endpoints e
WHERE p.id = :proxy_id AND e.proxy_id = p.id AND e.rotation_id = :rotation_id AND e.role = 'next'
RETURNING p.id;

-- The former endpoint keeps serving for the overlap.
-- name: keep_former_endpoint
UPDATE endpoints
SET role = 'former', node_id = :node_id, port = :port, username = :username, password = :password, exit = :exit::jsonb,
    failure = NULL
WHERE proxy_id = :proxy_id AND rotation_id = :rotation_id AND role = 'next';

-- name: delete_endpoint
DELETE FROM endpoints WHERE proxy_id = :proxy_id AND rotation_id = :rotation_id;

-- name: wait
UPDATE rotations
SET state = 'waiting', to_node_id = NULL, started_at = NULL, deadline = NULL, claimed_until = '-infinity',
    updated_at = now()
WHERE id = :id;

-- name: start
UPDATE public.rotations
SET state = 'starting', from_node_id = :from_node_id, to_node_id = :to_node_id, started_at = now(),
    deadline = now() + :within::interval, exit_before = :exit_before::jsonb, claimed_until = '-infinity',
    updated_at = now()
WHERE id = :id;

-- The transaction begins when the probe has succeeded. It may have waited for locks before the switch.
-- name: switch
UPDATE rotations SET probed_at = now(), switched_at = clock_timestamp() WHERE id = :id;

-- name: overlap
UPDATE rotations
SET state = 'overlap', until = now() + make_interval(secs => overlap_s), exit_before = NULL,
    claimed_until = '-infinity', updated_at = now()
WHERE id = :id;

-- A scheduled rotation that came due meanwhile counts as done.
-- name: end
WITH ended AS (
    UPDATE rotations
    SET state = :state, reason = :reason, until = NULL, exit_before = NULL, claimed_until = '-infinity',
        ended_at = clock_timestamp(), updated_at = now()
    WHERE id = :id
    RETURNING proxy_id, scheduled
)
UPDATE schedules s SET next_at = now() + make_interval(secs => s.every_s + random() * s.jitter_s)
FROM ended WHERE s.proxy_id = ended.proxy_id AND ended.scheduled AND s.next_at <= now();

-- Failures that a node reports for new endpoints that are all it has of their proxies.
-- name: store_failures
UPDATE endpoints e SET failure = r.reason
FROM unnest(:ids::bigint[], :reasons::text[], :kinds::text[]) AS r (id, reason, kind)
WHERE e.proxy_id = r.id AND e.node_id = :node_id AND e.away AND e.role = 'next' AND r.kind = 'failed';

-- name: forget
DELETE FROM rotations WHERE state IN ('done', 'failed') AND updated_at < now() - :kept::interval;
