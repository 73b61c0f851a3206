-- Rotation by make before break: a proxy's second endpoint, each rotation from its turn to its end, and schedules.

-- A second place at which a proxy serves: `next` is about to become its own, `former` was its own and drains. Whoever
-- writes here has locked both nodes. `away`: on another node than the proxy itself. `exit` is the exit there.
CREATE TABLE endpoints (
    proxy_id bigint PRIMARY KEY REFERENCES proxies (id) ON DELETE CASCADE,
    rotation_id bigint NOT NULL,
    node_id bigint NOT NULL CONSTRAINT endpoints_node_id_fkey REFERENCES nodes (id),
    port integer NOT NULL CHECK (port BETWEEN 1 AND 65535),
    username text,
    password text,
    exit jsonb NOT NULL CHECK (jsonb_typeof(exit) = 'object'),
    role text NOT NULL CHECK (role IN ('next', 'former')),
    away boolean NOT NULL DEFAULT false,
    changed_revision bigint NOT NULL DEFAULT 0,
    failure text,
    CONSTRAINT endpoints_node_id_port_key UNIQUE (node_id, port),
    CHECK ((username IS NULL) = (password IS NULL))
);

-- `waiting` for its node, `starting` until the new endpoint was probed (by `deadline`), `overlap` until `until`.
-- No reference to the proxy: it may go at any moment, and what happened to it stays told.
CREATE TABLE rotations (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    proxy_id bigint NOT NULL,
    what text[] NOT NULL CHECK (what <> '{}' AND what <@ ARRAY['exit', 'credentials', 'port', 'node']),
    overlap_s integer NOT NULL CHECK (overlap_s BETWEEN 0 AND 604800),
    node_ids bigint[],
    scheduled boolean NOT NULL,
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'starting', 'overlap', 'done', 'failed')),
    reason text,
    exit_before jsonb,
    deadline timestamptz,
    until timestamptz,
    claimed_until timestamptz NOT NULL DEFAULT '-infinity',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX rotations_open_key ON rotations (proxy_id) WHERE state NOT IN ('done', 'failed');
CREATE INDEX rotations_proxy_id_idx ON rotations (proxy_id, id);
CREATE INDEX rotations_updated_at_idx ON rotations (updated_at);

CREATE TABLE schedules (
    proxy_id bigint PRIMARY KEY REFERENCES proxies (id) ON DELETE CASCADE,
    every_s integer NOT NULL CHECK (every_s BETWEEN 1 AND 31536000),
    jitter_s integer NOT NULL CHECK (jitter_s BETWEEN 0 AND 31536000),
    what text[] NOT NULL,
    overlap_s integer NOT NULL,
    next_at timestamptz NOT NULL
);
CREATE INDEX schedules_next_at_idx ON schedules (next_at);

CREATE VIEW told_schedules AS
SELECT
    proxy_id, next_at,
    jsonb_build_object('every_s', every_s, 'jitter_s', jitter_s, 'what', what, 'overlap_s', overlap_s) AS rotation
FROM schedules;

-- Every port that is given away, each once.
CREATE VIEW used_ports AS
SELECT node_id, port, id AS proxy_id FROM proxies
UNION ALL
SELECT e.node_id, e.port, e.proxy_id
FROM endpoints e
WHERE NOT EXISTS (SELECT FROM proxies p WHERE p.node_id = e.node_id AND p.port = e.port);

