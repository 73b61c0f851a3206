-- The database's, by which proxies end.
-- name: clock
SELECT clock_timestamp();

-- Held before any row by whoever chooses a node or changes what one takes on: of two choices the second sees the first.
-- name: lock_placement
SELECT pg_advisory_xact_lock(hashtext('maybe.placement'));

-- `used` counts the ports of the range that this ip has no more: at most so many while that leaves room, exactly when
-- it may not; `holder` is the proxy that has the asked port there.
-- name: select_candidates
WITH candidates AS (
    SELECT id, ip, state, engines ? :engine::text AS has_engine, max_proxies, port_from, port_to,
        proxy_count + (SELECT count(*) FROM endpoints e WHERE e.node_id = nodes.id AND e.role = 'next' AND e.away)
            AS proxy_count,
        addresses || exit_addresses AS local_addresses, ipv6_prefixes
    FROM nodes
    WHERE (:location_id::bigint IS NULL OR location_id = :location_id)
      AND (:node_ids::bigint[] IS NULL OR id = ANY (:node_ids))
)
SELECT
    c.id, c.state, c.has_engine, c.max_proxies, c.port_from, c.port_to, c.proxy_count AS count,
    c.local_addresses, c.ipv6_prefixes,
    strangers.used + CASE
        WHEN held.most + strangers.used <= c.port_to - c.port_from THEN held.most
        ELSE (
            SELECT count(*) FROM nodes s JOIN used_ports u ON u.node_id = s.id
            WHERE s.ip = c.ip AND u.port BETWEEN c.port_from AND c.port_to
        )
    END AS used,
    holder.id AS holder, holder.node_id AS holder_node
FROM candidates c
CROSS JOIN LATERAL (SELECT sum(s.proxy_count) AS most FROM nodes s WHERE s.ip = c.ip) AS held
CROSS JOIN LATERAL (
    SELECT count(*) AS used FROM taken_ports t
    WHERE t.node_id = c.id AND t.until > now() AND t.port BETWEEN c.port_from AND c.port_to
      AND NOT EXISTS (
          SELECT FROM nodes s JOIN used_ports u ON u.node_id = s.id WHERE s.ip = c.ip AND u.port = t.port
      )
) AS strangers
LEFT JOIN LATERAL (
    SELECT u.proxy_id AS id, u.node_id
    FROM nodes s JOIN used_ports u ON u.node_id = s.id AND u.port = :port::integer
    WHERE s.ip = c.ip
    LIMIT 1
) AS holder ON :port::integer IS NOT NULL;

-- name: lowest_free_port
SELECT lowest_free_port(:node_id::bigint);

-- name: port_holder
-- The proxy that has this port on the ip of this node.
SELECT u.proxy_id AS id, u.node_id
FROM nodes n
JOIN nodes s ON s.ip = n.ip
JOIN used_ports u ON u.node_id = s.id AND u.port = :port
WHERE n.id = :node_id
LIMIT 1;

-- name: insert
INSERT INTO proxies (
    name, node_id, port, port_requested, protocol, username, password, allow_ips, engine, enabled, labels, exit, limits,
    destinations
)
VALUES (
    :name, :node_id, :port, :port_requested, :protocol, :username, :password, :allow_ips::text[], :engine, :enabled,
    :labels::jsonb, :exit::jsonb, :limits::jsonb, :destinations::jsonb
)
RETURNING id;

-- name: select_one
SELECT
    id, name, node_id, port, protocol, username, password, allow_ips, engine, enabled, labels, exit, limits, destinations,
    version, changed_revision, created_at, updated_at, location_id, host, node_state, state, reason,
    observed_version, observed_at, COALESCE(rotation, '{}') AS rotation, next_at, stack_id
FROM proxy_resources
LEFT JOIN schedule_resources ON proxy_id = id
WHERE id = :id;

-- name: select_page
-- Those that match, in order; without a limit all of them.
SELECT
    id, name, node_id, port, protocol, username, password, allow_ips, engine, enabled, labels, exit, limits, destinations,
    version, changed_revision, created_at, updated_at, location_id, host, node_state, state, reason,
    observed_version, observed_at, COALESCE(rotation, '{}') AS rotation, next_at, stack_id
FROM proxy_resources
LEFT JOIN schedule_resources ON proxy_id = id
WHERE id > :after::bigint
  AND (:node_ids::bigint[] IS NULL OR node_id = ANY (:node_ids))
  AND (:location_id::bigint IS NULL OR location_id = :location_id)
  AND (:node_id::bigint IS NULL OR node_id = :node_id)
  AND (:stack_id::bigint IS NULL OR stack_id = :stack_id)
  AND (:protocol::text IS NULL OR protocol = :protocol)
  AND (:engine::text IS NULL OR engine = :engine)
  AND (:enabled::boolean IS NULL OR enabled = :enabled)
  AND (:state::text IS NULL OR state = :state)
  AND (:port::integer IS NULL OR port = :port)
  AND (:name::text IS NULL OR name = :name)
  AND (:username::text IS NULL OR username = :username)
  AND labels @> ALL (:labels::jsonb[])
ORDER BY id
LIMIT :limit::bigint;

-- name: update
-- Each row takes all of its new settings; the triggers raise versions and revisions of what really differs.
UPDATE proxies p
SET name = r.name, port = r.port, port_requested = p.port_requested OR p.port <> r.port, protocol = r.protocol,
    username = r.username, password = r.password, allow_ips = r.allow_ips, engine = r.engine, enabled = r.enabled,
    labels = r.labels, exit = r.exit, limits = r.limits, destinations = r.destinations
FROM jsonb_to_recordset(:rows::jsonb) AS r (
    id bigint, name text, port integer, protocol text, username text, password text, allow_ips text[], engine text,
    enabled boolean, labels jsonb, exit jsonb, limits jsonb, destinations jsonb
)
WHERE p.id = r.id
RETURNING p.id, p.version;

-- name: delete
DELETE FROM proxies WHERE id = ANY (:ids::bigint[]);

-- name: all_settled
-- Whether every one of these, that is still there, has a state that its node has confirmed.
SELECT NOT EXISTS (SELECT FROM proxy_resources WHERE id = ANY (:ids::bigint[]) AND state IN ('pending', 'unknown'));

-- Each of these gets one of the lowest free ports, as far as there are some; the node and its ip are locked.
-- name: move_ports
WITH free AS (
    SELECT port, row_number() OVER (ORDER BY port) AS place
    FROM free_ports(:node_id)
    ORDER BY port
    LIMIT cardinality(:ids::bigint[])
), movers AS (
    SELECT p.id, p.port, row_number() OVER (ORDER BY p.id) AS place
    FROM proxies p
    WHERE p.id = ANY (:ids) AND p.node_id = :node_id
)
UPDATE proxies p
SET port = free.port
FROM movers
JOIN free USING (place)
WHERE p.id = movers.id
RETURNING p.id, movers.port AS before, p.port, p.version;
