-- Who had which endpoint and which exit address at what time.

-- One row for each stretch of time; `until` NULL: still so. `exit_address` is where connections leave by the mode
-- `default` (as far as is known) or `address`, `exit_prefix` what random addresses are drawn out of. Rows outlive
-- their proxy and their node.
CREATE TABLE endpoint_history (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    proxy_id bigint NOT NULL,
    name text,
    node_id bigint NOT NULL,
    ip text NOT NULL,
    port integer NOT NULL,
    username text,
    exit_mode text NOT NULL,
    exit_address text,
    exit_prefix text,
    since timestamptz NOT NULL,
    until timestamptz
) WITH (fillfactor = 90);
CREATE INDEX endpoint_history_ip_port_idx ON endpoint_history (ip, port, since);
CREATE INDEX endpoint_history_exit_address_idx ON endpoint_history (exit_address, since) WHERE exit_address IS NOT NULL;
CREATE INDEX endpoint_history_proxy_id_idx ON endpoint_history (proxy_id);
CREATE INDEX endpoint_history_until_idx ON endpoint_history (until) WHERE until IS NOT NULL;
CREATE INDEX endpoint_history_prefix_idx ON endpoint_history (node_id, exit_prefix) WHERE exit_prefix IS NOT NULL;

-- Every key under which a node ever drew out of a prefix: an address tells whose it was by these alone.
CREATE TABLE exit_keys (
    node_id bigint NOT NULL,
    prefix cidr NOT NULL,
    key text NOT NULL,
    PRIMARY KEY (node_id, prefix, key)
);
CREATE INDEX exit_keys_prefix_idx ON exit_keys USING gist (prefix inet_ops);

-- A proxy serves at its own place and, while it is rotated, at a second one.
CREATE VIEW present_endpoints AS
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

-- Ends what is no longer so of these proxies and begins what is new: asked twice, it does nothing the second time. The
-- clock, not the transaction's time: whoever waited for a port to become free has it after the one before.
CREATE FUNCTION note_endpoints(ids bigint[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    at timestamptz := clock_timestamp();
BEGIN
    UPDATE endpoint_history h SET until = at
    WHERE h.proxy_id = ANY (ids) AND h.until IS NULL AND NOT EXISTS (
        SELECT FROM present_endpoints e
        WHERE e.proxy_id = h.proxy_id
          AND ROW (e.node_id, e.ip, e.port, e.username, e.exit_mode, e.exit_address, e.exit_prefix)
              IS NOT DISTINCT FROM ROW (h.node_id, h.ip, h.port, h.username, h.exit_mode, h.exit_address, h.exit_prefix)
    );
    UPDATE endpoint_history h SET name = p.name
    FROM proxies p
    WHERE h.proxy_id = ANY (ids) AND h.until IS NULL AND p.id = h.proxy_id AND p.name IS DISTINCT FROM h.name;
    INSERT INTO endpoint_history (
        proxy_id, name, node_id, ip, port, username, exit_mode, exit_address, exit_prefix, since
    )
    SELECT e.proxy_id, e.name, e.node_id, e.ip, e.port, e.username, e.exit_mode, e.exit_address, e.exit_prefix, at
    FROM present_endpoints e
    WHERE e.proxy_id = ANY (ids) AND NOT EXISTS (
        SELECT FROM endpoint_history h
        WHERE h.proxy_id = e.proxy_id AND h.until IS NULL AND h.node_id = e.node_id AND h.port = e.port
    );
    INSERT INTO exit_keys (node_id, prefix, key)
    SELECT DISTINCT e.node_id, e.exit_prefix::cidr, n.exit_key
    FROM present_endpoints e
    JOIN nodes n ON n.id = e.node_id
    WHERE e.proxy_id = ANY (ids) AND e.exit_prefix IS NOT NULL
    ORDER BY 1, 2
    ON CONFLICT DO NOTHING;
END $$;
SELECT note_endpoints(array_agg(id)) FROM proxies;
UPDATE endpoint_history h SET since = p.updated_at FROM proxies p WHERE p.id = h.proxy_id;

CREATE FUNCTION proxies_endpoints() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM note_endpoints(array_agg(id)) FROM new_rows HAVING count(*) > 0;
    ELSIF TG_OP = 'DELETE' THEN
        PERFORM note_endpoints(array_agg(id)) FROM old_rows HAVING count(*) > 0;
    ELSE
        PERFORM note_endpoints(array_agg(id))
        FROM old_rows o JOIN new_rows w USING (id)
        WHERE ROW (o.name, o.node_id, o.port, o.username, o.exit)
            IS DISTINCT FROM ROW (w.name, w.node_id, w.port, w.username, w.exit)
        HAVING count(*) > 0;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER proxies_endpoints_insert AFTER INSERT ON proxies
REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION proxies_endpoints();
CREATE TRIGGER proxies_endpoints_delete AFTER DELETE ON proxies
REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION proxies_endpoints();
CREATE TRIGGER proxies_endpoints_update AFTER UPDATE ON proxies
REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION proxies_endpoints();

CREATE FUNCTION endpoints_noted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM note_endpoints(ARRAY[COALESCE(NEW.proxy_id, OLD.proxy_id)]);
    RETURN NULL;
END $$;
CREATE TRIGGER endpoints_noted AFTER INSERT OR DELETE OR UPDATE OF node_id, port, username, exit ON endpoints
FOR EACH ROW EXECUTE FUNCTION endpoints_noted();

CREATE FUNCTION nodes_endpoints() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM note_endpoints(array_agg(DISTINCT proxy_id)) FROM present_endpoints WHERE node_id = NEW.id HAVING count(*) > 0;
    RETURN NULL;
END $$;
CREATE TRIGGER nodes_endpoints AFTER UPDATE OF ip, ipv6_prefixes, exit_key ON nodes
FOR EACH ROW WHEN (ROW (NEW.ip, NEW.ipv6_prefixes, NEW.exit_key) IS DISTINCT FROM ROW (OLD.ip, OLD.ipv6_prefixes, OLD.exit_key))
EXECUTE FUNCTION nodes_endpoints();
