-- Nodes that give their proxies away, and boxes that take a node over.

-- A node that drains and moves its proxies: to the named nodes, or to those of its location. One that is `leaving` goes
-- when it is empty. Whoever looks after it sets `look_at` first, so that others look elsewhere meanwhile.
CREATE TABLE drains (
    node_id bigint PRIMARY KEY REFERENCES nodes (id) ON DELETE CASCADE,
    node_ids bigint[],
    overlap_s integer NOT NULL CHECK (overlap_s BETWEEN 0 AND 604800),
    leaving boolean NOT NULL DEFAULT false,
    began_at timestamptz NOT NULL DEFAULT now(),
    emptied_at timestamptz,
    look_at timestamptz NOT NULL DEFAULT '-infinity'
);

-- Proxies that could not leave as yet, and when that is tried again.
CREATE TABLE drain_failures (
    proxy_id bigint PRIMARY KEY REFERENCES proxies (id) ON DELETE CASCADE,
    node_id bigint NOT NULL REFERENCES drains (node_id) ON DELETE CASCADE,
    reason text NOT NULL,
    tries integer NOT NULL DEFAULT 1,
    next_at timestamptz NOT NULL
);
CREATE INDEX drain_failures_node_id_idx ON drain_failures (node_id);

-- The node that a proxy is rotated away from because that drains; NULL: it is rotated for its own sake.
ALTER TABLE rotations ADD COLUMN drained_node_id bigint;
CREATE INDEX rotations_drained_idx ON rotations (drained_node_id)
WHERE drained_node_id IS NOT NULL AND state NOT IN ('done', 'failed');

-- How long after so many tries the next one comes: 4 s, 8 s, ... with some jitter.
CREATE FUNCTION try_again(tries integer, most_s integer) RETURNS timestamptz LANGUAGE sql VOLATILE AS $$
    SELECT clock_timestamp() + make_interval(secs => LEAST(most_s, 2 * 2 ^ LEAST(tries, 20)) * (0.75 + 0.5 * random()))
$$;

-- A rotation that failed to take its proxy from a draining node. The proxy's node is locked, so both are still there.
CREATE FUNCTION rotations_failed_to_drain() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO drain_failures AS f (proxy_id, node_id, reason, next_at)
    SELECT p.id, d.node_id, COALESCE(NEW.reason, ''), try_again(1, 600)
    FROM proxies p
    JOIN drains d ON d.node_id = p.node_id
    WHERE p.id = NEW.proxy_id AND d.node_id = NEW.drained_node_id
    ON CONFLICT (proxy_id) DO UPDATE
    SET reason = EXCLUDED.reason, tries = f.tries + 1, next_at = try_again(f.tries + 1, 600);
    RETURN NULL;
END $$;
CREATE TRIGGER rotations_failed_to_drain AFTER UPDATE OF state ON rotations
FOR EACH ROW WHEN (NEW.drained_node_id IS NOT NULL AND NEW.state = 'failed' AND OLD.state <> 'failed')
EXECUTE FUNCTION rotations_failed_to_drain();

CREATE FUNCTION proxies_drained() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM drain_failures WHERE proxy_id = NEW.id;
    RETURN NULL;
END $$;
CREATE TRIGGER proxies_drained AFTER UPDATE OF node_id ON proxies
FOR EACH ROW WHEN (NEW.node_id <> OLD.node_id) EXECUTE FUNCTION proxies_drained();

-- A node that drains no more keeps what has not begun to leave it.
CREATE FUNCTION nodes_drain_ended() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM drains WHERE node_id = NEW.id;
    DELETE FROM rotations WHERE drained_node_id = NEW.id AND state = 'waiting';
    RETURN NULL;
END $$;
CREATE TRIGGER nodes_drain_ended AFTER UPDATE OF state ON nodes
FOR EACH ROW WHEN (NEW.state <> 'draining' AND OLD.state = 'draining') EXECUTE FUNCTION nodes_drain_ended();

-- How far a draining node is; `overlapping` proxies have moved, and their former endpoints serve on here for a while.
CREATE VIEW told_moves AS
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

-- The agent's session that a box had which is replaced: what is still on its way from there says nothing of the new one.
ALTER TABLE node_status ADD COLUMN retired_session bigint NOT NULL DEFAULT 0;

-- Ports of a node's range that nobody has on its ip, and that no stranger was found on.
CREATE FUNCTION free_ports(of_node bigint) RETURNS TABLE (port integer) LANGUAGE sql STABLE AS $$
    SELECT ports.port
    FROM nodes n
    CROSS JOIN LATERAL generate_series(n.port_from, n.port_to) AS ports (port)
    WHERE n.id = of_node
    EXCEPT
    SELECT u.port
    FROM nodes n
    JOIN nodes s ON s.ip = n.ip
    JOIN used_ports u ON u.node_id = s.id
    WHERE n.id = of_node
    EXCEPT
    SELECT t.port FROM taken_ports t WHERE t.node_id = of_node AND t.until > now()
$$;
