-- name: proxies
SELECT state, count(*) AS count FROM proxy_resources GROUP BY state;

-- name: nodes
SELECT state, link, count(*) AS count FROM node_resources GROUP BY state, link;

-- How far nodes are behind the desired state.
-- name: lag
SELECT
    COALESCE(max(lag), 0)::bigint AS max, COALESCE(sum(lag), 0)::bigint AS sum,
    count(*) FILTER (WHERE lag > 0) AS nodes, count(*) FILTER (WHERE held_rev IS NOT NULL) AS held
FROM (SELECT GREATEST(revision - confirmed_rev, 0) AS lag, held_rev FROM node_resources) AS lags;

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

-- Nodes by state in the newest upgrade.
-- name: upgrade_nodes
SELECT state, count(*) AS count
FROM upgrade_nodes
WHERE upgrade_id = (SELECT max(id) FROM upgrades)
GROUP BY state;
