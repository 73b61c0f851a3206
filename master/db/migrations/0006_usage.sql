-- What proxies were used for: counters as nodes tell them, and what they grew by in each hour.

-- Proxies that were a node's once: their last counters may still come, and their usage keeps its name.
CREATE TABLE former_proxies (
    proxy_id bigint NOT NULL,
    node_id bigint NOT NULL,
    name text,
    left_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (proxy_id, node_id)
);
CREATE INDEX former_proxies_left_at_idx ON former_proxies (left_at);

CREATE FUNCTION proxies_left() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO former_proxies (proxy_id, node_id, name) SELECT id, node_id, name FROM old_rows
    ON CONFLICT (proxy_id, node_id) DO UPDATE SET name = EXCLUDED.name, left_at = now();
    RETURN NULL;
END $$;
CREATE TRIGGER proxies_left_delete AFTER DELETE ON proxies
REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION proxies_left();

CREATE FUNCTION proxies_left_node() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO former_proxies (proxy_id, node_id, name) VALUES (OLD.id, OLD.node_id, OLD.name)
    ON CONFLICT (proxy_id, node_id) DO UPDATE SET name = EXCLUDED.name, left_at = now();
    RETURN NULL;
END $$;
CREATE TRIGGER proxies_left_update AFTER UPDATE OF node_id ON proxies
FOR EACH ROW WHEN (NEW.node_id <> OLD.node_id) EXECUTE FUNCTION proxies_left_node();

-- The highest that was told of each life (`epoch`) of a proxy's counter: what comes twice or late adds nothing. Rows
-- outlive their proxy, so that what its node tells afterwards is counted once as well.
CREATE TABLE usage_counters (
    proxy_id bigint NOT NULL,
    epoch bigint NOT NULL,
    node_id bigint NOT NULL,
    received_bytes bigint NOT NULL,
    sent_bytes bigint NOT NULL,
    connections bigint NOT NULL,
    refused jsonb NOT NULL,
    PRIMARY KEY (proxy_id, epoch)
) WITH (fillfactor = 80);

-- By how much counters grew in the hour that begins at `hour`; days that are long past are one row, at their midnight
-- (UTC). Node and location are those of the time.
CREATE TABLE usage_hours (
    proxy_id bigint NOT NULL,
    node_id bigint NOT NULL,
    hour timestamptz NOT NULL,
    location_id bigint,
    received_bytes bigint NOT NULL,
    sent_bytes bigint NOT NULL,
    connections bigint NOT NULL,
    refused jsonb NOT NULL,
    PRIMARY KEY (proxy_id, node_id, hour)
) WITH (fillfactor = 80);
CREATE INDEX usage_hours_hour_idx ON usage_hours (hour);
CREATE INDEX usage_hours_within_day_idx ON usage_hours (hour) WHERE extract(hour FROM hour AT TIME ZONE 'UTC') <> 0;

-- Sums end at the largest number that there is: a node that tells nonsense breaks no statement.
CREATE FUNCTION plus(one bigint, other bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT LEAST(one::numeric + other, 9223372036854775807)::bigint
$$;

-- Counts by reason, {"login": 3}; no more than 64 reasons are kept.
CREATE FUNCTION reasons_plus(one jsonb, other jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN other = '{}' THEN one
        WHEN one = '{}' THEN other
        ELSE (
            SELECT jsonb_object_agg(reason, count)
            FROM (
                SELECT reason, LEAST(sum(count::numeric), 9223372036854775807) AS count
                FROM (SELECT * FROM jsonb_each_text(one) UNION ALL SELECT * FROM jsonb_each_text(other)) AS both_of (reason, count)
                GROUP BY reason ORDER BY reason LIMIT 64
            ) AS sums
        )
    END
$$;

-- By how much counts grew; one that is lower than before has not.
CREATE FUNCTION reasons_grown(told jsonb, known jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT COALESCE(jsonb_object_agg(key, value::numeric - COALESCE(known ->> key, '0')::numeric), '{}')
    FROM jsonb_each_text(told)
    WHERE value::numeric > COALESCE(known ->> key, '0')::numeric
$$;

CREATE AGGREGATE reasons_sum(jsonb) (SFUNC = reasons_plus, STYPE = jsonb, INITCOND = '{}');
