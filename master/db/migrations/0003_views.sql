-- Views, and the functions that read them: ports, the record of a proxy that a node gets, endpoints, resources as the
-- API shows them, and the steps of rotations.

-- Ports

-- Every port that a proxy or a second endpoint has, each once.
CREATE VIEW used_ports AS
SELECT node_id, port, id AS proxy_id FROM proxies
UNION ALL
SELECT e.node_id, e.port, e.proxy_id
FROM endpoints e
WHERE NOT EXISTS (SELECT FROM proxies p WHERE p.node_id = e.node_id AND p.port = e.port);

-- All ports of the node's range that are free on its ip: not used there, and not taken by another program.
CREATE FUNCTION free_ports(of_node bigint) RETURNS TABLE (port integer) LANGUAGE sql STABLE AS $$
    SELECT ports.port
    FROM public.nodes n
    CROSS JOIN LATERAL generate_series(n.port_from, n.port_to) AS ports (port)
    WHERE n.id = of_node
    EXCEPT
    SELECT u.port
    FROM public.nodes n
    JOIN public.nodes s ON s.ip = n.ip
    JOIN public.used_ports u ON u.node_id = s.id
    WHERE n.id = of_node
    EXCEPT
    SELECT t.port FROM public.taken_ports t WHERE t.node_id = of_node AND t.until > now()
$$;

-- How many ports of the node's range are not free on its ip: an upper bound, which is quick, while that leaves room for
-- `new_count` proxies, and exact otherwise.
CREATE FUNCTION ports_in_use(of_node bigint, new_count bigint) RETURNS TABLE (used bigint) LANGUAGE sql STABLE AS $$
    SELECT foreign_ports.used + CASE
        WHEN on_ip.proxies + foreign_ports.used + new_count <= n.port_to - n.port_from + 1 THEN on_ip.proxies
        ELSE (
            SELECT count(*) FROM public.nodes s JOIN public.used_ports u ON u.node_id = s.id
            WHERE s.ip = n.ip AND u.port BETWEEN n.port_from AND n.port_to
        )
    END
    FROM public.nodes n
    CROSS JOIN LATERAL (
        SELECT (SELECT sum(s.proxy_count) FROM public.nodes s WHERE s.ip = n.ip)
            + (SELECT count(*) FROM public.nodes s JOIN public.endpoints e ON e.node_id = s.id WHERE s.ip = n.ip)
            AS proxies
    ) AS on_ip
    CROSS JOIN LATERAL (
        SELECT count(*) AS used FROM public.taken_ports t
        WHERE t.node_id = n.id AND t.until > now() AND t.port BETWEEN n.port_from AND n.port_to
          AND NOT EXISTS (
              SELECT FROM public.nodes s JOIN public.used_ports u ON u.node_id = s.id
              WHERE s.ip = n.ip AND u.port = t.port
          )
    ) AS foreign_ports
    WHERE n.id = of_node
$$;

-- Nodes as placement reads them. Proxies that are moving to a node count there.
CREATE VIEW candidate_nodes AS
SELECT
    id, ip, location_id, state, engines, max_proxies, port_from, port_to,
    proxy_count + (SELECT count(*) FROM endpoints e WHERE e.node_id = nodes.id AND e.role = 'next' AND e.away)
        AS proxy_count,
    addresses || exit_addresses AS local_addresses, ipv6_prefixes
FROM nodes;

-- The lowest free port of the node's range, or NULL when there is none. Halving the range by counts reads each used
-- port about once, and next to nothing when there are few.
CREATE FUNCTION lowest_free_port(of_node bigint) RETURNS integer LANGUAGE plpgsql STABLE AS $$
DECLARE
    low integer;
    high integer;
    middle integer;
    used integer;
    neighbours bigint[];
