-- Where proxies may connect to, and the address at which the world reaches a node.

-- A node guards the address that only its master knows: another one is news for it. A 3proxy reads its rules when it
-- starts, so its record goes out again.
CREATE OR REPLACE FUNCTION nodes_before_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.state = 'disabled') <> (OLD.state = 'disabled') THEN
        NEW.revision := GREATEST(NEW.revision, OLD.revision + 1);
        NEW.state_revision := NEW.revision;
    END IF;
    IF NEW.ip <> OLD.ip THEN
        NEW.revision := GREATEST(NEW.revision, OLD.revision + 1);
    END IF;
    IF NEW.revision > OLD.revision THEN
        PERFORM pg_notify('maybe_changed', NEW.id::text);
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION nodes_ip_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE proxies SET version = version + 1
    WHERE engine = '3proxy'
      AND (node_id = NEW.id OR id IN (SELECT proxy_id FROM endpoints WHERE node_id = NEW.id));
    RETURN NULL;
END $$;
CREATE TRIGGER nodes_ip_changed AFTER UPDATE OF ip ON nodes
FOR EACH ROW WHEN (NEW.ip <> OLD.ip) EXECUTE FUNCTION nodes_ip_changed();

-- Ports and hosts that a proxy's clients may not reach; only what is said: {} is what the node refuses to all.
ALTER TABLE proxies
    ADD COLUMN destinations jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(destinations) = 'object');
UPDATE stacks SET proxy = proxy || '{"destinations": {}}' WHERE NOT proxy ? 'destinations';

CREATE OR REPLACE FUNCTION told_content(
    p proxies, port integer, username text, password text, exit jsonb, also jsonb
) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT ('x' || left(md5((jsonb_build_array(
        p.id, p.protocol, port, username, password, p.allow_ips, p.engine, exit, p.limits, also
    ) || CASE p.destinations WHEN '{}' THEN '[]' ELSE jsonb_build_array(p.destinations) END)::text), 16))::bit(64)::bigint
$$;

CREATE OR REPLACE VIEW wanted AS
SELECT
    p.id, p.node_id, p.version, p.content, p.protocol, p.port, p.username, p.password, p.allow_ips, p.engine,
    told_exit(p.exit, n.ipv6_prefixes, n.exit_key) AS exit, p.limits, told_also(e) AS also, p.destinations
FROM proxies p
JOIN nodes n ON n.id = p.node_id
LEFT JOIN endpoints e ON e.proxy_id = p.id AND e.node_id = p.node_id
WHERE p.enabled AND n.state <> 'disabled'
UNION ALL
SELECT
    p.id, e.node_id, p.version, told_content(p, e.port, e.username, e.password, told.exit, '[]'), p.protocol, e.port,
    e.username, e.password, p.allow_ips, p.engine, told.exit, p.limits, '[]'::jsonb, p.destinations
FROM endpoints e
JOIN proxies p ON p.id = e.proxy_id AND p.node_id <> e.node_id
JOIN nodes n ON n.id = e.node_id
CROSS JOIN LATERAL (SELECT told_exit(e.exit, n.ipv6_prefixes, n.exit_key) AS exit) AS told
WHERE p.enabled AND n.state <> 'disabled';

CREATE OR REPLACE FUNCTION proxies_before_write() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF NEW.version > OLD.version THEN
            NULL;
        ELSIF ROW (NEW.name, NEW.node_id, NEW.port, NEW.protocol, NEW.username, NEW.password, NEW.allow_ips,
                   NEW.engine, NEW.enabled, NEW.labels, NEW.exit, NEW.limits, NEW.destinations)
            IS DISTINCT FROM ROW (OLD.name, OLD.node_id, OLD.port, OLD.protocol, OLD.username, OLD.password,
                   OLD.allow_ips, OLD.engine, OLD.enabled, OLD.labels, OLD.exit, OLD.limits, OLD.destinations) THEN
            NEW.version := OLD.version + 1;
        ELSE
            RETURN NEW;
        END IF;
        NEW.updated_at := now();
    END IF;
    NEW.content := proxy_content(NEW);
    SELECT revision + 1 INTO NEW.changed_revision FROM nodes WHERE id = NEW.node_id;
    RETURN NEW;
END $$;

-- Proxies with where their clients may not connect to.
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
    p.exit, p.limits, p.stack_id, p.destinations
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
