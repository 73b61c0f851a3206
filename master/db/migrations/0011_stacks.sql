-- Stacks: many proxies out of one template, kept at a number.

-- `count` is how many are wanted and how many there are: the schema keeps it (proxies_in_stacks), and whatever takes a
-- stack's proxy away takes it out of what is wanted. `proxy` is the template, in a canonical spelling.
CREATE TABLE stacks (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL CONSTRAINT stacks_name_key UNIQUE CHECK (length(name) BETWEEN 1 AND 100),
    count integer NOT NULL DEFAULT 0 CHECK (count >= 0),
    spread text NOT NULL CHECK (spread IN ('nodes', 'locations', 'pack')),
    proxy jsonb NOT NULL CHECK (jsonb_typeof(proxy) = 'object'),
    labels jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(labels) = 'object'),
    version bigint NOT NULL DEFAULT 1 CHECK (version >= 1),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

ALTER TABLE proxies ADD COLUMN stack_id bigint CONSTRAINT proxies_stack_id_fkey REFERENCES stacks (id);
CREATE INDEX proxies_stack_id_idx ON proxies (stack_id, id) WHERE stack_id IS NOT NULL;

-- Whoever writes proxies has locked their nodes; the stack's row comes after those.
CREATE FUNCTION proxies_in_stacks() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        UPDATE stacks s SET count = s.count + came.count
        FROM (SELECT stack_id, count(*) AS count FROM new_rows GROUP BY stack_id) AS came
        WHERE s.id = came.stack_id;
    ELSE
        PERFORM 1 FROM stacks WHERE id IN (SELECT stack_id FROM old_rows) ORDER BY id FOR NO KEY UPDATE;
        UPDATE stacks s SET count = s.count - went.count, version = s.version + 1, updated_at = now()
        FROM (SELECT stack_id, count(*) AS count FROM old_rows GROUP BY stack_id) AS went
        WHERE s.id = went.stack_id;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER proxies_in_stacks_insert AFTER INSERT ON proxies
REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION proxies_in_stacks();
CREATE TRIGGER proxies_in_stacks_delete AFTER DELETE ON proxies
REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION proxies_in_stacks();

-- Proxies with the stack that they are of.
CREATE OR REPLACE VIEW shown_proxies AS
SELECT
    p.id, p.name, p.node_id, p.port, p.protocol, p.username, p.password, p.allow_ips, p.engine, p.enabled, p.labels,
    p.version, p.changed_revision, p.created_at, p.updated_at,
    n.location_id, n.ip AS host, n.state AS node_state,
    told.state,
    CASE told.state
        WHEN 'stopped' THEN told.off
        WHEN 'failed' THEN f.reason
        WHEN 'limited' THEN f.reason
        WHEN 'expired' THEN
            CASE f.kind WHEN 'expired' THEN f.reason ELSE format('expired at %s', p.limits ->> 'expires_at') END
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
    CASE WHEN told.state IN ('running', 'limited', 'expired') THEN p.version END AS observed_version,
    CASE WHEN told.reported THEN s.reported_at END AS observed_at,
    p.exit, p.limits, p.stack_id
FROM proxies p
JOIN nodes n ON n.id = p.node_id
JOIN node_status s ON s.node_id = p.node_id
LEFT JOIN proxy_failures f ON f.proxy_id = p.id AND f.version = p.version
CROSS JOIN LATERAL (
    SELECT
        s.session > 0 AS reported,
        s.confirmed_rev >= GREATEST(p.changed_revision, n.state_revision) AS confirmed,
        COALESCE((p.limits ->> 'expires_at')::timestamptz <= now(), false) AS is_over,
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
            WHEN f.kind = 'failed' THEN 'failed'
            WHEN f.kind = 'expired' OR (seen.is_over AND (seen.confirmed OR f.kind = 'limited')) THEN 'expired'
            WHEN f.kind = 'limited' THEN 'limited'
            WHEN seen.confirmed THEN 'running'
            ELSE 'pending'
        END AS state
) AS told;

-- The lowest free ports of many nodes at once, so many of each. Nodes that share an ip share its ports: the one whose
-- range ends first chooses first, which leaves the others most. Fewer rows come back where fewer ports are free.
CREATE FUNCTION lowest_free_ports(of_nodes bigint[], counts integer[]) RETURNS TABLE (node_id bigint, port integer)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
    asked record;
    neighbours bigint[];
    used integer[];
    found integer[];
    given integer[] := '{}';
    given_on text := '';
BEGIN
    FOR asked IN
        SELECT n.id, n.ip, n.port_from, n.port_to, a.count
        FROM unnest(of_nodes, counts) AS a (id, count)
        JOIN nodes n ON n.id = a.id
        ORDER BY n.ip, n.port_to, n.id
    LOOP
        IF asked.ip <> given_on THEN
            given := '{}';
            given_on := asked.ip;
        END IF;
        neighbours := ARRAY(SELECT s.id FROM nodes s WHERE s.ip = asked.ip);
        used := ARRAY(
            SELECT u.port FROM used_ports u
            WHERE u.node_id = ANY (neighbours) AND u.port BETWEEN asked.port_from AND asked.port_to
            UNION
            SELECT t.port FROM taken_ports t WHERE t.node_id = asked.id AND t.until > now()
            UNION
            SELECT unnest(given)
        );
        found := ARRAY(
            SELECT p.port
            FROM generate_series(
                asked.port_from, LEAST(asked.port_to, asked.port_from + cardinality(used) + asked.count - 1)
            ) AS p (port)
            EXCEPT
            SELECT unnest(used)
            ORDER BY 1
            LIMIT asked.count
        );
        given := given || found;
        RETURN QUERY SELECT asked.id, unnest(found);
    END LOOP;
END $$;

-- What a stack's proxies were used for stays the stack's, whatever becomes of them.
ALTER TABLE former_proxies ADD COLUMN stack_id bigint;
ALTER TABLE usage_hours ADD COLUMN stack_id bigint;
CREATE INDEX usage_hours_stack_id_idx ON usage_hours (stack_id, hour) WHERE stack_id IS NOT NULL;

CREATE OR REPLACE FUNCTION proxies_left() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO former_proxies (proxy_id, node_id, name, stack_id) SELECT id, node_id, name, stack_id FROM old_rows
    ON CONFLICT (proxy_id, node_id) DO UPDATE
    SET name = EXCLUDED.name, stack_id = EXCLUDED.stack_id, left_at = now();
    RETURN NULL;
END $$;