BEGIN
    SELECT n.port_from, n.port_to, (SELECT array_agg(s.id) FROM public.nodes s WHERE s.ip = n.ip)
    INTO low, high, neighbours
    FROM public.nodes n WHERE n.id = of_node;
    WHILE low <= high LOOP
        middle := (low + high) / 2;
        used := (
            SELECT count(*) FROM public.used_ports u
            WHERE u.node_id = ANY (neighbours) AND u.port BETWEEN low AND middle
        ) + (
            SELECT count(*) FROM public.taken_ports t
            WHERE t.node_id = of_node AND t.until > now() AND t.port BETWEEN low AND middle
              AND NOT EXISTS (SELECT FROM public.used_ports u WHERE u.node_id = ANY (neighbours) AND u.port = t.port)
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

-- The lowest free ports of many nodes at once, `counts` of each. Nodes that share an ip share its ports: the node whose
-- range ends first chooses first, which leaves most to the others. Where too few are free, fewer rows are returned.
CREATE FUNCTION lowest_free_ports(of_nodes bigint[], counts integer[]) RETURNS TABLE (node_id bigint, port integer)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
    demand record;
    neighbours bigint[];
    used integer[];
    found integer[];
    given integer[] := '{}';
    given_on text := '';
BEGIN
    FOR demand IN
        SELECT n.id, n.ip, n.port_from, n.port_to, a.count
        FROM unnest(of_nodes, counts) AS a (id, count)
        JOIN public.nodes n ON n.id = a.id
        ORDER BY n.ip, n.port_to, n.id
    LOOP
        IF demand.ip <> given_on THEN
            given := '{}';
            given_on := demand.ip;
        END IF;
        neighbours := ARRAY(SELECT s.id FROM public.nodes s WHERE s.ip = demand.ip);
        used := ARRAY(
            SELECT u.port FROM public.used_ports u
            WHERE u.node_id = ANY (neighbours) AND u.port BETWEEN demand.port_from AND demand.port_to
            UNION
            SELECT t.port FROM public.taken_ports t WHERE t.node_id = demand.id AND t.until > now()
            UNION
            SELECT unnest(given)
        );
        found := ARRAY(
            SELECT p.port
            FROM generate_series(
                demand.port_from, LEAST(demand.port_to, demand.port_from + cardinality(used) + demand.count - 1)
            ) AS p (port)
            EXCEPT
            SELECT unnest(used)
            ORDER BY 1
            LIMIT demand.count
        );
        given := given || found;
        RETURN QUERY SELECT demand.id, unnest(found);
    END LOOP;
END $$;

-- Records: what each node has to run

-- A second endpoint on the proxy's own node is a further port and login of the same record.
CREATE FUNCTION further_endpoint(e endpoints) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT CASE
        WHEN e.proxy_id IS NULL THEN '[]'::jsonb
        ELSE jsonb_build_array(jsonb_build_object('port', e.port, 'username', e.username, 'password', e.password))
    END
$$;

-- The checksum of a record. Empty `destinations` and `tls` of false are left out, as they are in the record.
CREATE FUNCTION record_checksum(
    p proxies, port integer, username text, password text, exit jsonb, also jsonb
) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT ('x' || left(md5((jsonb_build_array(
        p.id, p.protocol, port, username, password, p.allow_ips, p.engine, exit, p.limits, also
    ) || CASE p.destinations WHEN '{}' THEN '[]' ELSE jsonb_build_array(p.destinations) END
      || CASE WHEN p.tls THEN '["tls"]' ELSE '[]'::jsonb END)::text), 16))
        ::bit(64)::bigint
$$;

-- The records of all nodes. On another node than the proxy's, its second endpoint is a record of its own.
CREATE VIEW desired_proxies AS
SELECT
    p.id, p.node_id, p.version, p.content, p.protocol, p.port, p.username, p.password, p.allow_ips, p.engine,
    exit_for_node(p.exit, n.ipv6_prefixes, n.exit_key) AS exit, p.limits, further_endpoint(e) AS also, p.destinations,
    p.tls
FROM proxies p
JOIN nodes n ON n.id = p.node_id
LEFT JOIN endpoints e ON e.proxy_id = p.id AND e.node_id = p.node_id
WHERE p.enabled AND n.state <> 'disabled'
UNION ALL
SELECT
    p.id, e.node_id, p.version, record_checksum(p, e.port, e.username, e.password, there.exit, '[]'), p.protocol,
    e.port, e.username, e.password, p.allow_ips, p.engine, there.exit, p.limits, '[]'::jsonb, p.destinations,
    p.tls
FROM endpoints e
JOIN proxies p ON p.id = e.proxy_id AND p.node_id <> e.node_id
JOIN nodes n ON n.id = e.node_id
CROSS JOIN LATERAL (SELECT exit_for_node(e.exit, n.ipv6_prefixes, n.exit_key) AS exit) AS there
WHERE p.enabled AND n.state <> 'disabled';

-- Endpoints

-- Every place where a proxy serves now: its own and, during a rotation, its second endpoint.
CREATE VIEW current_endpoints AS
SELECT
    at.proxy_id, at.name, at.node_id, n.ip, at.port, at.username, mode.of AS exit_mode,
    CASE mode.of WHEN 'default' THEN n.ip WHEN 'address' THEN at.exit ->> 'address' END AS exit_address,
    CASE WHEN mode.of IN ('ipv6_random', 'ipv6_session') THEN COALESCE(at.exit ->> 'prefix', n.ipv6_prefixes[1]) END
        AS exit_prefix
FROM (
    SELECT id AS proxy_id, name, node_id, port, username, exit FROM proxies
    UNION ALL
    SELECT e.proxy_id, p.name, e.node_id, e.port, e.username, e.exit
    FROM endpoints e
    JOIN proxies p ON p.id = e.proxy_id AND (p.node_id, p.port) <> (e.node_id, e.port)
) AS at
JOIN nodes n ON n.id = at.node_id
CROSS JOIN LATERAL (SELECT COALESCE(at.exit ->> 'mode', 'default') AS of) AS mode;

-- Resources, as the API shows them

CREATE VIEW node_resources AS
SELECT
    n.id, n.name, n.ip, n.location_id, n.labels, n.state, n.max_proxies, n.port_from, n.port_to, n.engines, n.host,
    n.os, n.addresses, n.agent, n.revision, n.created_at, n.updated_at,
    CASE WHEN s.session = 0 THEN 'never_reported' WHEN s.online THEN 'online' ELSE 'offline' END AS link,
    s.online, s.rev, s.confirmed_rev, s.count, s.running, s.failed, s.missing, s.held_rev, s.held_stops, s.held_of,
    CASE WHEN s.session > 0 THEN s.reported_at END AS reported_at,
    s.limited, n.exit_addresses, n.ipv6_prefixes, lower(n.name) COLLATE "C" AS sort_name,
    CASE WHEN s.online AND s.connections IS NOT NULL THEN jsonb_build_object(
        'cpu', s.cpu, 'memory', s.memory, 'rx_bps', s.rx_bps, 'tx_bps', s.tx_bps, 'connections', s.connections
    ) END AS load,
    n.pinned_version, s.upgrade, s.tls_certificate,
    CASE WHEN n.broker_rev IS NOT NULL THEN jsonb_build_object(
        'rev', n.broker_rev, 'url', NULLIF(n.broker_url, ''), 'state', n.broker_state,
        'reason', NULLIF(n.broker_reason, '')
    ) END AS broker
FROM nodes n
JOIN node_status s ON s.node_id = n.id;

-- The progress of each drain. `overlapping` proxies have moved, and their former endpoints still serve here.
CREATE VIEW drain_progress AS
SELECT
    d.node_id,
    jsonb_build_object(
        'left', n.proxy_count,
        'starting', (
            SELECT count(*) FROM rotations r
            WHERE r.drained_node_id = d.node_id AND r.state IN ('waiting', 'starting')
        ),
        'overlapping', (SELECT count(*) FROM endpoints e WHERE e.node_id = d.node_id AND e.role = 'former'),
        'failed', (SELECT count(*) FROM drain_failures f WHERE f.node_id = d.node_id),
        'failures', COALESCE(
            (
                SELECT jsonb_agg(to_jsonb(f) ORDER BY f.proxy_id)
                FROM (
                    SELECT proxy_id, reason, tries, next_at FROM drain_failures
                    WHERE node_id = d.node_id ORDER BY proxy_id LIMIT 10
                ) AS f
            ), '[]'
        ),
        'overlap_s', d.overlap_s,
        'node_ids', d.node_ids,
        'leaving', d.leaving,
        'began_at', d.began_at,
        'emptied_at', d.emptied_at
    ) AS moving
FROM drains d
JOIN nodes n ON n.id = d.node_id;

CREATE VIEW schedule_resources AS
SELECT
    proxy_id, next_at,
    jsonb_build_object('every_s', every_s, 'jitter_s', jitter_s, 'what', what, 'overlap_s', overlap_s) AS rotation
FROM schedules;

-- Proxies with the state that follows from their settings and their node's latest report. This is the only place that
-- derives it. A report counts as `confirmed` when it includes the proxy's last change, and the revision at which the
-- node was enabled or disabled. A proxy past its expiry is never shown as running, whatever its node reported so far.
-- Live figures are known while the node is online and its agent reports them. It reports those that are not zero every
-- minute, so older ones are zero. 3proxy does not report its open connections.
-- Every proxy has a node and its status; outer joins allow PostgreSQL to leave out those that a statement does not read.
CREATE VIEW proxy_resources AS
SELECT
    p.id, p.name, p.node_id, p.port, p.protocol, p.username, p.password, p.allow_ips, p.engine, p.enabled, p.labels,
    p.version, p.changed_revision, p.created_at, p.updated_at,
    n.location_id, n.ip AS host, n.state AS node_state,
    derived.state,
    CASE derived.state
        WHEN 'stopped' THEN derived.off
        WHEN 'failed' THEN f.reason
        WHEN 'limited' THEN f.reason
        WHEN 'expired' THEN
            CASE f.kind WHEN 'expired' THEN f.reason ELSE format('expired at %s', p.limits ->> 'expires_at') END
        WHEN 'unknown' THEN
            format(
                'node %s has not reported since %s', n.id,
                to_char(s.reported_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24":"MI":"SS"Z"')
            )
        WHEN 'pending' THEN CASE
            WHEN NOT derived.reported THEN format('node %s has not reported yet', n.id)
            WHEN s.held_rev IS NOT NULL THEN format(
                'node %s holds back a list that would stop %s of its %s proxies until it is confirmed',
                n.id, s.held_stops, s.held_of
            )
            WHEN NOT s.online THEN format('node %s is offline', n.id)
        END
    END AS reason,
    CASE WHEN derived.state IN ('running', 'limited', 'expired') THEN p.version END AS observed_version,
    CASE WHEN derived.reported THEN s.reported_at END AS observed_at,
    p.exit, p.limits, p.stack_id, p.destinations, p.tls, p.expires_at,
    COALESCE(p.expires_at, '9999-12-31T23:59:59Z') AS sort_expires_at,
    COALESCE(lower(p.name), U&'\+10FFFF') COLLATE "C" AS sort_name,
    CASE WHEN facts.is_live AND p.engine <> '3proxy' THEN COALESCE(v.connections, 0) END AS connections,
    CASE WHEN facts.is_live THEN COALESCE(v.rx_bps, 0) END AS rx_bps,
    CASE WHEN facts.is_live THEN COALESCE(v.tx_bps, 0) END AS tx_bps,
    quota.limit_bytes AS quota_limit,
    quota.used_bytes AS quota_used,
    quota.used_bytes::numeric * 100 / quota.limit_bytes AS quota_percent,
    c.result AS last_check
FROM proxies p
LEFT JOIN nodes n ON n.id = p.node_id
LEFT JOIN node_status s ON s.node_id = p.node_id
LEFT JOIN proxy_failures f ON f.proxy_id = p.id AND f.version = p.version
LEFT JOIN proxy_live v
    ON v.proxy_id = p.id AND v.node_id = p.node_id AND v.at > s.reported_at - interval '150 seconds'
LEFT JOIN usage_totals u ON u.proxy_id = p.id
LEFT JOIN proxy_checks c ON c.proxy_id = p.id
CROSS JOIN LATERAL (
    SELECT
        (p.limits ->> 'traffic_bytes')::bigint AS limit_bytes,
        CASE WHEN p.limits ? 'traffic_bytes' THEN bytes_in_period(p.limits ->> 'traffic_period', u) END AS used_bytes
) AS quota
CROSS JOIN LATERAL (
    SELECT
        s.session > 0 AS reported,
        s.online AND s.connections IS NOT NULL AS is_live,
        s.confirmed_rev >= GREATEST(p.changed_revision, n.state_revision) AS confirmed,
        COALESCE(p.expires_at <= now(), false) AS is_over,
        CASE
            WHEN NOT p.enabled THEN 'disabled'
            WHEN n.state = 'disabled' THEN format('node %s is disabled', n.id)
        END AS off
) AS facts
CROSS JOIN LATERAL (
    SELECT
        facts.reported,
        facts.off,
        CASE
            WHEN NOT p.enabled OR n.state = 'disabled' THEN CASE WHEN facts.confirmed THEN 'stopped' ELSE 'pending' END
            WHEN NOT facts.reported THEN 'pending'
            WHEN NOT s.online THEN 'unknown'
            WHEN f.kind = 'failed' THEN 'failed'
            WHEN f.kind = 'expired' OR (facts.is_over AND (facts.confirmed OR f.kind = 'limited')) THEN 'expired'
            WHEN f.kind = 'limited' THEN 'limited'
            WHEN facts.confirmed THEN 'running'
            ELSE 'pending'
        END AS state
) AS derived;

-- The labels of each proxy: its present ones, or those that it had when it was removed.
CREATE VIEW latest_labels AS
SELECT id AS proxy_id, labels FROM proxies
UNION ALL
SELECT proxy_id, labels FROM former_proxies WHERE labels IS NOT NULL;

-- Events

-- The first id whose event is at this time or later: a binary search, since ids and times grow together.
CREATE FUNCTION event_id_at(moment timestamptz) RETURNS bigint LANGUAGE plpgsql STABLE STRICT AS $$
DECLARE
    low bigint := (SELECT min(id) - 1 FROM public.events);
    high bigint := (SELECT max(id) + 1 FROM public.events);
    middle bigint;
    found record;
BEGIN
    WHILE high - low > 1 LOOP
        middle := low + (high - low) / 2;
        SELECT e.id, e.at INTO found FROM public.events e WHERE e.id >= middle ORDER BY e.id LIMIT 1;
        IF found.at >= moment THEN
            high := middle;
        ELSE
            low := found.id;
        END IF;
    END LOOP;
    RETURN COALESCE(high, 1);
END $$;

-- The ids of the first or last `most` events between `low` and `high`, both exclusive, that match all that is not NULL,
-- and any of `types` unless that is empty. They are read along the index of one of these members, in the order of the
-- log, so that at most the events of this member are passed over. Ranges of (member, id), where `member = value` would
-- mean the same, leave the planner no other index that has this order: it would walk the whole log where it expects more
-- matches than there are.
CREATE FUNCTION find_events(
    along text, newest_first boolean, low bigint, high bigint, most bigint, types text[], of_request text,
    of_proxy bigint, of_stack bigint, of_node bigint, of_location bigint, of_actor text
) RETURNS SETOF bigint LANGUAGE plpgsql STABLE ROWS 50 AS $$
DECLARE
    direction text := CASE WHEN newest_first THEN 'DESC' ELSE 'ASC' END;
    value text := CASE along
        WHEN 'request_id' THEN '$5' WHEN 'proxy_id' THEN '$6' WHEN 'stack_id' THEN '$7' WHEN 'node_id' THEN '$8'
        WHEN 'location_id' THEN '$9' WHEN 'actor' THEN '$10' WHEN 'type' THEN 'each.type'
    END;
    span text := CASE along
        WHEN 'id' THEN 'id > $1 AND id < $2'
        ELSE format('%1$I IS NOT NULL AND (%1$I, id) > (%2$s, $1) AND (%1$I, id) < (%2$s, $2)', along, value)
    END;
    conditions text := concat_ws(
        ' AND ', span,
        CASE WHEN along <> 'type' AND types <> '{}' THEN 'type = ANY ($4)' END,
        CASE WHEN along <> 'request_id' AND of_request IS NOT NULL THEN 'request_id = $5' END,
        CASE WHEN along <> 'proxy_id' AND of_proxy IS NOT NULL THEN 'proxy_id = $6' END,
        CASE WHEN along <> 'stack_id' AND of_stack IS NOT NULL THEN 'stack_id = $7' END,
        CASE WHEN along <> 'node_id' AND of_node IS NOT NULL THEN 'node_id = $8' END,
        CASE WHEN along <> 'location_id' AND of_location IS NOT NULL THEN 'location_id = $9' END,
        CASE WHEN along <> 'actor' AND of_actor IS NOT NULL THEN 'actor = $10' END
    );
    statement text := format(
        'SELECT id FROM events WHERE %1$s ORDER BY %2$I %3$s, id %3$s LIMIT $3', conditions, along, direction
    );
BEGIN
    IF along = 'type' THEN
        statement := format(
            'SELECT one.id FROM unnest($4) AS each (type) CROSS JOIN LATERAL (%s) AS one ORDER BY one.id %s LIMIT $3',
            statement, direction
        );
    END IF;
    RETURN QUERY EXECUTE statement
    USING low, high, most, types, of_request, of_proxy, of_stack, of_node, of_location, of_actor;
END $$;

-- Rotation steps

-- The next step of each open rotation, or NULL while it has to wait. Time runs out only while the node was sent the
-- endpoint, reports, and confirms nothing for 30 s. A busy node that works through its lists is given 10 minutes at
-- most; a silent node is waited for until it reports again or counts as offline. An offline node costs a scheduled
-- rotation only time: it goes back to `waiting`.
CREATE VIEW rotation_steps AS
SELECT
    r.id, r.proxy_id,
    CASE
        WHEN p.id IS NULL THEN 'fail'
        WHEN r.state = 'overlap' THEN CASE WHEN r.until <= now() THEN 'end' END
        WHEN NOT p.enabled OR n.state = 'disabled' THEN 'fail'
        WHEN r.state = 'waiting' AND s.online THEN 'begin'
        WHEN r.state = 'starting' AND found.failure IS NOT NULL THEN 'fail'
        WHEN r.state = 'starting' AND s.online AND s.confirmed_rev >= found.due THEN 'probe'
        WHEN NOT s.online AND NOT r.scheduled THEN 'fail'
        WHEN r.state = 'starting' AND expiry.at <= now() THEN
            CASE WHEN s.reported_at >= now() - interval '20 seconds' THEN 'fail' WHEN r.scheduled THEN 'wait' END
    END AS step,
    CASE
        WHEN p.id IS NULL THEN 'the proxy was removed'
        WHEN NOT p.enabled THEN 'the proxy was disabled'
        WHEN n.state = 'disabled' THEN format('node %s was disabled', n.id)
        WHEN found.failure IS NOT NULL THEN found.failure
        WHEN NOT s.online THEN format('node %s is offline', n.id)
        WHEN n.sent_revision < found.due THEN format('node %s could not be sent its list in time', n.id)
        ELSE format('node %s has not confirmed it in time', n.id)
    END AS reason
FROM rotations r
LEFT JOIN proxies p ON p.id = r.proxy_id
LEFT JOIN endpoints e ON e.proxy_id = r.proxy_id AND e.rotation_id = r.id
LEFT JOIN nodes n ON n.id = COALESCE(e.node_id, p.node_id)
LEFT JOIN node_status s ON s.node_id = n.id
LEFT JOIN proxy_failures f ON f.proxy_id = p.id AND f.version = p.version AND f.node_id = n.id AND f.kind = 'failed'
CROSS JOIN LATERAL (
    SELECT COALESCE(e.failure, f.reason) AS failure, COALESCE(e.changed_revision, p.changed_revision) AS due
) AS found
CROSS JOIN LATERAL (
    SELECT LEAST(
        r.deadline + interval '10 minutes',
        CASE
            WHEN n.sent_revision < found.due THEN r.deadline + interval '1 minute'
            ELSE GREATEST(r.deadline, GREATEST(s.progressed_at, n.sent_at) + interval '30 seconds')
        END
    ) AS at
) AS expiry
WHERE r.state NOT IN ('done', 'failed');
