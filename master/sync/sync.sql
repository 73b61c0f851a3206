-- The master that claims a node sends its list; if it dies, another one takes over after five seconds. `sending_until`
-- also keeps two lists of one node apart, so that a burst of changes is sent as one list. Nodes at a link that this
-- master does not reach (`away`) are left to the others.
-- name: claim_unsent
WITH due AS (
    SELECT id FROM nodes
    WHERE revision > sent_revision AND sending_until < clock_timestamp()
        AND COALESCE(broker_rev, -1) <> ALL (:away::bigint[])
    ORDER BY id LIMIT :max_rows FOR UPDATE SKIP LOCKED
)
UPDATE nodes SET sending_until = clock_timestamp() + interval '5 seconds' FROM due WHERE nodes.id = due.id
RETURNING nodes.id, nodes.broker_rev;

-- name: claim_sweep
WITH due AS (
    SELECT id FROM nodes WHERE sweep_at <= now() ORDER BY sweep_at LIMIT :max_rows FOR UPDATE SKIP LOCKED
)
UPDATE nodes SET sweep_at = now() + interval '10 minutes' * (0.8 + 0.4 * random()) FROM due WHERE nodes.id = due.id
RETURNING nodes.id, nodes.broker_rev;

-- `sent_at` is the time of the oldest list that the node has not confirmed. A node that a write has locked is left as it
-- is.
-- name: mark_sent
UPDATE nodes
SET sent_revision = GREATEST(sent_revision, :revision), sending_until = clock_timestamp() + :quiet::interval,
    sent_at = CASE
        WHEN sent_revision <= (SELECT confirmed_rev FROM node_status WHERE node_id = :node_id) THEN clock_timestamp()
        ELSE sent_at
    END
WHERE id = (SELECT id FROM nodes WHERE id = :node_id FOR NO KEY UPDATE SKIP LOCKED);

-- Revision, list and removals since the node's last report in one statement, and so in one snapshot. With it go the ids
-- of the requests that changed the list, as far as the log has them. No row while a restore is under way: it creates
-- triggers last, and until then nodes may exist without their proxies.
-- name: desired_list
SELECT
    n.revision,
    n.ip,
    n.broker_rev,
    COALESCE((SELECT array_agg(w.id ORDER BY w.id) FROM desired_proxies w WHERE w.node_id = n.id), '{}') AS ids,
    COALESCE((SELECT array_agg(w.version ORDER BY w.id) FROM desired_proxies w WHERE w.node_id = n.id), '{}')
        AS versions,
    COALESCE(
        (
            SELECT array_agg(ARRAY[r.revision, r.count] ORDER BY r.revision)
            FROM (
                SELECT revision, sum(count)::bigint AS count FROM removals
                WHERE node_id = n.id AND revision > s.rev
                GROUP BY revision ORDER BY revision DESC LIMIT :max_rows
            ) AS r
        ), '{}'
    ) AS removed,
    COALESCE(
        (
            SELECT array_agg(e.request_id ORDER BY e.id)
            FROM (
                SELECT max(id) AS id, request_id
                FROM (
                    SELECT id, at, request_id FROM events
                    WHERE node_id = n.id AND n.revision > n.sent_revision
                    ORDER BY id DESC LIMIT 20
                ) AS latest
                WHERE request_id IS NOT NULL AND at > now() - interval '1 minute'
                GROUP BY request_id ORDER BY 1 DESC LIMIT :max_requests
            ) AS e
        ), '{}'
    ) AS requests
FROM nodes n
JOIN node_status s ON s.node_id = n.id
WHERE n.id = :node_id AND EXISTS (
    SELECT FROM pg_trigger
    WHERE tgrelid = 'proxies'::regclass AND tgname = 'proxies_after_update' AND tgenabled <> 'D'
);

-- name: desired_records
SELECT n.revision, w.id, w.version, w.content, w.protocol, w.port, w.username, w.password, w.allow_ips, w.engine,
    w.exit, w.limits, w.destinations, w.also, w.tls
FROM nodes n
LEFT JOIN desired_proxies w ON w.node_id = n.id AND w.id = ANY (:ids::bigint[])
WHERE n.id = :node_id
ORDER BY w.id;

-- name: revision
SELECT revision FROM nodes WHERE id = :node_id;

