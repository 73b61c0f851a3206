-- The lock lasts until the transaction ends, so that ids become visible in their order. Readers are notified once, at
-- the commit.
-- name: lock
SELECT pg_advisory_xact_lock(hashtext('maybe.events')), pg_notify('maybe_events', '');

-- An event of a node is also one of its location, and an event of a proxy also one of its stack.
-- name: insert
INSERT INTO events (type, node_id, proxy_id, stack_id, location_id, details)
SELECT
    r.type, r.node_id, r.proxy_id,
    COALESCE(r.stack_id, (SELECT p.stack_id FROM proxies p WHERE p.id = r.proxy_id)),
    COALESCE(r.location_id, (SELECT n.location_id FROM nodes n WHERE n.id = r.node_id)), r.details
FROM jsonb_to_recordset(:rows::jsonb) AS r (
    type text, node_id bigint, proxy_id bigint, stack_id bigint, location_id bigint, details jsonb
);

-- name: select_page
SELECT id, at, type, node_id, proxy_id, stack_id, location_id, details
FROM events
WHERE id > :after::bigint
  AND type_matches(type, :types::text[])
  AND (:node_id::bigint IS NULL OR node_id = :node_id)
  AND (:proxy_id::bigint IS NULL OR proxy_id = :proxy_id)
  AND (:stack_id::bigint IS NULL OR stack_id = :stack_id)
  AND (:location_id::bigint IS NULL OR location_id = :location_id)
ORDER BY id
LIMIT :limit::bigint;

-- name: follow
SELECT id, at, type, node_id, proxy_id, stack_id, location_id, details
FROM events
WHERE id > :after::bigint
ORDER BY id
LIMIT :limit::bigint;

-- The first event that exists comes after `forgotten`; `last` is the newest one.
-- name: ends
SELECT l.forgotten, GREATEST(l.forgotten, COALESCE((SELECT max(id) FROM events), 0)) AS last
FROM event_log l;

-- Of several masters only one deletes at a time.
-- name: forget
WITH claimed AS (
    SELECT only_one FROM event_log FOR UPDATE SKIP LOCKED
), first AS (
    SELECT id, at FROM events WHERE EXISTS (SELECT FROM claimed) ORDER BY id LIMIT :max_rows::bigint
), gone AS (
    DELETE FROM events e USING first f
    WHERE e.id = f.id AND f.at < now() - :kept::interval
    RETURNING e.id
)
UPDATE event_log SET forgotten = GREATEST(forgotten, (SELECT max(id) FROM gone))
WHERE EXISTS (SELECT FROM gone);
