-- The lock lasts until the transaction ends, so that ids become visible in their order. Readers are notified once, at
-- the commit.
-- name: lock
SELECT pg_advisory_xact_lock(hashtext('maybe.events')), pg_notify('maybe_events', '');

-- An event of a node is also one of its location, and an event of a proxy also one of its stack.
-- name: insert
INSERT INTO public.events (type, actor, request_id, node_id, proxy_id, stack_id, location_id, details)
SELECT
    r.type, :actor::text, :request_id::text, r.node_id, r.proxy_id,
    COALESCE(r.stack_id, (SELECT p.stack_id FROM public.proxies p WHERE p.id = r.proxy_id)),
    COALESCE(r.location_id, (SELECT n.location_id FROM public.nodes n WHERE n.id = r.node_id)), r.details
FROM jsonb_to_recordset(:rows::jsonb) AS r (
    type text, node_id bigint, proxy_id bigint, stack_id bigint, location_id bigint, details jsonb
);

-- The first or last events between two ids and two times that match. See find_events.
-- name: select_page
SELECT
    e.id, e.at, e.type, e.node_id, e.proxy_id, e.stack_id, e.location_id, e.actor, e.request_id, e.details
FROM events e
WHERE e.id = ANY (ARRAY(
    SELECT find_events(
        :along, :newest_first, GREATEST(:after::bigint, event_id_at(:since::timestamptz) - 1),
        LEAST(:before::bigint, event_id_at(:until::timestamptz)), :limit, :types, :request_id, :proxy_id, :stack_id,
        :node_id, :location_id, :actor
    )
))
ORDER BY CASE WHEN :newest_first THEN -e.id ELSE e.id END;

-- name: follow
SELECT id, at, type, node_id, proxy_id, stack_id, location_id, actor, request_id, details
FROM events
WHERE id > :after::bigint
ORDER BY id
LIMIT :limit::bigint;

-- Proxies whose last change, or that of their node's state, is among the revisions that the node confirmed.
-- name: select_confirmed
SELECT p.id, p.stack_id
FROM unnest(:node_ids::bigint[], :afters::bigint[], :untils::bigint[]) AS r (node_id, after, until)
JOIN nodes n ON n.id = r.node_id
JOIN proxies p ON p.node_id = n.id
WHERE GREATEST(p.changed_revision, n.state_revision) > r.after
  AND GREATEST(p.changed_revision, n.state_revision) <= r.until
LIMIT :max_rows::bigint;

-- Those of these resources that can be seen.
-- name: select_visible
SELECT 'nodes' AS kind, id FROM nodes WHERE id = ANY (:nodes::bigint[])
UNION ALL
SELECT 'proxies', id FROM proxies WHERE id = ANY (:proxies::bigint[])
UNION ALL
SELECT 'stacks', id FROM stacks WHERE id = ANY (:stacks::bigint[]);

-- name: touch
SELECT pg_notify('maybe_touched', :payload);

-- The first event that exists comes after `forgotten`; `last` is the newest one.
-- name: ends
SELECT l.forgotten, GREATEST(l.forgotten, COALESCE((SELECT max(id) FROM public.events), 0)) AS last
FROM public.event_log l;

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
