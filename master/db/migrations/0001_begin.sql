-- The truth: what is wanted, on which node, at which version; and what the nodes said last.

CREATE TABLE cluster (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    id uuid NOT NULL DEFAULT gen_random_uuid()
);
INSERT INTO cluster DEFAULT VALUES;

CREATE TABLE locations (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL CONSTRAINT locations_name_key UNIQUE CHECK (length(name) BETWEEN 1 AND 100),
    country text CHECK (country ~ '^[A-Z]{2}$'),
    labels jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(labels) = 'object'),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- `revision` is the outbox: it grows with every change of what the node should run, and whatever is above
-- `sent_revision` has still to be told. `state_revision` is the revision at which `state` last changed.
CREATE TABLE nodes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL CONSTRAINT nodes_name_key UNIQUE CHECK (length(name) BETWEEN 1 AND 100),
    ip text NOT NULL CHECK (ip::inet IS NOT NULL),
    location_id bigint CONSTRAINT nodes_location_id_fkey REFERENCES locations (id),
    labels jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(labels) = 'object'),
    state text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'draining', 'disabled')),
    max_proxies integer NOT NULL DEFAULT 10000 CHECK (max_proxies BETWEEN 0 AND 60000),
    port_from integer NOT NULL DEFAULT 20000 CHECK (port_from BETWEEN 1 AND 65535),
    port_to integer NOT NULL DEFAULT 29999 CHECK (port_to BETWEEN 1 AND 65535),
    host text NOT NULL DEFAULT '',
    os text NOT NULL DEFAULT '',
    addresses text[] NOT NULL DEFAULT '{}',
    engines jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(engines) = 'object'),
    agent text NOT NULL DEFAULT '',
    challenge_hash text NOT NULL CONSTRAINT nodes_challenge_hash_key UNIQUE,
    broker_password_hash text NOT NULL,
    revision bigint NOT NULL DEFAULT 1 CHECK (revision >= 1),
    state_revision bigint NOT NULL DEFAULT 1,
    sent_revision bigint NOT NULL DEFAULT 0,
    sending_until timestamptz NOT NULL DEFAULT '-infinity',
    sweep_at timestamptz NOT NULL DEFAULT now(),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CHECK (port_from <= port_to)
);
CREATE INDEX nodes_location_id_idx ON nodes (location_id);
CREATE INDEX nodes_ip_idx ON nodes (ip);
CREATE INDEX nodes_unsent_idx ON nodes (id) WHERE revision > sent_revision;
CREATE INDEX nodes_sweep_at_idx ON nodes (sweep_at);

-- The latest word of a node. Apart from `nodes`, so that a heartbeat neither waits for a change nor holds one up.
CREATE TABLE node_status (
    node_id bigint PRIMARY KEY REFERENCES nodes (id) ON DELETE CASCADE,
    online boolean NOT NULL DEFAULT false,
    reported_at timestamptz NOT NULL DEFAULT now(),
    rev bigint NOT NULL DEFAULT 0,
    seen bigint NOT NULL DEFAULT 0,
    confirmed_rev bigint NOT NULL DEFAULT 0,
    count bigint NOT NULL DEFAULT 0,
    running bigint NOT NULL DEFAULT 0,
    missing bigint NOT NULL DEFAULT 0,
    failed bigint NOT NULL DEFAULT 0,
    held_rev bigint,
    held_stops bigint,
    held_of bigint,
    session bigint NOT NULL DEFAULT 0,
    number bigint NOT NULL DEFAULT 0
);
CREATE INDEX node_status_online_idx ON node_status (reported_at) WHERE online;

-- `version` grows with every change; `changed_revision` is the node's revision that carries the change; `content` is a
-- checksum of what the node must know, by which two records of one id and version are told apart.
CREATE TABLE proxies (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text CONSTRAINT proxies_name_key UNIQUE CHECK (length(name) BETWEEN 1 AND 100),
    node_id bigint NOT NULL CONSTRAINT proxies_node_id_fkey REFERENCES nodes (id),
    port integer NOT NULL CHECK (port BETWEEN 1 AND 65535),
    port_asked boolean NOT NULL DEFAULT false,
    protocol text NOT NULL CHECK (protocol IN ('http', 'socks5', 'mixed')),
    username text,
    password text,
    allow_ips text[] NOT NULL DEFAULT '{}',
    engine text NOT NULL DEFAULT 'builtin' CHECK (engine IN ('builtin', '3proxy')),
    enabled boolean NOT NULL DEFAULT true,
    labels jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(labels) = 'object'),
    version bigint NOT NULL DEFAULT 1 CHECK (version >= 1),
    changed_revision bigint NOT NULL DEFAULT 0,
    ever_ran boolean NOT NULL DEFAULT false,
    content bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT proxies_node_id_port_key UNIQUE (node_id, port),
    CONSTRAINT proxies_not_open CHECK (username IS NOT NULL OR allow_ips <> '{}'),
    CHECK ((username IS NULL) = (password IS NULL))
);
CREATE INDEX proxies_never_ran_idx ON proxies (node_id) WHERE NOT ever_ran;