-- The same figures as shared.proxies.digest and content_digest; the reader takes the sums modulo 2^64. No row while a
-- restore is under way, as in desired_list.
-- name: desired_digest
SELECT
    n.revision,
    COALESCE(sum(('x' || left(md5(w.id || ':' || w.version), 16))::bit(64)::bigint), 0)::numeric AS digest,
    COALESCE(sum(w.content), 0)::numeric AS content
FROM nodes n
LEFT JOIN desired_proxies w ON w.node_id = n.id
WHERE n.id = :node_id AND EXISTS (
    SELECT FROM pg_trigger
    WHERE tgrelid = 'proxies'::regclass AND tgname = 'proxies_after_update' AND tgenabled <> 'D'
)
GROUP BY n.revision;

-- Keep the node from being deleted, without waiting for a change of it.
-- name: lock_node_key
SELECT agent, engines, revision, broker_rev, broker_url, broker_state, broker_reason, broker_seen
FROM nodes WHERE id = :node_id FOR KEY SHARE;

-- A report older than the last one stored changes nothing. Comparing with this row shows what changed.
-- name: lock_status
SELECT online, rev, confirmed_rev, count, running, missing, failed, limited, held_rev, held_stops, held_of, session,
    number, retired_session, trouble, cpu, memory, rx_bps, tx_bps, connections, upgrade,
    tls_certificate
FROM node_status
WHERE node_id = :node_id
FOR UPDATE;

-- name: store_status
UPDATE node_status
SET online = true, reported_at = now(), rev = :rev, seen = :seen, confirmed_rev = :confirmed_rev,
    progressed_at = CASE WHEN :confirmed_rev > confirmed_rev OR :connected THEN now() ELSE progressed_at END,
    count = :count,
    running = :running, missing = :missing, failed = :failed, limited = :limited, held_rev = :held_rev,
    held_stops = :held_stops, held_of = :held_of, trouble = :trouble, session = :session,
    number = :number, cpu = :cpu, memory = :memory, rx_bps = :rx_bps, tx_bps = :tx_bps, connections = :connections,
    upgrade = :upgrade::jsonb, tls_certificate = :tls_certificate::jsonb
WHERE node_id = :node_id;

-- The figures of proxies that the node has, or had the second endpoint of. The status of the node is locked, so that
-- its reports take turns.
-- name: store_live
INSERT INTO proxy_live AS l (proxy_id, node_id, connections, rx_bps, tx_bps, at)
SELECT r.id, :node_id::bigint, r.connections, r.rx_bps, r.tx_bps, now()
FROM unnest(:ids::bigint[], :connections::bigint[], :rx_bps::bigint[], :tx_bps::bigint[])
    AS r (id, connections, rx_bps, tx_bps)
WHERE EXISTS (SELECT FROM proxies p WHERE p.id = r.id AND p.node_id = :node_id)
    OR EXISTS (SELECT FROM endpoints e WHERE e.proxy_id = r.id AND e.node_id = :node_id)
ON CONFLICT (proxy_id, node_id) DO UPDATE
SET connections = EXCLUDED.connections, rx_bps = EXCLUDED.rx_bps, tx_bps = EXCLUDED.tx_bps, at = EXCLUDED.at;

-- name: store_program
UPDATE nodes SET agent = :agent, engines = :engines WHERE id = :node_id;

-- The link by which the node was heard. A node that comes back may be asked to move at once, unless its move failed.
-- name: store_broker
UPDATE nodes
SET broker_rev = :rev, broker_url = :url, broker_state = :state::text, broker_reason = :reason,
    broker_seen = :seen,
    config_at = CASE WHEN :returned THEN '-infinity' ELSE config_at END,
    config_tries = CASE WHEN :returned THEN 0 ELSE config_tries END
WHERE id = :node_id;

-- name: lock_node
SELECT revision FROM nodes WHERE id = :node_id FOR NO KEY UPDATE;

-- name: select_broker_rev
SELECT broker_rev FROM nodes WHERE id = :node_id;

-- name: raise_revision
UPDATE nodes SET revision = GREATEST(revision, :revision) WHERE id = :node_id;

-- name: renew_versions
UPDATE proxies SET version = GREATEST(version, :above) + 1
WHERE node_id = :node_id OR id IN (SELECT proxy_id FROM endpoints WHERE node_id = :node_id);

-- name: delete_failures
DELETE FROM proxy_failures f
WHERE f.node_id = :node_id AND f.proxy_id BETWEEN :first AND :last AND f.proxy_id <> ALL (:ids::bigint[])
RETURNING f.proxy_id, f.kind;

