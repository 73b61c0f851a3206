-- The log: what stack an event is of, how far it is forgotten, and who is told of it.

ALTER TABLE events ADD COLUMN stack_id bigint;
CREATE INDEX events_stack_id_idx ON events (stack_id, id) WHERE stack_id IS NOT NULL;
CREATE INDEX events_location_id_idx ON events (location_id, id) WHERE location_id IS NOT NULL;

-- Events up to `forgotten` are no more: whoever knows less has missed some.
CREATE TABLE event_log (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    forgotten bigint NOT NULL DEFAULT 0
);
INSERT INTO event_log DEFAULT VALUES;

-- Whether a type is among those asked for, which may be patterns like "proxy.*"; none asked for is any.
CREATE FUNCTION is_type(type text, asked text[]) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT asked = '{}' OR type = ANY (asked) OR split_part(type, '.', 1) || '.*' = ANY (asked)
$$;

-- `position` is the last event that its receiver has, or does not want. Who delivers holds `claim` until then, and
-- moves the position only while the claim is his own.
CREATE TABLE webhooks (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    url text NOT NULL CHECK (length(url) BETWEEN 1 AND 2000),
    secret text NOT NULL,
    types text[] NOT NULL DEFAULT '{}',
    node_id bigint,
    proxy_id bigint,
    stack_id bigint,
    location_id bigint,
    enabled boolean NOT NULL DEFAULT true,
    position bigint NOT NULL,
    failures integer NOT NULL DEFAULT 0,
    next_at timestamptz NOT NULL DEFAULT now(),
    claim uuid,
    claimed_until timestamptz NOT NULL DEFAULT '-infinity',
    last_error text,
    last_delivered_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 80);

CREATE FUNCTION is_wanted_by(e events, w webhooks) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT is_type(e.type, w.types)
        AND (w.node_id IS NULL OR e.node_id = w.node_id)
        AND (w.proxy_id IS NULL OR e.proxy_id = w.proxy_id)
        AND (w.stack_id IS NULL OR e.stack_id = w.stack_id)
        AND (w.location_id IS NULL OR e.location_id = w.location_id)
$$;

-- Shares of a traffic limit that were passed: told once for each limit in each of its periods.
CREATE TABLE usage_thresholds (
    proxy_id bigint NOT NULL REFERENCES proxies (id) ON DELETE CASCADE,
    percent integer NOT NULL,
    limit_bytes bigint NOT NULL,
    began timestamptz NOT NULL,
    PRIMARY KEY (proxy_id, percent, limit_bytes, began)
);
