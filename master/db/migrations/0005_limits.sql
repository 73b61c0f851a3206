-- Where a proxy's connections leave, what it may be used for, and the states that come of that.

-- Only what is said: {} is the default exit, or no limit at all. `expires_at` is an RFC 3339 text in UTC.
ALTER TABLE proxies
    ADD COLUMN exit jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(exit) = 'object'),
    ADD COLUMN limits jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(limits) = 'object');

-- `addresses` is what the node told of itself, `exit_addresses` what somebody declared besides. `exit_key` belongs to
-- the node: by it an address out of a prefix tells whose it was.
ALTER TABLE nodes
    ADD COLUMN exit_addresses text[] NOT NULL DEFAULT '{}',
    ADD COLUMN ipv6_prefixes text[] NOT NULL DEFAULT '{}',
    ADD COLUMN exit_key text NOT NULL
        DEFAULT md5(gen_random_uuid()::text || gen_random_uuid()::text) CHECK (exit_key ~ '^[0-9a-f]{32}$');

-- The exit as the node must know it: random addresses need a prefix, by default the node's first, and the node's key.
CREATE FUNCTION told_exit(asked jsonb, prefixes text[], key text) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN asked ->> 'mode' IN ('ipv6_random', 'ipv6_session')
            THEN jsonb_build_object('prefix', prefixes[1]) || asked || jsonb_build_object('key', key)
        ELSE asked
    END
$$;

CREATE OR REPLACE VIEW wanted AS
SELECT
    p.id, p.node_id, p.version, p.content, p.protocol, p.port, p.username, p.password, p.allow_ips, p.engine,
    told_exit(p.exit, n.ipv6_prefixes, n.exit_key) AS exit, p.limits
FROM proxies p
JOIN nodes n ON n.id = p.node_id
WHERE p.enabled AND n.state <> 'disabled';

CREATE OR REPLACE FUNCTION proxy_content(p proxies) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT ('x' || left(md5(jsonb_build_array(
        p.id, p.protocol, p.port, p.username, p.password, p.allow_ips, p.engine,
        (SELECT told_exit(p.exit, n.ipv6_prefixes, n.exit_key) FROM nodes n WHERE n.id = p.node_id), p.limits
    )::text), 16))::bit(64)::bigint
$$;

CREATE OR REPLACE FUNCTION proxies_before_write() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF NEW.version > OLD.version THEN
            NULL;
        ELSIF ROW (NEW.name, NEW.node_id, NEW.port, NEW.protocol, NEW.username, NEW.password, NEW.allow_ips,
                   NEW.engine, NEW.enabled, NEW.labels, NEW.exit, NEW.limits)
            IS DISTINCT FROM ROW (OLD.name, OLD.node_id, OLD.port, OLD.protocol, OLD.username, OLD.password,
                   OLD.allow_ips, OLD.engine, OLD.enabled, OLD.labels, OLD.exit, OLD.limits) THEN
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

-- Proxies that draw out of the node's first prefix must learn of another one.
CREATE FUNCTION nodes_prefixes_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE proxies SET version = version + 1
    WHERE node_id = NEW.id AND exit ->> 'mode' IN ('ipv6_random', 'ipv6_session') AND NOT exit ? 'prefix';
    RETURN NULL;
END $$;
CREATE TRIGGER nodes_prefixes_changed AFTER UPDATE OF ipv6_prefixes ON nodes
FOR EACH ROW WHEN (NEW.ipv6_prefixes[1] IS DISTINCT FROM OLD.ipv6_prefixes[1])
EXECUTE FUNCTION nodes_prefixes_changed();

-- A proxy that runs and yet serves nobody: its quota is spent (`limited`) or its time is over (`expired`).
ALTER TABLE proxy_failures
    ADD COLUMN kind text NOT NULL DEFAULT 'failed' CHECK (kind IN ('failed', 'limited', 'expired'));
ALTER TABLE node_status ADD COLUMN limited bigint NOT NULL DEFAULT 0;

-- A proxy whose time is over never shows as running, whether or not its node has said so yet.
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
    p.exit, p.limits
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

-- Nodes with where their proxies' connections may leave.
CREATE OR REPLACE VIEW shown_nodes AS
SELECT
    n.id, n.name, n.ip, n.location_id, n.labels, n.state, n.max_proxies, n.port_from, n.port_to, n.engines, n.host,
    n.os, n.addresses, n.agent, n.revision, n.created_at, n.updated_at,
    CASE WHEN s.session = 0 THEN 'never_reported' WHEN s.online THEN 'online' ELSE 'offline' END AS link,
    s.online, s.rev, s.confirmed_rev, s.count, s.running, s.failed, s.missing, s.held_rev, s.held_stops, s.held_of,
    CASE WHEN s.session > 0 THEN s.reported_at END AS reported_at,
    s.limited, n.exit_addresses, n.ipv6_prefixes
FROM nodes n
JOIN node_status s ON s.node_id = n.id;