-- What does not run as wanted, by the node's latest word on it.
CREATE TABLE proxy_failures (
    proxy_id bigint PRIMARY KEY REFERENCES proxies (id) ON DELETE CASCADE,
    node_id bigint NOT NULL REFERENCES nodes (id) ON DELETE CASCADE,
    version bigint NOT NULL,
    reason text NOT NULL,
    since timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX proxy_failures_node_id_idx ON proxy_failures (node_id, proxy_id);

-- Ports that a node found taken by a program that is not ours; not offered before `until`.
CREATE TABLE taken_ports (
    node_id bigint NOT NULL REFERENCES nodes (id) ON DELETE CASCADE,
    port integer NOT NULL,
    until timestamptz NOT NULL,
    PRIMARY KEY (node_id, port)
);

-- How many proxies a change took from a node on purpose: what the wipe guard may let pass.
CREATE TABLE removals (
    node_id bigint NOT NULL REFERENCES nodes (id) ON DELETE CASCADE,
    revision bigint NOT NULL,
    count bigint NOT NULL CHECK (count > 0),
    at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX removals_node_id_idx ON removals (node_id, revision);

-- One durable log. Rows are written last in their transaction, under a lock that ends with it (record_events), so ids
-- become visible in order and a reader may remember the last one.
CREATE TABLE events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    type text NOT NULL CHECK (type ~ '^[a-z]+\.[a-z_]+$'),
    node_id bigint,
    proxy_id bigint,
    location_id bigint,
    details jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(details) = 'object')
);
CREATE INDEX events_node_id_idx ON events (node_id, id) WHERE node_id IS NOT NULL;
CREATE INDEX events_proxy_id_idx ON events (proxy_id, id) WHERE proxy_id IS NOT NULL;

CREATE TABLE idempotency_keys (
    key text PRIMARY KEY CHECK (length(key) BETWEEN 1 AND 255),
    request_hash text NOT NULL,
    status integer NOT NULL,
    headers jsonb NOT NULL,
    body text NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX idempotency_keys_at_idx ON idempotency_keys (at);

-- What each node should run now.
CREATE VIEW wanted AS
SELECT
    p.id, p.node_id, p.version, p.content, p.protocol, p.port, p.username, p.password, p.allow_ips, p.engine
FROM proxies p
JOIN nodes n ON n.id = p.node_id
WHERE p.enabled AND n.state <> 'disabled';

CREATE FUNCTION proxy_content(p proxies) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT ('x' || left(md5(jsonb_build_array(
        p.id, p.protocol, p.port, p.username, p.password, p.allow_ips, p.engine
    )::text), 16))::bit(64)::bigint
$$;

-- Version, checksum and the revision that carries a change: in the schema, so that no code path can forget them.
-- Writers lock the node's row first, so the revision read here is the one that the statement's end will set.
CREATE FUNCTION proxies_before_write() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF NEW.version > OLD.version THEN
            NULL;
        ELSIF ROW (NEW.name, NEW.node_id, NEW.port, NEW.protocol, NEW.username, NEW.password, NEW.allow_ips,
                   NEW.engine, NEW.enabled, NEW.labels)
            IS DISTINCT FROM ROW (OLD.name, OLD.node_id, OLD.port, OLD.protocol, OLD.username, OLD.password,
                   OLD.allow_ips, OLD.engine, OLD.enabled, OLD.labels) THEN
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
CREATE TRIGGER proxies_before_write BEFORE INSERT OR UPDATE ON proxies
FOR EACH ROW EXECUTE FUNCTION proxies_before_write();

-- Node rows are locked in the order of their ids, whatever the order in which their proxies were touched. A report
-- keeps its node from being deleted (FOR KEY SHARE) without waiting for a change, which NO KEY UPDATE allows.
CREATE FUNCTION nodes_bump(ids bigint[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM nodes WHERE id = ANY (ids) ORDER BY id FOR NO KEY UPDATE;
    UPDATE nodes SET revision = revision + 1 WHERE id = ANY (ids);
END $$;

CREATE FUNCTION proxies_after_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM nodes_bump(array_agg(DISTINCT node_id)) FROM new_rows HAVING count(*) > 0;
    RETURN NULL;
END $$;
CREATE TRIGGER proxies_after_insert AFTER INSERT ON proxies
REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION proxies_after_insert();

CREATE FUNCTION proxies_after_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM nodes_bump(array_agg(DISTINCT changed.node_id))
    FROM (
        SELECT unnest(ARRAY[o.node_id, n.node_id]) AS node_id
        FROM old_rows o JOIN new_rows n USING (id)
        WHERE o.version <> n.version
    ) AS changed
    HAVING count(*) > 0;
    RETURN NULL;
END $$;
CREATE TRIGGER proxies_after_update AFTER UPDATE ON proxies
REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION proxies_after_update();

CREATE FUNCTION proxies_after_delete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM nodes_bump(array_agg(DISTINCT node_id)) FROM old_rows HAVING count(*) > 0;
    RETURN NULL;
END $$;
CREATE TRIGGER proxies_after_delete AFTER DELETE ON proxies
REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION proxies_after_delete();

-- A node that becomes disabled, or is no longer, should run something else; the hint is told at commit.
CREATE FUNCTION nodes_before_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.state = 'disabled') <> (OLD.state = 'disabled') THEN
        NEW.revision := GREATEST(NEW.revision, OLD.revision + 1);
        NEW.state_revision := NEW.revision;
    END IF;
    IF NEW.revision > OLD.revision THEN
        PERFORM pg_notify('maybe_changed', NEW.id::text);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER nodes_before_update BEFORE UPDATE ON nodes
FOR EACH ROW EXECUTE FUNCTION nodes_before_update();

CREATE FUNCTION nodes_after_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO node_status (node_id) VALUES (NEW.id);
    RETURN NULL;
END $$;
CREATE TRIGGER nodes_after_insert AFTER INSERT ON nodes
FOR EACH ROW EXECUTE FUNCTION nodes_after_insert();
