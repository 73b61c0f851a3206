-- Triggers, by the table that they watch: outbox, versions, counts, drains and the history of endpoints.
--
-- Locks are taken in one order: nodes by id, then stacks by id, then everything else. Triggers of one table fire in the
-- order of their names; `..._after_...`, which locks the nodes, comes first.

-- Triggers of nodes

-- Raise the revisions of nodes. They are locked by id, in whatever order their proxies were written.
-- NO KEY UPDATE lets a report, which keeps its node from being deleted by FOR KEY SHARE, pass without waiting.
CREATE FUNCTION nodes_bump(ids bigint[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM public.nodes WHERE id = ANY (ids) ORDER BY id FOR NO KEY UPDATE;
    UPDATE public.nodes SET revision = revision + 1 WHERE id = ANY (ids);
END $$;

-- A node that is enabled or disabled has another list. A node that gets another address has another list, too: it
-- guards the address at which clients reach it, and knows it only from the master. The masters are notified at commit.
CREATE FUNCTION nodes_before_update() RETURNS trigger LANGUAGE plpgsql AS $$
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
CREATE TRIGGER nodes_before_update BEFORE UPDATE ON nodes
FOR EACH ROW EXECUTE FUNCTION nodes_before_update();

CREATE FUNCTION nodes_after_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.node_status (node_id) VALUES (NEW.id);
    RETURN NULL;
END $$;
CREATE TRIGGER nodes_after_insert AFTER INSERT ON nodes
FOR EACH ROW EXECUTE FUNCTION nodes_after_insert();

-- The address of a node is part of 3proxy's rules, which it reads when it starts: its records are sent again.
CREATE FUNCTION nodes_ip_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE public.proxies SET version = version + 1
    WHERE engine = '3proxy'
      AND (node_id = NEW.id OR id IN (SELECT proxy_id FROM public.endpoints WHERE node_id = NEW.id));
    RETURN NULL;
END $$;
CREATE TRIGGER nodes_ip_changed AFTER UPDATE OF ip ON nodes
FOR EACH ROW WHEN (NEW.ip <> OLD.ip) EXECUTE FUNCTION nodes_ip_changed();

-- The records of proxies that draw addresses from the node's first prefix hold that prefix.
CREATE FUNCTION nodes_prefixes_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE public.proxies SET version = version + 1
    WHERE node_id = NEW.id AND exit ->> 'mode' IN ('ipv6_random', 'ipv6_session') AND NOT exit ? 'prefix';
    RETURN NULL;
END $$;
CREATE TRIGGER nodes_prefixes_changed AFTER UPDATE OF ipv6_prefixes ON nodes
FOR EACH ROW WHEN (NEW.ipv6_prefixes[1] IS DISTINCT FROM OLD.ipv6_prefixes[1])
EXECUTE FUNCTION nodes_prefixes_changed();

-- When a node stops draining, moves that have begun go on, and those that have not are cancelled.
CREATE FUNCTION nodes_drain_ended() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM public.drains WHERE node_id = NEW.id;
    DELETE FROM public.rotations WHERE drained_node_id = NEW.id AND state = 'waiting';
    RETURN NULL;
END $$;
CREATE TRIGGER nodes_drain_ended AFTER UPDATE OF state ON nodes
FOR EACH ROW WHEN (NEW.state <> 'draining' AND OLD.state = 'draining') EXECUTE FUNCTION nodes_drain_ended();

-- Triggers of proxies

-- The schema itself keeps version, checksum and the revision that carries a change, so that no code path forgets them.
-- Writers have locked the node's row, so the revision read here is the one that the end of the statement will set.
CREATE FUNCTION proxies_before_write() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF NEW.version > OLD.version THEN
            NULL;
        ELSIF ROW (NEW.name, NEW.node_id, NEW.port, NEW.protocol, NEW.username, NEW.password, NEW.allow_ips,
                   NEW.engine, NEW.enabled, NEW.labels, NEW.exit, NEW.limits, NEW.destinations, NEW.tls)
            IS DISTINCT FROM ROW (OLD.name, OLD.node_id, OLD.port, OLD.protocol, OLD.username, OLD.password,
                   OLD.allow_ips, OLD.engine, OLD.enabled, OLD.labels, OLD.exit, OLD.limits, OLD.destinations, OLD.tls) THEN
            NEW.version := OLD.version + 1;
        ELSE
            RETURN NEW;
        END IF;
        NEW.updated_at := now();
    END IF;
    NEW.expires_at := (NEW.limits ->> 'expires_at')::timestamptz;
    SELECT
        n.revision + 1,
        record_checksum(
            NEW, NEW.port, NEW.username, NEW.password, exit_for_node(NEW.exit, n.ipv6_prefixes, n.exit_key),
            further_endpoint(e)
        )
    INTO NEW.changed_revision, NEW.content
    FROM public.nodes n
    LEFT JOIN public.endpoints e ON e.proxy_id = NEW.id AND e.node_id = n.id
    WHERE n.id = NEW.node_id;
    RETURN NEW;
END $$;
CREATE TRIGGER proxies_before_write BEFORE INSERT OR UPDATE ON proxies
FOR EACH ROW EXECUTE FUNCTION proxies_before_write();

CREATE FUNCTION proxies_after_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM nodes_bump(array_agg(DISTINCT node_id)) FROM new_rows HAVING count(*) > 0;
    RETURN NULL;
END $$;
CREATE TRIGGER proxies_after_insert AFTER INSERT ON proxies
REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION proxies_after_insert();

-- A new version of a proxy also changes the list of the node that has its second endpoint.
CREATE FUNCTION proxies_after_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM nodes_bump(array_agg(DISTINCT changed.node_id))
    FROM (
        SELECT unnest(ARRAY[o.node_id, n.node_id, e.node_id]) AS node_id
        FROM old_rows o
        JOIN new_rows n USING (id)
        LEFT JOIN public.endpoints e ON e.proxy_id = n.id
        WHERE o.version <> n.version
    ) AS changed
    WHERE changed.node_id IS NOT NULL
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

-- `proxy_count` of nodes. "count" comes after "after": the nodes are locked by then.
CREATE FUNCTION proxies_count() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'DELETE' THEN
        UPDATE public.nodes n SET proxy_count = n.proxy_count + came.count
        FROM (SELECT node_id, count(*) AS count FROM new_rows GROUP BY node_id) AS came
        WHERE n.id = came.node_id;
    END IF;
    IF TG_OP <> 'INSERT' THEN
        UPDATE public.nodes n SET proxy_count = n.proxy_count - went.count
        FROM (SELECT node_id, count(*) AS count FROM old_rows GROUP BY node_id) AS went
        WHERE n.id = went.node_id;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER proxies_count_insert AFTER INSERT ON proxies
REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION proxies_count();
CREATE TRIGGER proxies_count_delete AFTER DELETE ON proxies
REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION proxies_count();

CREATE FUNCTION proxies_count_moved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE public.nodes n SET proxy_count = n.proxy_count + moved.count
    FROM (
        SELECT one.node_id, sum(one.step) AS count
        FROM old_rows o
        JOIN new_rows w ON w.id = o.id AND w.node_id <> o.node_id
        CROSS JOIN LATERAL (VALUES (o.node_id, -1), (w.node_id, 1)) AS one (node_id, step)
        GROUP BY one.node_id
    ) AS moved
    WHERE n.id = moved.node_id;
    RETURN NULL;
END $$;
CREATE TRIGGER proxies_count_update AFTER UPDATE ON proxies
REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION proxies_count_moved();

-- `count` of stacks. Stacks are locked after the nodes.
CREATE FUNCTION proxies_in_stacks() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        UPDATE public.stacks s SET count = s.count + came.count
        FROM (SELECT stack_id, count(*) AS count FROM new_rows GROUP BY stack_id) AS came
        WHERE s.id = came.stack_id;
    ELSE
        PERFORM 1 FROM public.stacks WHERE id IN (SELECT stack_id FROM old_rows) ORDER BY id FOR NO KEY UPDATE;
        UPDATE public.stacks s SET count = s.count - went.count, version = s.version + 1, updated_at = now()
        FROM (SELECT stack_id, count(*) AS count FROM old_rows GROUP BY stack_id) AS went
        WHERE s.id = went.stack_id;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER proxies_in_stacks_insert AFTER INSERT ON proxies
REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION proxies_in_stacks();
CREATE TRIGGER proxies_in_stacks_delete AFTER DELETE ON proxies
REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION proxies_in_stacks();

CREATE FUNCTION proxies_left() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.former_proxies (proxy_id, node_id, name, stack_id, labels)
    SELECT id, node_id, name, stack_id, labels FROM old_rows
    ON CONFLICT (proxy_id, node_id) DO UPDATE
    SET name = EXCLUDED.name, stack_id = EXCLUDED.stack_id, labels = EXCLUDED.labels, left_at = now();
    RETURN NULL;
END $$;
CREATE TRIGGER proxies_left_delete AFTER DELETE ON proxies
REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION proxies_left();

-- What nodes and checks reported of a proxy goes with it. These tables have no foreign keys: one would have every first
-- report of a proxy lock its row, and every removal search the tables row by row.
CREATE FUNCTION proxies_figures() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM public.proxy_live WHERE proxy_id IN (SELECT id FROM old_rows);
    DELETE FROM public.proxy_checks WHERE proxy_id IN (SELECT id FROM old_rows);
    DELETE FROM public.usage_totals WHERE proxy_id IN (SELECT id FROM old_rows);
    RETURN NULL;
END $$;
CREATE TRIGGER proxies_figures_delete AFTER DELETE ON proxies
REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION proxies_figures();

CREATE FUNCTION proxies_left_node() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.former_proxies (proxy_id, node_id, name) VALUES (OLD.id, OLD.node_id, OLD.name)
    ON CONFLICT (proxy_id, node_id) DO UPDATE SET name = EXCLUDED.name, left_at = now();
    RETURN NULL;
END $$;
CREATE TRIGGER proxies_left_update AFTER UPDATE OF node_id ON proxies
FOR EACH ROW WHEN (NEW.node_id <> OLD.node_id) EXECUTE FUNCTION proxies_left_node();

CREATE FUNCTION proxies_drained() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM public.drain_failures WHERE proxy_id = NEW.id;
    RETURN NULL;
END $$;
CREATE TRIGGER proxies_drained AFTER UPDATE OF node_id ON proxies
FOR EACH ROW WHEN (NEW.node_id <> OLD.node_id) EXECUTE FUNCTION proxies_drained();

-- Triggers of endpoints and rotations

CREATE FUNCTION endpoints_before_write() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.away := NEW.node_id <> (SELECT node_id FROM public.proxies WHERE id = NEW.proxy_id);
    SELECT revision + 1 INTO NEW.changed_revision FROM public.nodes WHERE id = NEW.node_id;
    RETURN NEW;
END $$;
CREATE TRIGGER endpoints_before_write BEFORE INSERT OR UPDATE OF node_id, port, username, password, exit ON endpoints
FOR EACH ROW EXECUTE FUNCTION endpoints_before_write();

-- A change of a second endpoint is a new version of its proxy. An endpoint that ends on another node than the proxy's
-- was removed there on purpose, which the wipe guard must know, and its last counters may still come. Its port is given
-- to nobody for a minute: a node that gets the end of one endpoint and the start of another in one list may open the
-- port before it has closed it.
CREATE FUNCTION endpoints_after_write() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM nodes_bump(ARRAY[OLD.node_id]);
        INSERT INTO public.taken_ports AS t (node_id, port, until)
        SELECT OLD.node_id, OLD.port, now() + interval '1 minute'
        WHERE NOT EXISTS (SELECT FROM public.proxies p WHERE p.node_id = OLD.node_id AND p.port = OLD.port)
        ON CONFLICT (node_id, port) DO UPDATE SET until = GREATEST(t.until, EXCLUDED.until);
        IF OLD.away THEN
            INSERT INTO public.removals (node_id, revision, count)
            SELECT id, revision, 1 FROM public.nodes WHERE id = OLD.node_id;
            INSERT INTO public.former_proxies (proxy_id, node_id, name)
            VALUES (OLD.proxy_id, OLD.node_id, (SELECT name FROM public.proxies WHERE id = OLD.proxy_id))
            ON CONFLICT (proxy_id, node_id) DO UPDATE SET left_at = now();
        END IF;
    ELSIF TG_OP = 'UPDATE' THEN
        PERFORM nodes_bump(ARRAY[OLD.node_id]);
    END IF;
    UPDATE public.proxies SET version = version + 1 WHERE id = COALESCE(NEW.proxy_id, OLD.proxy_id);
    RETURN NULL;
END $$;
CREATE TRIGGER endpoints_after_write
AFTER INSERT OR DELETE OR UPDATE OF node_id, port, username, password, exit ON endpoints
FOR EACH ROW EXECUTE FUNCTION endpoints_after_write();

-- Note the node of the proxy for the history, whoever requests the rotation.
CREATE FUNCTION rotations_before_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT node_id INTO NEW.from_node_id FROM public.proxies WHERE id = NEW.proxy_id;
    RETURN NEW;
END $$;
CREATE TRIGGER rotations_before_insert BEFORE INSERT ON rotations
FOR EACH ROW EXECUTE FUNCTION rotations_before_insert();

-- Note why a rotation could not move its proxy off a draining node. The proxy's node is locked, so both still exist.
CREATE FUNCTION rotations_failed_to_drain() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.drain_failures AS f (proxy_id, node_id, reason, next_at)
    SELECT p.id, d.node_id, COALESCE(NEW.reason, ''), retry_at(1, 600)
    FROM public.proxies p
    JOIN public.drains d ON d.node_id = p.node_id
    WHERE p.id = NEW.proxy_id AND d.node_id = NEW.drained_node_id
    ON CONFLICT (proxy_id) DO UPDATE
    SET reason = EXCLUDED.reason, tries = f.tries + 1, next_at = retry_at(f.tries + 1, 600);
    RETURN NULL;
END $$;
CREATE TRIGGER rotations_failed_to_drain AFTER UPDATE OF state ON rotations
FOR EACH ROW WHEN (NEW.drained_node_id IS NOT NULL AND NEW.state = 'failed' AND OLD.state <> 'failed')
EXECUTE FUNCTION rotations_failed_to_drain();

-- Triggers that keep the history of endpoints

-- End the periods of these proxies that are over and begin those that are new; a second call changes nothing. By the
-- clock, not by the transaction's start: a transaction that waited for a port to become free has it after the other.
CREATE FUNCTION record_endpoints(ids bigint[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    at timestamptz := clock_timestamp();
BEGIN
    WITH present AS MATERIALIZED (
        SELECT e.proxy_id, e.name, e.node_id, e.ip, e.port, e.username, e.exit_mode, e.exit_address, e.exit_prefix
        FROM public.current_endpoints e
        WHERE e.proxy_id = ANY (ids)
    ), periods AS MATERIALIZED (
        SELECT
            h.id, h.proxy_id, h.name, h.node_id, h.port,
            ROW (h.ip, h.username, h.exit_mode, h.exit_address, h.exit_prefix) AS facts
        FROM public.endpoint_history h
        WHERE h.proxy_id = ANY (ids) AND h.until IS NULL
    ), compared AS MATERIALIZED (
        SELECT
            h.id, h.name IS DISTINCT FROM e.name AS is_renamed, e.*,
            h.facts IS NOT DISTINCT FROM ROW (e.ip, e.username, e.exit_mode, e.exit_address, e.exit_prefix) AS is_same
        FROM periods h
        FULL JOIN present e ON e.proxy_id = h.proxy_id AND e.node_id = h.node_id AND e.port = h.port
    ), ended AS (
        UPDATE public.endpoint_history h SET until = at
        FROM compared c
        WHERE h.id = c.id AND NOT c.is_same
    ), renamed AS (
        UPDATE public.endpoint_history h SET name = c.name
        FROM compared c
        WHERE h.id = c.id AND c.is_same AND c.is_renamed
    )
    INSERT INTO public.endpoint_history (
        proxy_id, name, node_id, ip, port, username, exit_mode, exit_address, exit_prefix, since
    )
    SELECT c.proxy_id, c.name, c.node_id, c.ip, c.port, c.username, c.exit_mode, c.exit_address, c.exit_prefix, at
    FROM compared c
    WHERE c.proxy_id IS NOT NULL AND (c.id IS NULL OR NOT c.is_same);
    INSERT INTO public.exit_keys (node_id, prefix, key)
    SELECT DISTINCT e.node_id, e.exit_prefix::cidr, n.exit_key
    FROM public.current_endpoints e
    JOIN public.nodes n ON n.id = e.node_id
    WHERE e.proxy_id = ANY (ids) AND e.exit_prefix IS NOT NULL
    ORDER BY 1, 2
    ON CONFLICT DO NOTHING;
END $$;

CREATE FUNCTION proxies_history() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM record_endpoints(array_agg(id)) FROM new_rows HAVING count(*) > 0;
    ELSIF TG_OP = 'DELETE' THEN
        PERFORM record_endpoints(array_agg(id)) FROM old_rows HAVING count(*) > 0;
    ELSE
        PERFORM record_endpoints(array_agg(id))
        FROM old_rows o JOIN new_rows w USING (id)
        WHERE ROW (o.name, o.node_id, o.port, o.username, o.exit)
            IS DISTINCT FROM ROW (w.name, w.node_id, w.port, w.username, w.exit)
        HAVING count(*) > 0;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER proxies_history_insert AFTER INSERT ON proxies
REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION proxies_history();
CREATE TRIGGER proxies_history_delete AFTER DELETE ON proxies
REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION proxies_history();
CREATE TRIGGER proxies_history_update AFTER UPDATE ON proxies
REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION proxies_history();

CREATE FUNCTION endpoints_history() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM record_endpoints(ARRAY[COALESCE(NEW.proxy_id, OLD.proxy_id)]);
    RETURN NULL;
END $$;
CREATE TRIGGER endpoints_history AFTER INSERT OR DELETE OR UPDATE OF node_id, port, username, exit ON endpoints
FOR EACH ROW EXECUTE FUNCTION endpoints_history();

CREATE FUNCTION nodes_history() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM record_endpoints(array_agg(DISTINCT proxy_id)) FROM public.current_endpoints WHERE node_id = NEW.id
    HAVING count(*) > 0;
    RETURN NULL;
END $$;
CREATE TRIGGER nodes_history AFTER UPDATE OF ip, ipv6_prefixes, exit_key ON nodes
FOR EACH ROW WHEN (
    ROW (NEW.ip, NEW.ipv6_prefixes, NEW.exit_key) IS DISTINCT FROM ROW (OLD.ip, OLD.ipv6_prefixes, OLD.exit_key)
)
EXECUTE FUNCTION nodes_history();
