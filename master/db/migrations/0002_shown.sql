-- Proxies and nodes as the API shows them, and where a new proxy finds its port.

-- Proxies as the API shows them: what is wanted, beside what the node's latest word makes of it. The one place where a
-- proxy's state is derived.

-- `due` is the revision that the node must have confirmed for its word to count: the one that carries the proxy's
-- last change, or the one at which the node itself was enabled or disabled.
CREATE VIEW shown_proxies AS
SELECT
    p.id, p.name, p.node_id, p.port, p.protocol, p.username, p.password, p.allow_ips, p.engine, p.enabled, p.labels,
    p.version, p.changed_revision, p.created_at, p.updated_at,
    n.location_id, n.ip AS host, n.state AS node_state,
    told.state,
    CASE told.state
        WHEN 'stopped' THEN told.off
        WHEN 'failed' THEN f.reason
        WHEN 'unknown' THEN
            format('node %s has not reported since %s', n.id, to_char(s.reported_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24":"MI":"SS"Z"'))
        WHEN 'pending' THEN CASE
            WHEN NOT told.reported THEN format('node %s has not reported yet', n.id)
            WHEN s.held_rev IS NOT NULL THEN format(
                'node %s holds back a list that would stop %s of its %s proxies until it is confirmed',
                n.id, s.held_stops, s.held_of
            )
            WHEN NOT s.online THEN format('node %s is offline', n.id)
        END
    END AS reason,
    CASE WHEN told.state = 'running' THEN p.version END AS observed_version,
    CASE WHEN told.reported THEN s.reported_at END AS observed_at
FROM proxies p
JOIN nodes n ON n.id = p.node_id
JOIN node_status s ON s.node_id = p.node_id
LEFT JOIN proxy_failures f ON f.proxy_id = p.id AND f.version = p.version
CROSS JOIN LATERAL (
    SELECT
        s.session > 0 AS reported,
        s.confirmed_rev >= GREATEST(p.changed_revision, n.state_revision) AS confirmed,
        CASE
            WHEN NOT p.enabled THEN 'disabled'
            WHEN n.state = 'disabled' THEN format('node %s is disabled', n.id)
        END AS off
) AS seen
CROSS JOIN LATERAL (
    SELECT
        seen.reported,
        seen.off,
        CASE
            WHEN seen.off IS NOT NULL AND seen.confirmed THEN 'stopped'
            WHEN seen.off IS NOT NULL OR NOT seen.reported THEN 'pending'
            WHEN NOT s.online THEN 'unknown'
            WHEN f.reason IS NOT NULL THEN 'failed'
            WHEN seen.confirmed THEN 'running'
            ELSE 'pending'
        END AS state
) AS told;

-- Nodes as the API shows them.
CREATE VIEW shown_nodes AS
SELECT
    n.id, n.name, n.ip, n.location_id, n.labels, n.state, n.max_proxies, n.port_from, n.port_to, n.engines, n.host,
    n.os, n.addresses, n.agent, n.revision, n.created_at, n.updated_at,
    CASE WHEN s.session = 0 THEN 'never_reported' WHEN s.online THEN 'online' ELSE 'offline' END AS link,
    s.online, s.rev, s.confirmed_rev, s.count, s.running, s.failed, s.missing, s.held_rev, s.held_stops, s.held_of,
    CASE WHEN s.session > 0 THEN s.reported_at END AS reported_at
FROM nodes n
JOIN node_status s ON s.node_id = n.id;

-- The lowest port of the node's range that no proxy on its ip and no stranger has; NULL when there is none. Halving the
-- range by counts reads each used port about once, and next to nothing when there are few.
CREATE FUNCTION lowest_free_port(of_node bigint) RETURNS integer LANGUAGE plpgsql STABLE AS $$
DECLARE
    low integer;
    high integer;
    middle integer;
    used integer;
    neighbours bigint[];
BEGIN
    SELECT n.port_from, n.port_to, (SELECT array_agg(s.id) FROM nodes s WHERE s.ip = n.ip)
    INTO low, high, neighbours
    FROM nodes n WHERE n.id = of_node;
    WHILE low <= high LOOP
        middle := (low + high) / 2;
        used := (
            SELECT count(*) FROM proxies p WHERE p.node_id = ANY (neighbours) AND p.port BETWEEN low AND middle
        ) + (
            SELECT count(*) FROM taken_ports t
            WHERE t.node_id = of_node AND t.until > now() AND t.port BETWEEN low AND middle
              AND NOT EXISTS (SELECT FROM proxies p WHERE p.node_id = ANY (neighbours) AND p.port = t.port)
        );
        IF used > middle - low THEN
            low := middle + 1;
        ELSIF low = high THEN
            RETURN low;
        ELSE
            high := middle;
        END IF;
    END LOOP;
    RETURN NULL;
END $$;
