-- name: proxies
SELECT state, count(*) AS count FROM proxy_resources GROUP BY state;

-- name: nodes
SELECT state, link, count(*) AS count FROM node_resources GROUP BY state, link;

-- How far nodes are behind the desired state.
-- name: lag
SELECT
    COALESCE(max(lag), 0)::bigint AS max, COALESCE(sum(lag), 0)::bigint AS sum,
    count(*) FILTER (WHERE lag > 0) AS nodes, count(*) FILTER (WHERE lag > 0 AND online) AS online,
    count(*) FILTER (WHERE held_rev IS NOT NULL) AS held, count(*) FILTER (WHERE trouble <> '') AS troubled,
    count(*) FILTER (WHERE tls_certificate ->> 'problem' <> '') AS certificate_problems
FROM (
    SELECT GREATEST(n.revision - s.confirmed_rev, 0) AS lag, s.online, s.held_rev, s.trouble, s.tls_certificate
    FROM nodes n JOIN node_status s ON s.node_id = n.id
) AS lags;

-- name: webhooks
SELECT
    CASE WHEN NOT w.enabled THEN 'disabled' WHEN w.failures > 0 THEN 'failing' ELSE 'active' END AS state,
    count(*) AS count, max(b.lag)::bigint AS lag
FROM webhooks w
CROSS JOIN LATERAL (
    SELECT count(*) AS lag
    FROM (SELECT FROM events e WHERE e.id > w.position AND webhook_matches(e, w) LIMIT :max_lag::bigint) AS behind
) AS b
GROUP BY 1;

-- name: agents
SELECT agent AS version, count(*) AS count FROM nodes WHERE agent <> '' GROUP BY agent;

-- Each master refreshes its row every ten seconds.
-- name: masters
SELECT version, count(*) AS count FROM masters WHERE last_seen_at > now() - interval '30 s' GROUP BY version;

-- name: upgrade
SELECT state, 1 AS count FROM upgrades WHERE id = (SELECT max(id) FROM upgrades);

-- Nodes by state in the newest upgrade.
-- name: upgrade_nodes
SELECT state, count(*) AS count
FROM upgrade_nodes
WHERE upgrade_id = (SELECT max(id) FROM upgrades)
GROUP BY state;

-- When the first certificate with which nodes serve clients that speak TLS ends.
-- name: node_certificates
SELECT
    CASE WHEN (tls_certificate ->> 'self_made')::boolean THEN 'node' ELSE 'operator' END AS maker,
    extract(epoch FROM min((tls_certificate ->> 'expires_at')::timestamptz))::double precision AS count
FROM node_status
WHERE tls_certificate IS NOT NULL
GROUP BY 1;

-- Nodes that have not moved yet, while the broker moves.
-- name: broker_move
SELECT
    l.state,
    (SELECT count(*) FROM nodes n WHERE n.broker_rev IS DISTINCT FROM l.rev OR n.broker_state = 'trial') AS count
FROM broker_links l
WHERE l.state IN ('new', 'both');
