-- name: select_one
SELECT
    id, name, ip, location_id, labels, state, max_proxies, port_from, port_to, engines, host, os, addresses, agent,
    revision, created_at, updated_at, link, rev, confirmed_rev, count, running, failed, missing, held_rev, held_stops,
    held_of, reported_at, limited, exit_addresses, ipv6_prefixes, moving,
    (SELECT trouble FROM node_status s WHERE s.node_id = id) AS trouble
FROM node_resources
LEFT JOIN drain_progress ON node_id = id
WHERE id = :id;

-- name: select_page
SELECT
    id, name, ip, location_id, labels, state, max_proxies, port_from, port_to, engines, host, os, addresses, agent,
    revision, created_at, updated_at, link, rev, confirmed_rev, count, running, failed, missing, held_rev, held_stops,
    held_of, reported_at, limited, exit_addresses, ipv6_prefixes, moving,
    (SELECT trouble FROM node_status s WHERE s.node_id = id) AS trouble
FROM node_resources
LEFT JOIN drain_progress ON node_id = id
WHERE id > :after::bigint
  AND (:location_id::bigint IS NULL OR location_id = :location_id)
  AND (:state::text IS NULL OR state = :state)
  AND (:online::boolean IS NULL OR online = :online)
  AND (:name::text IS NULL OR name = :name)
  AND (:ip::text IS NULL OR ip = :ip)
  AND labels @> ALL (:labels::jsonb[])
ORDER BY id
LIMIT :limit::bigint;

-- Every write of proxies locks the rows of their nodes first, in the order of their ids.
-- name: lock
SELECT id, name, ip, location_id, labels, state, max_proxies, port_from, port_to, engines,
    addresses || exit_addresses AS local_addresses, ipv6_prefixes
FROM nodes
WHERE id = ANY (:ids::bigint[])
ORDER BY id
FOR NO KEY UPDATE;

-- Nodes on which these proxies are or, for as long as they are rotated, also are.
-- name: select_of_proxies
SELECT node_id FROM proxies WHERE id = ANY (:proxy_ids::bigint[])
UNION
SELECT node_id FROM endpoints WHERE proxy_id = ANY (:proxy_ids)
ORDER BY node_id;

-- Before a deletion or another name, which reports must not come between.
-- name: lock_wholly
SELECT id, name, ip, location_id, labels, state, max_proxies, port_from, port_to, engines, addresses, exit_addresses,
    ipv6_prefixes
FROM nodes
WHERE id = :id
FOR UPDATE;

-- Held after the node's row by whoever gives one of its ports away: (ip, port) stays unique over nodes that share an ip.
-- name: lock_ip
SELECT pg_advisory_xact_lock(hashtext('maybe.ip'), hashtext(:ip::text));

-- name: update
UPDATE nodes
SET name = :name, ip = :ip, location_id = :location_id, labels = :labels::jsonb, state = :state,
    max_proxies = :max_proxies, port_from = :port_from, port_to = :port_to, exit_addresses = :exit_addresses::text[],
    ipv6_prefixes = :ipv6_prefixes::text[], updated_at = now()
WHERE id = :id;

-- name: select_exits
-- Exits other than the default that proxies of this node ask for, each once, with how many ask.
SELECT exit, count(*) AS count FROM proxies WHERE node_id = :id AND exit <> '{}' GROUP BY exit ORDER BY min(id);

-- name: count_proxies_outside
SELECT count(*) FROM proxies WHERE node_id = :id AND port NOT BETWEEN :port_from AND :port_to;

-- name: select_shared_ports
-- Ports of this node's proxies that another node uses on that ip already.
SELECT mine.port, theirs.proxy_id AS by_proxy, theirs.node_id
FROM used_ports mine
JOIN used_ports theirs ON theirs.port = mine.port AND theirs.node_id <> mine.node_id
JOIN nodes n ON n.id = theirs.node_id AND n.ip = :ip
WHERE mine.node_id = :id
ORDER BY mine.port;

-- name: insert_removals
-- Told to the wipe guard: so many went on purpose at the node's present revision.
INSERT INTO removals (node_id, revision, count)
SELECT n.id, n.revision, gone.count
FROM unnest(:ids::bigint[], :counts::bigint[]) AS gone (id, count)
JOIN nodes n ON n.id = gone.id;

-- name: count_wanted
SELECT count(*) FROM proxies WHERE node_id = :id AND enabled;

-- name: delete
DELETE FROM nodes WHERE id = :id;

-- name: select_known_locations
SELECT id FROM locations WHERE id = ANY (:ids::bigint[]) FOR KEY SHARE;

-- name: select_known
SELECT id FROM nodes WHERE id = ANY (:ids::bigint[]);

-- name: all_confirmed
-- Whether each node has confirmed its revision; one that is no longer there has nothing to confirm.
SELECT NOT EXISTS (
    SELECT FROM unnest(:ids::bigint[], :revisions::bigint[]) AS asked (node_id, revision)
    JOIN node_status s ON s.node_id = asked.node_id
    WHERE s.confirmed_rev < asked.revision
);

-- name: select_revisions
SELECT id, revision FROM nodes WHERE id = ANY (:ids::bigint[]);