-- name: store_failures
INSERT INTO proxy_failures AS f (proxy_id, node_id, version, reason, kind)
SELECT p.id, p.node_id, r.version, r.reason, r.kind
FROM unnest(:ids::bigint[], :versions::bigint[], :reasons::text[], :kinds::text[]) AS r (id, version, reason, kind)
JOIN proxies p ON p.id = r.id AND p.node_id = :node_id
ON CONFLICT (proxy_id) DO UPDATE
SET node_id = EXCLUDED.node_id, version = EXCLUDED.version, reason = EXCLUDED.reason, kind = EXCLUDED.kind,
    since = now()
WHERE (f.node_id, f.version, f.reason, f.kind)
    IS DISTINCT FROM (EXCLUDED.node_id, EXCLUDED.version, EXCLUDED.reason, EXCLUDED.kind)
RETURNING f.proxy_id, f.version, f.reason, f.kind;

-- name: count_failures
SELECT count(*) FILTER (WHERE kind = 'failed') AS failed, count(*) FILTER (WHERE kind <> 'failed') AS limited
FROM proxy_failures WHERE node_id = :node_id;

-- Proxies that run for the first time since they were created, moved or failed. Returns those that were not known to run
-- since they were created or failed, and serve.
-- name: mark_ran
WITH due AS (
    SELECT p.id, p.known_to_run, f.proxy_id IS NULL AS serves
    FROM proxies p
    JOIN nodes n ON n.id = p.node_id AND n.state <> 'disabled'
    LEFT JOIN proxy_failures f ON f.proxy_id = p.id
    WHERE p.node_id = :node_id AND NOT (p.ever_ran AND p.known_to_run) AND p.enabled
      AND GREATEST(p.changed_revision, n.state_revision) <= :confirmed AND f.kind IS DISTINCT FROM 'failed'
), ran AS (
    UPDATE proxies p SET ever_ran = true, known_to_run = true FROM due WHERE p.id = due.id RETURNING p.id, p.version
)
SELECT ran.id, ran.version FROM ran JOIN due USING (id) WHERE NOT due.known_to_run AND due.serves ORDER BY ran.id;

-- Proxies that failed are announced when they run again.
-- name: mark_failed
UPDATE proxies SET known_to_run = false WHERE id = ANY (:ids::bigint[]) AND known_to_run;

-- name: store_taken_ports
INSERT INTO taken_ports (node_id, port, until)
SELECT DISTINCT :node_id::bigint, COALESCE(e.port, p.port), now() + interval '1 hour'
FROM unnest(:ids::bigint[]) AS r (id)
LEFT JOIN proxies p ON p.id = r.id AND p.node_id = :node_id
LEFT JOIN endpoints e ON e.proxy_id = r.id AND e.node_id = :node_id AND e.role = 'next'
WHERE COALESCE(e.port, p.port) IS NOT NULL
ON CONFLICT (node_id, port) DO UPDATE SET until = EXCLUDED.until;

-- Proxies whose port another program has, and that never ran and may have any port.
-- name: select_movable
SELECT p.id FROM proxies p
WHERE p.node_id = :node_id AND p.id = ANY (:ids::bigint[]) AND NOT p.port_requested AND NOT p.ever_ran
    AND NOT EXISTS (SELECT FROM endpoints e WHERE e.proxy_id = p.id)
ORDER BY p.id FOR UPDATE;

-- name: notify_reported
SELECT pg_notify('maybe_reported', payload) FROM unnest(:payloads::text[]) AS r (payload);

-- name: mark_offline
UPDATE node_status SET online = false
WHERE online AND reported_at < now() - :after::interval
RETURNING node_id, reported_at;

-- name: forget_removals
DELETE FROM removals WHERE at < now() - interval '30 days';

-- Figures of proxies that have left their node, and of proxies without clients.
-- name: forget_live
DELETE FROM proxy_live WHERE at < now() - interval '1 hour';

-- name: forget_taken_ports
DELETE FROM taken_ports WHERE until < now();

-- Nodes that are shut out have no login.
-- name: select_logins
SELECT id, broker_password_hash FROM nodes WHERE shut_out_until < now();

-- name: shut_out
UPDATE nodes SET shut_out_until = now() + :seconds::interval
WHERE id = :node_id AND shut_out_until < now()
RETURNING id;
