-- name: insert
INSERT INTO stacks (name, spread, proxy, labels) VALUES (:name, :spread, :proxy::jsonb, :labels::jsonb)
RETURNING id;

-- Each stack with the number of its proxies in each state.
-- name: select_page
-- sort: id
-- sort: name = sort_name::text
-- sort: created_at::timestamptz
-- sort: updated_at::timestamptz
SELECT
    id, name, count, spread, proxy, labels, version, created_at, updated_at,
    (
        SELECT COALESCE(jsonb_object_agg(of.state, of.count), '{}')
        FROM (SELECT state, count(*) AS count FROM proxy_resources p WHERE p.stack_id = s.id GROUP BY state) AS of
    ) AS states,
    {key} AS sort_key
FROM (SELECT *, lower(name) COLLATE "C" AS sort_name FROM stacks) AS s
WHERE true
  AND {beyond}
  {filters.matching_named}
ORDER BY {order}
LIMIT :limit::bigint;

-- name: select_one
SELECT id, name, count, spread, proxy, labels, version FROM stacks WHERE id = :id;

-- name: select_named
SELECT id, name, count, spread, proxy, labels, version FROM stacks WHERE name = :name;

-- Writes of one stack wait for each other here, before they lock anything else.
-- name: lock
SELECT pg_advisory_xact_lock(hashtext('maybe.stack'), hashtext(:id::bigint::text));

-- A stack that is put by a name waits for another one that is put by the same.
-- name: lock_name
SELECT pg_advisory_xact_lock(hashtext('maybe.stack_name'), hashtext(:name::text));

-- name: update
UPDATE stacks
SET name = :name, spread = :spread, proxy = :proxy::jsonb, labels = :labels::jsonb, version = version + 1,
    updated_at = now()
WHERE id = :id;

-- name: delete
DELETE FROM stacks WHERE id = :id;

-- Nodes that have proxies of a stack or, during a rotation, their second endpoints.
-- name: select_nodes
SELECT node_id FROM proxies WHERE stack_id = :id
UNION
SELECT e.node_id FROM proxies p JOIN endpoints e ON e.proxy_id = p.id WHERE p.stack_id = :id;

-- `own` counts the proxies that the stack has there.
-- name: select_candidates
WITH own AS (
    SELECT node_id, count(*) AS count FROM public.proxies WHERE stack_id = :stack_id::bigint GROUP BY node_id
)
SELECT
    c.id, c.ip, c.location_id, c.state, c.engines ? :engine::text AS has_engine, c.max_proxies, c.port_from, c.port_to,
    c.proxy_count AS count, c.local_addresses, c.ipv6_prefixes, COALESCE(own.count, 0) AS own, ports.used
FROM public.candidate_nodes c
LEFT JOIN own ON own.node_id = c.id
CROSS JOIN LATERAL ports_in_use(c.id, :new_count::bigint) AS ports
WHERE c.id = ANY (:node_ids::bigint[])
ORDER BY c.id;

-- Taken after the nodes' rows before ports of several nodes are given away, in one order.
-- name: lock_ips
SELECT pg_advisory_xact_lock(hashtext('maybe.ip'), key)
FROM (SELECT DISTINCT hashtext(ip) AS key FROM unnest(:ips::text[]) AS ip ORDER BY key) AS keys;

-- name: lowest_free_ports
SELECT node_id, array_agg(port ORDER BY port) AS ports
FROM lowest_free_ports(:node_ids::bigint[], :counts::integer[])
GROUP BY node_id;

-- In the given order, so that proxies placed last get the highest ids.
-- name: insert_proxies
WITH created AS (
    INSERT INTO proxies (
        stack_id, node_id, port, protocol, username, password, allow_ips, engine, enabled, labels, exit, limits,
        destinations, tls
    )
    SELECT
        :stack_id, r.node_id, r.port, :protocol, r.username, r.password, :allow_ips::text[], :engine, :enabled,
        :labels::jsonb, :exit::jsonb, :limits::jsonb, :destinations::jsonb, :tls
    FROM unnest(:node_ids::bigint[], :ports::integer[], :usernames::text[], :passwords::text[])
        WITH ORDINALITY AS r (node_id, port, username, password, place)
    ORDER BY r.place
    RETURNING id
)
SELECT array_agg(id ORDER BY id) FROM created;

-- name: insert_created_events
INSERT INTO public.events (type, actor, request_id, node_id, proxy_id, stack_id, location_id, details)
SELECT
    'proxy.created', :actor::text, :request_id::text, p.node_id, p.id, p.stack_id, n.location_id,
    jsonb_build_object('port', p.port, 'protocol', p.protocol, 'version', p.version)
FROM public.proxies p
JOIN public.nodes n ON n.id = p.node_id
WHERE p.id = ANY (:ids::bigint[])
ORDER BY p.id;
