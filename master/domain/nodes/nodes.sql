-- A node as the API shows it.
-- part: resource
id, name, ip, location_id, labels, state, max_proxies, port_from, port_to, engines, host, os, addresses, agent,
revision, created_at, updated_at, link, rev, confirmed_rev, count, running, failed, missing, held_rev, held_stops,
held_of, reported_at, limited, exit_addresses, ipv6_prefixes, moving, load, pinned_version, upgrade, tls_certificate,
broker,
(SELECT trouble FROM node_status s WHERE s.node_id = id) AS trouble

-- name: select_one
SELECT
    {nodes.resource}
FROM node_resources
LEFT JOIN drain_progress ON node_id = id
WHERE id = :id;

-- The conditions of a filter of nodes, for statements over `node_resources` that select no other `id`.
-- part: matching
  {filters.matching}
  AND (:location_id::bigint[] IS NULL OR location_id = ANY (:location_id))
  AND (:state::text[] IS NULL OR state = ANY (:state))
  AND (:link::text[] IS NULL OR link = ANY (:link))
  AND (:name::text[] IS NULL OR name = ANY (:name))
  AND (:ip::text[] IS NULL OR ip = ANY (:ip))
  AND (:q::text IS NULL OR id::text = :q OR starts_with(sort_name, lower(:q)) OR starts_with(ip, lower(:q))
      OR starts_with(lower(host), lower(:q)))
  AND (:not_location_id::bigint[] IS NULL OR (location_id = ANY (:not_location_id)) IS NOT TRUE)
  AND (:not_state::text[] IS NULL OR state <> ALL (:not_state))
  AND (:not_link::text[] IS NULL OR link <> ALL (:not_link))
  AND (:not_name::text[] IS NULL OR name <> ALL (:not_name))
  AND (:not_ip::text[] IS NULL OR ip <> ALL (:not_ip))

-- name: select_page
-- sort: id
-- sort: name = sort_name::text
-- sort: created_at::timestamptz
-- sort: updated_at::timestamptz
SELECT
    {nodes.resource}, {key} AS sort_key
FROM node_resources
LEFT JOIN drain_progress ON node_id = id
WHERE true
  AND {beyond}
  {nodes.matching}
ORDER BY {order}
LIMIT :limit::bigint;

-- Counts of nodes that match, by up to three groups, the largest first. Groups that are not wanted are NULL.
-- name: count
SELECT
    CASE WHEN :by_state::boolean THEN state END AS state,
    CASE WHEN :by_link::boolean THEN link END AS link,
    CASE WHEN :by_location::boolean THEN location_id END AS location_id,
    CASE WHEN :by_label_1::boolean THEN labels ->> :label_1::text END AS label_1,
    CASE WHEN :by_label_2::boolean THEN labels ->> :label_2::text END AS label_2,
    CASE WHEN :by_label_3::boolean THEN labels ->> :label_3::text END AS label_3,
    count(*) AS count,
    (sum(count(*)) OVER ())::bigint AS total
FROM node_resources
WHERE true
  {nodes.matching}
GROUP BY 1, 2, 3, 4, 5, 6
ORDER BY count DESC, 1, 2, 3, 4, 5, 6
LIMIT :limit::bigint;

-- Taken before a node is deleted or renamed: no report may come between.
-- name: lock_for_update
SELECT id, name, ip, location_id, labels, state, max_proxies, port_from, port_to, engines, addresses, exit_addresses,
    ipv6_prefixes, pinned_version
FROM nodes
WHERE id = :id
FOR UPDATE;

-- name: update
UPDATE nodes
SET name = :name, ip = :ip, location_id = :location_id, labels = :labels::jsonb, state = :state,
    max_proxies = :max_proxies, port_from = :port_from, port_to = :port_to, exit_addresses = :exit_addresses::text[],
    ipv6_prefixes = :ipv6_prefixes::text[], pinned_version = :pinned_version::text, updated_at = now()
WHERE id = :id;

-- Exits other than the default that proxies of this node use, each once, with the number of proxies.
-- name: select_exits
SELECT exit, count(*) AS count FROM proxies WHERE node_id = :id AND exit <> '{}' GROUP BY exit ORDER BY min(id);

-- name: count_proxies_outside
SELECT count(*) FROM proxies WHERE node_id = :id AND port NOT BETWEEN :port_from AND :port_to;

-- Ports of this node's proxies that another node already uses on that ip.
-- name: select_shared_ports
SELECT mine.port, theirs.proxy_id AS by_proxy, theirs.node_id
FROM used_ports mine
JOIN used_ports theirs ON theirs.port = mine.port AND theirs.node_id <> mine.node_id
JOIN nodes n ON n.id = theirs.node_id AND n.ip = :ip
WHERE mine.node_id = :id
ORDER BY mine.port;

-- name: count_enabled
SELECT count(*) FROM proxies WHERE node_id = :id AND enabled;

-- name: delete
DELETE FROM nodes WHERE id = :id;

-- name: select_login
SELECT broker_password_hash FROM nodes WHERE id = :node_id AND shut_out_until < now();
