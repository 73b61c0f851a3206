-- How many proxies each node has, kept by the schema: a new proxy is placed without counting those of every node.

ALTER TABLE nodes ADD COLUMN proxy_count integer NOT NULL DEFAULT 0;
UPDATE nodes n SET proxy_count = (SELECT count(*) FROM proxies p WHERE p.node_id = n.id);

-- Fires after the triggers that have locked the nodes, which is by name: "count" comes after "after".
CREATE FUNCTION proxies_count() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'DELETE' THEN
        UPDATE nodes n SET proxy_count = n.proxy_count + came.count
        FROM (SELECT node_id, count(*) AS count FROM new_rows GROUP BY node_id) AS came
        WHERE n.id = came.node_id;
    END IF;
    IF TG_OP <> 'INSERT' THEN
        UPDATE nodes n SET proxy_count = n.proxy_count - went.count
        FROM (SELECT node_id, count(*) AS count FROM old_rows GROUP BY node_id) AS went
        WHERE n.id = went.node_id;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER proxies_count_insert AFTER INSERT ON proxies
REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION proxies_count();
CREATE TRIGGER proxies_count_delete AFTER DELETE ON proxies
REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION proxies_count();

-- A proxy that changes its node counts there; any other change counts nothing.
CREATE FUNCTION proxies_count_moved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE nodes n SET proxy_count = n.proxy_count + moved.count
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