CREATE OR REPLACE FUNCTION lowest_free_port(of_node bigint) RETURNS integer LANGUAGE plpgsql STABLE AS $$
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
            SELECT count(*) FROM used_ports u WHERE u.node_id = ANY (neighbours) AND u.port BETWEEN low AND middle
        ) + (
            SELECT count(*) FROM taken_ports t
            WHERE t.node_id = of_node AND t.until > now() AND t.port BETWEEN low AND middle
              AND NOT EXISTS (SELECT FROM used_ports u WHERE u.node_id = ANY (neighbours) AND u.port = t.port)
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

-- What a node must know of a proxy, as a checksum. On the proxy's own node its endpoint is a further port and login; on
-- another node the endpoint is all that there is of the proxy.
CREATE FUNCTION told_also(e endpoints) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN e.proxy_id IS NULL THEN '[]'::jsonb
        ELSE jsonb_build_array(jsonb_build_object('port', e.port, 'username', e.username, 'password', e.password))
    END
$$;

CREATE FUNCTION told_content(
    p proxies, port integer, username text, password text, exit jsonb, also jsonb
) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT ('x' || left(md5(jsonb_build_array(
        p.id, p.protocol, port, username, password, p.allow_ips, p.engine, exit, p.limits, also
    )::text), 16))::bit(64)::bigint
$$;

CREATE OR REPLACE FUNCTION proxy_content(p proxies) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT told_content(
        p, p.port, p.username, p.password,
        (SELECT told_exit(p.exit, n.ipv6_prefixes, n.exit_key) FROM nodes n WHERE n.id = p.node_id),
        COALESCE((SELECT told_also(e) FROM endpoints e WHERE e.proxy_id = p.id AND e.node_id = p.node_id), '[]')
    )
$$;

CREATE OR REPLACE VIEW wanted AS
SELECT
    p.id, p.node_id, p.version, p.content, p.protocol, p.port, p.username, p.password, p.allow_ips, p.engine,
    told_exit(p.exit, n.ipv6_prefixes, n.exit_key) AS exit, p.limits, told_also(e) AS also
FROM proxies p
JOIN nodes n ON n.id = p.node_id
LEFT JOIN endpoints e ON e.proxy_id = p.id AND e.node_id = p.node_id
WHERE p.enabled AND n.state <> 'disabled'
UNION ALL
SELECT
    p.id, e.node_id, p.version, told_content(p, e.port, e.username, e.password, told.exit, '[]'), p.protocol, e.port,
    e.username, e.password, p.allow_ips, p.engine, told.exit, p.limits, '[]'::jsonb
FROM endpoints e
JOIN proxies p ON p.id = e.proxy_id AND p.node_id <> e.node_id
JOIN nodes n ON n.id = e.node_id
CROSS JOIN LATERAL (SELECT told_exit(e.exit, n.ipv6_prefixes, n.exit_key) AS exit) AS told
WHERE p.enabled AND n.state <> 'disabled';

-- A proxy's new version is news on the node of its endpoint as well.
CREATE OR REPLACE FUNCTION proxies_after_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM nodes_bump(array_agg(DISTINCT changed.node_id))
    FROM (
        SELECT unnest(ARRAY[o.node_id, n.node_id, e.node_id]) AS node_id
        FROM old_rows o
        JOIN new_rows n USING (id)
        LEFT JOIN endpoints e ON e.proxy_id = n.id
        WHERE o.version <> n.version
    ) AS changed
    WHERE changed.node_id IS NOT NULL
    HAVING count(*) > 0;
    RETURN NULL;
END $$;

CREATE FUNCTION endpoints_before_write() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.away := NEW.node_id <> (SELECT node_id FROM proxies WHERE id = NEW.proxy_id);
    SELECT revision + 1 INTO NEW.changed_revision FROM nodes WHERE id = NEW.node_id;
    RETURN NEW;
END $$;
CREATE TRIGGER endpoints_before_write BEFORE INSERT OR UPDATE OF node_id, port, username, password, exit ON endpoints
FOR EACH ROW EXECUTE FUNCTION endpoints_before_write();

-- Its change is a version of its proxy. One that goes from a node of its own went on purpose, which the wipe guard must
-- know, and its last counters may still come. Its port is given to nobody for a while: the node may be told of both in
-- one list, and closes the one no sooner than it opens the other.
CREATE FUNCTION endpoints_after_write() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM nodes_bump(ARRAY[OLD.node_id]);
        INSERT INTO taken_ports AS t (node_id, port, until)
        SELECT OLD.node_id, OLD.port, now() + interval '1 minute'
        WHERE NOT EXISTS (SELECT FROM proxies p WHERE p.node_id = OLD.node_id AND p.port = OLD.port)
        ON CONFLICT (node_id, port) DO UPDATE SET until = GREATEST(t.until, EXCLUDED.until);
        IF OLD.away THEN
            INSERT INTO removals (node_id, revision, count) SELECT id, revision, 1 FROM nodes WHERE id = OLD.node_id;
            INSERT INTO former_proxies (proxy_id, node_id, name)
            VALUES (OLD.proxy_id, OLD.node_id, (SELECT name FROM proxies WHERE id = OLD.proxy_id))
            ON CONFLICT (proxy_id, node_id) DO UPDATE SET left_at = now();
        END IF;
    ELSIF TG_OP = 'UPDATE' THEN
        PERFORM nodes_bump(ARRAY[OLD.node_id]);
    END IF;
    UPDATE proxies SET version = version + 1 WHERE id = COALESCE(NEW.proxy_id, OLD.proxy_id);
    RETURN NULL;
END $$;
CREATE TRIGGER endpoints_after_write
AFTER INSERT OR DELETE OR UPDATE OF node_id, port, username, password, exit ON endpoints
FOR EACH ROW EXECUTE FUNCTION endpoints_after_write();

-- What is to be done now for each rotation that is under way; NULL: nothing yet. A node that is not there costs a
-- scheduled rotation nothing but time: it is taken back and waits for its node.
CREATE VIEW rotation_steps AS
SELECT
    r.id, r.proxy_id,
    CASE
        WHEN p.id IS NULL THEN 'fail'
        WHEN r.state = 'overlap' THEN CASE WHEN r.until <= now() THEN 'end' END
        WHEN NOT p.enabled OR n.state = 'disabled' THEN 'fail'
        WHEN r.state = 'waiting' AND there.online THEN 'begin'
        WHEN r.state = 'starting' AND found.failure IS NOT NULL THEN 'fail'
        WHEN r.state = 'starting' AND there.online AND there.confirmed_rev >= found.due THEN 'probe'
        WHEN NOT there.online AND NOT r.scheduled THEN 'fail'
        WHEN r.state = 'starting' AND r.deadline <= now() THEN
            CASE WHEN r.scheduled AND there.reported_at < r.deadline - interval '20 seconds' THEN 'wait' ELSE 'fail' END
    END AS step,
    CASE
        WHEN p.id IS NULL THEN 'the proxy was removed'
        WHEN NOT p.enabled THEN 'the proxy was disabled'
        WHEN n.state = 'disabled' THEN format('node %s was disabled', n.id)
        WHEN found.failure IS NOT NULL THEN found.failure
        WHEN NOT there.online THEN format('node %s is offline', n.id)
        ELSE format('node %s has not confirmed it in time', n.id)
    END AS reason
FROM rotations r
LEFT JOIN proxies p ON p.id = r.proxy_id
LEFT JOIN endpoints e ON e.proxy_id = r.proxy_id AND e.rotation_id = r.id
LEFT JOIN nodes n ON n.id = COALESCE(e.node_id, p.node_id)
LEFT JOIN node_status there ON there.node_id = n.id
LEFT JOIN proxy_failures f ON f.proxy_id = p.id AND f.version = p.version AND f.node_id = n.id AND f.kind = 'failed'
CROSS JOIN LATERAL (
    SELECT COALESCE(e.failure, f.reason) AS failure, COALESCE(e.changed_revision, p.changed_revision) AS due
) AS found
WHERE r.state NOT IN ('done', 'failed');
