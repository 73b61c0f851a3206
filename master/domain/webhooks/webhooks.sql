-- name: insert
INSERT INTO webhooks (url, secret, types, node_id, proxy_id, stack_id, location_id, enabled, position)
SELECT
    :url, :secret, :types::text[], :node_id::bigint, :proxy_id::bigint, :stack_id::bigint, :location_id::bigint,
    :enabled, COALESCE(:after::bigint, l.forgotten, 0)
FROM (SELECT GREATEST(forgotten, (SELECT max(id) FROM events)) AS forgotten FROM event_log) AS l
RETURNING id;

-- The columns of a webhook, with the number of events that its receiver has not got yet, as far as it is counted.
-- part: columns
    id, url, types, node_id, proxy_id, stack_id, location_id, enabled, position, failures, next_at, last_error,
    last_delivered_at, created_at, updated_at,
    (
        SELECT count(*)
        FROM (SELECT FROM events e WHERE e.id > w.position AND webhook_matches(e, w) LIMIT :max_lag::bigint) AS behind
    ) AS lag

-- name: select_one
SELECT
{webhooks.columns}
FROM webhooks w
WHERE id = :id;

-- name: select_page
-- sort: id
SELECT
{webhooks.columns}
FROM webhooks w
WHERE {beyond}
ORDER BY {order}
LIMIT :limit::bigint;

-- name: lock
SELECT id, url, types, node_id, proxy_id, stack_id, location_id, enabled, position AS after
FROM webhooks WHERE id = :id FOR UPDATE;

-- The master that delivers loses its claim.
-- name: update
UPDATE webhooks
SET url = :url, types = :types::text[], node_id = :node_id, proxy_id = :proxy_id, stack_id = :stack_id,
    location_id = :location_id, enabled = :enabled, position = :after, updated_at = now(), failures = 0,
    last_error = NULL, next_at = now(), claim = NULL, claimed_until = '-infinity'
WHERE id = :id;

-- name: delete
DELETE FROM webhooks WHERE id = :id RETURNING id;

-- name: select_target
SELECT id, url, secret FROM webhooks WHERE id = :id;

-- name: any_enabled
SELECT EXISTS (SELECT FROM webhooks WHERE enabled);

-- Webhooks with events to deliver. If a master dies, another one takes over when the claim has expired.
-- name: claim
WITH due AS (
    SELECT w.id FROM webhooks w
    WHERE w.enabled AND w.next_at <= now() AND w.claimed_until < now()
      AND EXISTS (SELECT FROM events e WHERE e.id > w.position AND webhook_matches(e, w))
    ORDER BY w.next_at
    LIMIT :max_rows::bigint
    FOR UPDATE OF w SKIP LOCKED
)
UPDATE webhooks w SET claim = gen_random_uuid(), claimed_until = clock_timestamp() + :lease::interval
FROM due
WHERE w.id = due.id
RETURNING
    w.id, w.url, w.secret, w.types, w.node_id, w.proxy_id, w.stack_id, w.location_id, w.position, w.failures, w.claim;

-- Returns no row when the claim is lost.
-- name: mark_delivered
UPDATE webhooks
SET position = :position, failures = 0, last_error = NULL, last_delivered_at = now(),
    claimed_until = clock_timestamp() + :lease::interval
WHERE id = :id AND claim = :claim
RETURNING id;

-- name: mark_failed
UPDATE webhooks
SET failures = failures + 1, last_error = :reason, next_at = now() + :wait::interval, enabled = :enabled, claim = NULL,
    claimed_until = '-infinity'
WHERE id = :id AND claim = :claim;

-- name: release
UPDATE webhooks SET claim = NULL, claimed_until = '-infinity' WHERE id = :id AND claim = :claim;

-- Events that no filter matches need not be read again.
-- name: skip_unmatched
UPDATE webhooks w SET position = l.last
FROM (SELECT max(id) AS last FROM events) AS l
WHERE w.enabled AND w.claimed_until < now() AND w.position < l.last
  AND NOT EXISTS (SELECT FROM events e WHERE e.id > w.position AND webhook_matches(e, w));
