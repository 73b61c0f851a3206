-- Taken before any row by a transaction that chooses a node or changes what one can take, so that a second choice sees
-- the first. There are 64 locks, and nodes that share an ip share one: choices among other nodes do not wait.
-- name: lock
SELECT pg_advisory_xact_lock(hashtext('maybe.placement'), key) FROM generate_series(0, 63) AS key;

-- name: lock_some
SELECT pg_advisory_xact_lock(hashtext('maybe.placement'), key)
FROM (SELECT DISTINCT hashtext(ip) & 63 AS key FROM public.nodes WHERE id = ANY (:ids::bigint[]) ORDER BY key) AS keys;

-- name: select_ids
SELECT id FROM public.nodes
WHERE (:location_ids::bigint[] IS NULL OR location_id = ANY (:location_ids))
  AND (:node_ids::bigint[] IS NULL OR id = ANY (:node_ids));

-- Every write of proxies locks the rows of their nodes first, in the order of their ids.
-- name: lock_nodes
SELECT id, name, ip, location_id, labels, state, max_proxies, port_from, port_to, engines,
    addresses || exit_addresses AS local_addresses, ipv6_prefixes
FROM public.nodes
WHERE id = ANY (:ids::bigint[])
ORDER BY id
FOR NO KEY UPDATE;

-- Taken after the node's row before one of its ports is given away: (ip, port) stays unique over nodes that share an
-- ip.
-- name: lock_ip
SELECT pg_advisory_xact_lock(hashtext('maybe.ip'), hashtext(:ip::text));

-- Nodes that have these proxies or, during a rotation, their second endpoints.
-- name: select_nodes_of_proxies
SELECT node_id FROM proxies WHERE id = ANY (:proxy_ids::bigint[])
UNION
SELECT node_id FROM endpoints WHERE proxy_id = ANY (:proxy_ids)
ORDER BY node_id;

-- Locations that exist, kept until the transaction ends.
-- name: select_locations
SELECT id FROM locations WHERE id = ANY (:ids::bigint[]) FOR KEY SHARE;

-- name: select_nodes
SELECT id FROM nodes WHERE id = ANY (:ids::bigint[]);

-- `holder` is the proxy that has the requested port there.
-- name: select_candidates
SELECT
    c.id, c.state, c.engines ? :engine::text AS has_engine, c.max_proxies, c.port_from, c.port_to,
    c.proxy_count AS count, c.local_addresses, c.ipv6_prefixes, ports.used,
    holder.id AS holder, holder.node_id AS holder_node
FROM public.candidate_nodes c
CROSS JOIN LATERAL ports_in_use(c.id, 1) AS ports
LEFT JOIN LATERAL (
    SELECT u.proxy_id AS id, u.node_id
    FROM public.nodes s JOIN public.used_ports u ON u.node_id = s.id AND u.port = :port::integer
    WHERE s.ip = c.ip
    LIMIT 1
) AS holder ON :port::integer IS NOT NULL
WHERE (:location_id::bigint IS NULL OR c.location_id = :location_id)
  AND (:node_ids::bigint[] IS NULL OR c.id = ANY (:node_ids));

-- name: lowest_free_port
SELECT lowest_free_port(:node_id::bigint);

-- The proxy that has this port on the ip of this node.
-- name: port_holder
SELECT u.proxy_id AS id, u.node_id
FROM public.nodes n
JOIN public.nodes s ON s.ip = n.ip
JOIN public.used_ports u ON u.node_id = s.id AND u.port = :port
WHERE n.id = :node_id
LIMIT 1;
