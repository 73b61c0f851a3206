-- name: lock
-- Held to the end of the transaction: ids become visible in their order.
SELECT pg_advisory_xact_lock(hashtext('maybe.events'));

-- name: insert
INSERT INTO events (type, node_id, proxy_id, location_id, details)
SELECT r.type, r.node_id, r.proxy_id, r.location_id, r.details
FROM jsonb_to_recordset(:rows::jsonb) AS r (
    type text, node_id bigint, proxy_id bigint, location_id bigint, details jsonb
);

-- name: ping
SELECT 1;

-- name: select_page
SELECT id, at, type, node_id, proxy_id, location_id, details
FROM events
WHERE id > :after::bigint
  AND (:type::text IS NULL OR type = :type)
  AND (:node_id::bigint IS NULL OR node_id = :node_id)
  AND (:proxy_id::bigint IS NULL OR proxy_id = :proxy_id)
  AND (:location_id::bigint IS NULL OR location_id = :location_id)
ORDER BY id
LIMIT :limit::bigint;
