-- Tables by noun, after the functions of plain values that the other files use.

-- Functions of plain values

-- Add two counters. The sum stops at the largest bigint, so that absurd figures in a report break no statement.
CREATE FUNCTION saturating_add(one bigint, other bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT LEAST(one::numeric + other, 9223372036854775807)::bigint
$$;

-- Add two sets of counts by reason, such as {"login": 3}. At most 64 reasons are kept.
CREATE FUNCTION reasons_add(one jsonb, other jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN other = '{}' THEN one
        WHEN one = '{}' THEN other
        ELSE (
            SELECT jsonb_object_agg(reason, count)
            FROM (
                SELECT reason, LEAST(sum(count::numeric), 9223372036854775807) AS count
                FROM (
                    SELECT * FROM jsonb_each_text(one) UNION ALL SELECT * FROM jsonb_each_text(other)
                ) AS both_of (reason, count)
                GROUP BY reason ORDER BY reason LIMIT 64
            ) AS sums
        )
    END
$$;

CREATE AGGREGATE reasons_sum(jsonb) (SFUNC = reasons_add, STYPE = jsonb, INITCOND = '{}');

-- Subtract the known counts by reason from the reported ones. A count that is not higher than before is left out.
CREATE FUNCTION reasons_growth(reported jsonb, known jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT COALESCE(jsonb_object_agg(key, value::numeric - COALESCE(known ->> key, '0')::numeric), '{}')
    FROM jsonb_each_text(reported)
    WHERE value::numeric > COALESCE(known ->> key, '0')::numeric
$$;

-- Whether an event type matches one of the patterns, such as "proxy.created" or "proxy.*". No pattern matches any.
CREATE FUNCTION type_matches(type text, patterns text[]) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT patterns = '{}' OR type = ANY (patterns) OR split_part(type, '.', 1) || '.*' = ANY (patterns)
$$;

-- The time of the next attempt after this many: in 4 s, 8 s, 16 s and so on up to `most_s`, with a quarter of jitter.
CREATE FUNCTION retry_at(tries integer, most_s integer) RETURNS timestamptz LANGUAGE sql VOLATILE AS $$
    SELECT clock_timestamp() + make_interval(secs => LEAST(most_s, 2 * 2 ^ LEAST(tries, 20)) * (0.75 + 0.5 * random()))
$$;

-- Complete an exit for the node: random addresses need a prefix, by default the node's first, and the node's key.
CREATE FUNCTION exit_for_node(requested jsonb, prefixes text[], key text) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT CASE
        WHEN requested ->> 'mode' IN ('ipv6_random', 'ipv6_session')
            THEN jsonb_build_object('prefix', prefixes[1]) || requested || jsonb_build_object('key', key)
        ELSE requested
    END
$$;

-- Cluster

CREATE TABLE cluster (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    id uuid NOT NULL DEFAULT gen_random_uuid()
);
INSERT INTO cluster DEFAULT VALUES;

-- Masters that run. The row of one that was killed stays for a day.
CREATE TABLE masters (
    id text PRIMARY KEY,
    host text NOT NULL,
    version text NOT NULL,
    started_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL DEFAULT now(),
    broker_revs bigint[] NOT NULL DEFAULT '{}'
);

-- Links to the broker: where masters and nodes reach it. Rows are written when the broker moves; without any, the
-- settings of each master count. `amqp_urls` hold the masters' login; `ca` is PEM, 'system' or NULL. Masters open a
-- `new` link beside the present one (`only`). It is `both` when every master is up at both: nodes move to it. Then it is
-- `only`, and the former one is `closing` until the nodes' logins there are deleted, or `left_over` tells why they
-- could not be. A row that is `old` is history. `rev` is above all that nodes ever reported. Links with the same
-- `queues` lead to the same queues by other addresses, such as with TLS: whichever is used, the other one is heard.
CREATE TABLE broker_links (
    rev bigint PRIMARY KEY CHECK (rev >= 0),
    amqp_urls text[] NOT NULL CHECK (cardinality(amqp_urls) BETWEEN 1 AND 8),
    management_urls text[] NOT NULL CHECK (cardinality(management_urls) BETWEEN 1 AND 8),
    node_amqp_urls text[] NOT NULL CHECK (cardinality(node_amqp_urls) BETWEEN 1 AND 8),
    ca text,
    queues bigint NOT NULL,
    state text NOT NULL CHECK (state IN ('new', 'both', 'only', 'closing', 'old')),
    made_at timestamptz NOT NULL DEFAULT now(),
    state_at timestamptz NOT NULL DEFAULT now(),
    claimed_until timestamptz NOT NULL DEFAULT '-infinity',
    left_over text
);
CREATE UNIQUE INDEX broker_links_move_key ON broker_links ((true)) WHERE state IN ('new', 'both');
CREATE UNIQUE INDEX broker_links_only_key ON broker_links ((true)) WHERE state = 'only';

-- Locations

CREATE TABLE locations (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL CONSTRAINT locations_name_key UNIQUE CHECK (length(name) BETWEEN 1 AND 100),
    country text CHECK (country ~ '^[A-Z]{2}$'),
    labels jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(labels) = 'object'),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- Invitations: nodes that enrol themselves

-- `key` is derived from the secret in the invitation's code, and proves announcements; the code itself is not stored.
-- NULL limits are the defaults of nodes. `used` counts the nodes that were ever made by it. A removed invitation stays
-- for a month, so that nodes that still have its code learn why they are refused.
CREATE TABLE invitations (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key text NOT NULL CHECK (key ~ '^[0-9a-f]{64}$'),
    location_id bigint CONSTRAINT invitations_location_id_fkey REFERENCES locations (id),
    labels jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(labels) = 'object'),
    max_proxies integer CHECK (max_proxies BETWEEN 0 AND 60000),
    port_from integer CHECK (port_from BETWEEN 1 AND 65535),
    port_to integer CHECK (port_to BETWEEN 1 AND 65535),
    exit_addresses text[] NOT NULL DEFAULT '{}',
    ipv6_prefixes text[] NOT NULL DEFAULT '{}',
    name_prefix text CHECK (length(name_prefix) BETWEEN 1 AND 60),
    uses integer NOT NULL CHECK (uses >= 1),
    used integer NOT NULL DEFAULT 0,
    expires_at timestamptz NOT NULL CONSTRAINT invitations_expires_at_finite CHECK (isfinite(expires_at)),
    last_error text,
    last_error_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    removed_at timestamptz,
    CONSTRAINT invitations_used CHECK (used BETWEEN 0 AND uses),
    CHECK (port_from <= port_to AND (port_from IS NULL) = (port_to IS NULL))
);
CREATE INDEX invitations_location_id_idx ON invitations (location_id);

-- Nodes

-- `revision` is the outbox: it grows with every change of what the node should run, and the node has to be sent its
-- list while `revision` is above `sent_revision`. `state_revision` is the revision at which the node was last enabled
-- or disabled. `sent_at` is the time of the oldest list that the node has not confirmed. `addresses` were reported by
-- the node, `exit_addresses` were declared by an operator. `exit_key` is the node's own: it links an address out of a
-- prefix to the proxy that used it. A node has no broker login before `shut_out_until`, because it flooded the master.
-- The triggers of `proxies` keep `proxy_count`, so that placement counts no proxies. Upgrades leave out a node that has
-- a `pinned_version`, unless it is theirs. `broker_rev` is the link to the broker by which the node was heard last (NULL:
-- not yet), `broker_url`, `broker_state` and `broker_reason` are those of its report (`broker_state` is NULL for an agent
-- that cannot be moved), and `broker_seen` is the highest revision that it reported. The node is asked to move again at `config_at`, after `config_tries` requests for the link `config_rev`.
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
    proxy_count integer NOT NULL DEFAULT 0,
    shut_out_until timestamptz NOT NULL DEFAULT '-infinity',
    exit_addresses text[] NOT NULL DEFAULT '{}',
    ipv6_prefixes text[] NOT NULL DEFAULT '{}',
    exit_key text NOT NULL
        DEFAULT md5(gen_random_uuid()::text || gen_random_uuid()::text) CHECK (exit_key ~ '^[0-9a-f]{32}$'),
    sent_at timestamptz NOT NULL DEFAULT now(),
    invitation_id bigint REFERENCES invitations (id) ON DELETE SET NULL,
    pinned_version text,
    broker_rev bigint,
    broker_url text NOT NULL DEFAULT '',
    broker_state text,
    broker_reason text NOT NULL DEFAULT '',
    broker_seen bigint NOT NULL DEFAULT 0,
    config_rev bigint NOT NULL DEFAULT 0,
    config_tries integer NOT NULL DEFAULT 0,
    config_at timestamptz NOT NULL DEFAULT '-infinity',
    CHECK (port_from <= port_to)
);
CREATE INDEX nodes_location_id_idx ON nodes (location_id);
CREATE INDEX nodes_ip_idx ON nodes (ip);
CREATE INDEX nodes_invitation_id_idx ON nodes (invitation_id) WHERE invitation_id IS NOT NULL;
CREATE INDEX nodes_unsent_idx ON nodes (id) WHERE revision > sent_revision;
CREATE INDEX nodes_sweep_at_idx ON nodes (sweep_at);

-- The latest report of each node, in a table of its own so that a heartbeat neither waits for a change nor delays one.
-- `retired_session` is the agent session of the host that a replacement took over from: its late reports do not count.
-- `progressed_at` is when the node last confirmed a revision or came back to the broker. `trouble` is why the node
-- cannot take changes, in its own words; empty when it can. `cpu`, `memory` (shares from 0 to 1), `rx_bps`, `tx_bps` and
-- `connections` are its load. An agent that reports no load, of an earlier version for example, leaves them NULL.
-- `upgrade` is the member of its report: whether it can upgrade itself, and the last request that it got. NULL: unknown.
-- `tls_certificate` is the one of its report with which it serves clients that speak TLS. NULL: it has none.
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
    number bigint NOT NULL DEFAULT 0,
    limited bigint NOT NULL DEFAULT 0,
    retired_session bigint NOT NULL DEFAULT 0,
    progressed_at timestamptz NOT NULL DEFAULT now(),
    trouble text NOT NULL DEFAULT '',
    cpu double precision,
    memory double precision,
    rx_bps bigint,
    tx_bps bigint,
    connections bigint,
    upgrade jsonb,
    tls_certificate jsonb
);
CREATE INDEX node_status_online_idx ON node_status (reported_at) WHERE online;

-- Ports on which a node found another program. They are not given to proxies before `until`.
CREATE TABLE taken_ports (
    node_id bigint NOT NULL REFERENCES nodes (id) ON DELETE CASCADE,
    port integer NOT NULL,
    until timestamptz NOT NULL,
    PRIMARY KEY (node_id, port)
);

-- How many proxies each change removed from a node on purpose. The node's wipe guard allows so many removals.
CREATE TABLE removals (
    node_id bigint NOT NULL REFERENCES nodes (id) ON DELETE CASCADE,
    revision bigint NOT NULL,
    count bigint NOT NULL CHECK (count > 0),
    at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX removals_node_id_idx ON removals (node_id, revision);

-- Stacks: many proxies made from one template

-- `count` is both the desired and the actual number of proxies: the triggers of `proxies` keep it, and removing a
-- stack's proxy lowers it. `proxy` is the template, in canonical form.
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

-- Proxies

-- `version` grows with every change. `changed_revision` is the revision of the node that carries the last change.
-- `content` is a checksum of the record that the node gets: it distinguishes two records of one id and version.
-- `exit`, `limits` and `destinations` hold the members that were given: {} is the default exit, no limit, and the
-- destinations that a node refuses to all. `expires_at` of `limits` is an RFC 3339 text in UTC; the column `expires_at`
-- is the same time, set by a trigger, since reading it out of the text of every proxy takes a third of a count by state.
-- `ever_ran` is whether the proxy ran on its node, `known_to_run` whether it ran since it was created or failed (event
-- proxy.running).
CREATE TABLE proxies (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text CONSTRAINT proxies_name_key UNIQUE CHECK (length(name) BETWEEN 1 AND 100),
    node_id bigint NOT NULL CONSTRAINT proxies_node_id_fkey REFERENCES nodes (id),
    port integer NOT NULL CHECK (port BETWEEN 1 AND 65535),
    port_requested boolean NOT NULL DEFAULT false,
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
    known_to_run boolean NOT NULL DEFAULT false,
    content bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    exit jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(exit) = 'object'),
    limits jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(limits) = 'object'),
    stack_id bigint CONSTRAINT proxies_stack_id_fkey REFERENCES stacks (id),
    destinations jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(destinations) = 'object'),
    expires_at timestamptz,
    tls boolean NOT NULL DEFAULT false CHECK (NOT tls OR engine = 'builtin'),
    CONSTRAINT proxies_node_id_port_key UNIQUE (node_id, port),
    CONSTRAINT proxies_not_open CHECK (username IS NOT NULL OR allow_ips <> '{}'),
    CHECK ((username IS NULL) = (password IS NULL))
);
CREATE INDEX proxies_not_running_idx ON proxies (node_id) WHERE NOT (ever_ran AND known_to_run);
CREATE INDEX proxies_stack_id_idx ON proxies (stack_id, id) WHERE stack_id IS NOT NULL;
CREATE INDEX proxies_name_prefix ON proxies ((COALESCE(lower(name), U&'\+10FFFF') COLLATE "C"), id);
CREATE INDEX proxies_username_prefix ON proxies ((lower(username) COLLATE "C"), id);
CREATE INDEX proxies_labels_idx ON proxies USING gin (labels jsonb_path_ops);

-- Proxies that do not serve, by their node's latest report. A proxy of kind `limited` (quota used up) or `expired` runs
-- and serves nobody.
CREATE TABLE proxy_failures (
    proxy_id bigint PRIMARY KEY REFERENCES proxies (id) ON DELETE CASCADE,
    node_id bigint NOT NULL REFERENCES nodes (id) ON DELETE CASCADE,
    version bigint NOT NULL,
    reason text NOT NULL,
    since timestamptz NOT NULL DEFAULT now(),
    kind text NOT NULL DEFAULT 'failed' CHECK (kind IN ('failed', 'limited', 'expired'))
);
CREATE INDEX proxy_failures_node_id_idx ON proxy_failures (node_id, proxy_id);

-- The open connections of proxies and their bits per second from clients and to them, by the reports of each node. A row
-- that its node has not reported for a while counts as zero (the view proxy_resources). In a table of its own, since it
-- changes with most reports; without a log, since nodes report it again every minute.
CREATE UNLOGGED TABLE proxy_live (
    proxy_id bigint NOT NULL,
    node_id bigint NOT NULL,
    connections bigint NOT NULL,
    rx_bps bigint NOT NULL,
    tx_bps bigint NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (proxy_id, node_id)
) WITH (fillfactor = 50);

-- The last check of each proxy, as the API shows it.
CREATE TABLE proxy_checks (
    proxy_id bigint PRIMARY KEY,
    result jsonb NOT NULL CHECK (jsonb_typeof(result) = 'object')
) WITH (fillfactor = 80);

-- Rotation: the new endpoint starts before the old one ends

-- A second endpoint of a proxy: `next` is about to replace the proxy's own, `former` was its own and still serves for
-- the overlap. Writers have locked both nodes. `away` is true on another node than the proxy's. `exit` applies here.
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

-- A rotation waits for its node (`waiting`), for the probe of the new endpoint (`starting`, until `deadline`), then for
-- the end of the overlap (`overlap`, until `until`). It does not reference the proxy, which may be removed at any time
-- while its history stays. `drained_node_id` is the draining node that the proxy is moved away from; otherwise NULL.
-- `from_node_id` and `to_node_id` are the nodes of both endpoints; before `started_at` the target is not chosen yet.
-- `actor` and `request_id` are what the events of all its steps carry.
-- Times that the API shows are finite, here and below: Python and JSON Schema know no infinite time.
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
    until timestamptz CONSTRAINT rotations_until_finite CHECK (isfinite(until)),
    claimed_until timestamptz NOT NULL DEFAULT '-infinity',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    drained_node_id bigint,
    from_node_id bigint,
    to_node_id bigint,
    started_at timestamptz,
    probed_at timestamptz,
    switched_at timestamptz,
    ended_at timestamptz,
    actor text NOT NULL,
    request_id text
);
CREATE UNIQUE INDEX rotations_open_key ON rotations (proxy_id) WHERE state NOT IN ('done', 'failed');
CREATE INDEX rotations_proxy_id_idx ON rotations (proxy_id, id);
CREATE INDEX rotations_updated_at_idx ON rotations (updated_at);
CREATE INDEX rotations_from_node_id_idx ON rotations (from_node_id, id);
CREATE INDEX rotations_to_node_id_idx ON rotations (to_node_id, id) WHERE to_node_id <> from_node_id;
CREATE INDEX rotations_failed_idx ON rotations (id) WHERE state = 'failed';
CREATE INDEX rotations_drained_idx ON rotations (drained_node_id)
WHERE drained_node_id IS NOT NULL AND state NOT IN ('done', 'failed');

CREATE TABLE schedules (
    proxy_id bigint PRIMARY KEY REFERENCES proxies (id) ON DELETE CASCADE,
    every_s integer NOT NULL CHECK (every_s BETWEEN 1 AND 31536000),
    jitter_s integer NOT NULL CHECK (jitter_s BETWEEN 0 AND 31536000),
    what text[] NOT NULL,
    overlap_s integer NOT NULL,
    next_at timestamptz NOT NULL CONSTRAINT schedules_next_at_finite CHECK (isfinite(next_at))
);
CREATE INDEX schedules_next_at_idx ON schedules (next_at);

-- Drains: nodes whose proxies move to others

-- The proxies move to the nodes of `node_ids`, or else to the other nodes of the location. A node that is `leaving` is
-- deleted when it is empty. The master that works on a drain sets `next_check_at` first, so that others leave it alone.
CREATE TABLE drains (
    node_id bigint PRIMARY KEY REFERENCES nodes (id) ON DELETE CASCADE,
    node_ids bigint[],
    overlap_s integer NOT NULL CHECK (overlap_s BETWEEN 0 AND 604800),
    leaving boolean NOT NULL DEFAULT false,
    began_at timestamptz NOT NULL DEFAULT now(),
    emptied_at timestamptz,
    next_check_at timestamptz NOT NULL DEFAULT '-infinity'
);

-- Proxies that could not move so far, and when the next attempt is made.
CREATE TABLE drain_failures (
    proxy_id bigint PRIMARY KEY REFERENCES proxies (id) ON DELETE CASCADE,
    node_id bigint NOT NULL REFERENCES drains (node_id) ON DELETE CASCADE,
    reason text NOT NULL,
    tries integer NOT NULL DEFAULT 1,
    next_at timestamptz NOT NULL CONSTRAINT drain_failures_next_at_finite CHECK (isfinite(next_at))
);
CREATE INDEX drain_failures_node_id_idx ON drain_failures (node_id);

-- Upgrades: agents that change to another version, a few at a time

-- `filter` is the request's own. At most `batch_size` nodes are under way at a time, which `batch` was at the start.
-- Failures up to `forgiven` do not count, since an operator resumed the upgrade in spite of them. Nodes get the manifest
-- below `base_url`. The master that works on an upgrade sets `next_check_at` first, so that others leave it alone, and
-- `checked_at` when it has compared it with the reports: a long pause between two of these means that no master ran.
CREATE TABLE upgrades (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    version text NOT NULL,
    sha256 text NOT NULL,
    min_upgradable_from text NOT NULL,
    base_url text NOT NULL,
    filter jsonb NOT NULL CHECK (jsonb_typeof(filter) = 'object'),
    canary integer NOT NULL CHECK (canary >= 0),
    batch text NOT NULL,
    batch_size integer NOT NULL CHECK (batch_size >= 1),
    soak_s integer NOT NULL CHECK (soak_s >= 0),
    most_failed integer NOT NULL CHECK (most_failed >= 0),
    downgrade boolean NOT NULL,
    forgiven integer NOT NULL DEFAULT 0,
    state text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'paused', 'halted', 'aborted', 'done')),
    reason text,
    actor text NOT NULL,
    request_id text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    checked_at timestamptz NOT NULL DEFAULT now(),
    next_check_at timestamptz NOT NULL DEFAULT '-infinity'
);
CREATE UNIQUE INDEX upgrades_open_key ON upgrades ((true)) WHERE state IN ('running', 'paused', 'halted');

-- The nodes of an upgrade, in the order in which they are asked. Rows outlive their node. `request` is the id under which
-- the node was asked last, and `failed_before` how many of its proxies failed then. A node soaks until `soak_until`, and
-- again when its agent starts again (`session` differs), but no longer than `soak_limit`. `steps` has the last states
-- with their times.
CREATE TABLE upgrade_nodes (
    upgrade_id bigint NOT NULL REFERENCES upgrades (id) ON DELETE CASCADE,
    node_id bigint NOT NULL,
    name text NOT NULL,
    place integer NOT NULL,
    from_version text NOT NULL,
    state text NOT NULL CHECK (state IN (
        'waiting', 'asked', 'fetching', 'restarting', 'soaking', 'done', 'rolled_back', 'failed', 'unreachable',
        'skipped'
    )),
    reason text,
    at timestamptz NOT NULL,
    steps jsonb NOT NULL CHECK (jsonb_typeof(steps) = 'array'),
    request bigint,
    asked_at timestamptz,
    sent_at timestamptz,
    deadline timestamptz,
    soak_until timestamptz,
    soak_limit timestamptz,
    session bigint NOT NULL DEFAULT 0,
    failed_before bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (upgrade_id, node_id)
) WITH (fillfactor = 80);
CREATE INDEX upgrade_nodes_node_id_idx ON upgrade_nodes (node_id, upgrade_id);
CREATE INDEX upgrade_nodes_open_idx ON upgrade_nodes (upgrade_id)
WHERE state IN ('waiting', 'asked', 'fetching', 'restarting', 'soaking', 'unreachable');

-- Events and webhooks

-- One durable log. A transaction writes its events last, under a lock that ends with it, so that ids become visible in
-- their order and a reader need remember only the last one. Ids and times grow together. Vacuum follows the inserts, so
-- that scans of an index alone need not look at the rows.
CREATE TABLE events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    type text NOT NULL CHECK (type ~ '^[a-z]+\.[a-z_]+$'),
    node_id bigint,
    proxy_id bigint,
    location_id bigint,
    details jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(details) = 'object'),
    stack_id bigint,
    actor text NOT NULL,
    request_id text
) WITH (autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 100000);

-- Each member that a filter may name has an index in the order of the log. Those of members with many events include
-- the other members, so that the events of a node that match no further filter are passed over without reading them.
CREATE INDEX events_proxy_id_idx ON events (proxy_id, id) WHERE proxy_id IS NOT NULL;
CREATE INDEX events_stack_id_idx ON events (stack_id, id) INCLUDE (type, actor) WHERE stack_id IS NOT NULL;
CREATE INDEX events_node_id_idx ON events (node_id, id) INCLUDE (type, actor) WHERE node_id IS NOT NULL;
CREATE INDEX events_location_id_idx ON events (location_id, id) INCLUDE (type, actor) WHERE location_id IS NOT NULL;
CREATE INDEX events_type_idx ON events (type, id) INCLUDE (actor);
CREATE INDEX events_actor_idx ON events (actor, id);
CREATE INDEX events_request_id_idx ON events (request_id, id) WHERE request_id IS NOT NULL;

-- Events up to the id `forgotten` were deleted: a reader whose last id is lower has missed some.
CREATE TABLE event_log (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    forgotten bigint NOT NULL DEFAULT 0
);
INSERT INTO event_log DEFAULT VALUES;

-- `position` is the last event that the receiver has got or does not subscribe to. The master that delivers holds
-- `claim` until `claimed_until`, and moves the position only while the claim is its own.
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
    next_at timestamptz NOT NULL DEFAULT now() CONSTRAINT webhooks_next_at_finite CHECK (isfinite(next_at)),
    claim uuid,
    claimed_until timestamptz NOT NULL DEFAULT '-infinity',
    last_error text,
    last_delivered_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 80);

CREATE FUNCTION webhook_matches(e events, w webhooks) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT type_matches(e.type, w.types)
        AND (w.node_id IS NULL OR e.node_id = w.node_id)
        AND (w.proxy_id IS NULL OR e.proxy_id = w.proxy_id)
        AND (w.stack_id IS NULL OR e.stack_id = w.stack_id)
        AND (w.location_id IS NULL OR e.location_id = w.location_id)
$$;

-- Usage: counters as the nodes report them, and their growth in each hour

-- Which proxies a node had in the past: their last counters may still arrive, and their usage keeps its name and stack.
-- `labels` are those that a removed proxy had last, so that its usage counts for its customer; NULL otherwise.
CREATE TABLE former_proxies (
    proxy_id bigint NOT NULL,
    node_id bigint NOT NULL,
    name text,
    left_at timestamptz NOT NULL DEFAULT now(),
    stack_id bigint,
    labels jsonb,
    PRIMARY KEY (proxy_id, node_id)
);
CREATE INDEX former_proxies_left_at_idx ON former_proxies (left_at);
CREATE INDEX former_proxies_labels_idx ON former_proxies USING gin (labels jsonb_path_ops);

-- The highest figures reported for each life (`epoch`) of a proxy's counters, so that a report that comes twice or late
-- adds nothing. Rows outlive their proxy, so that a node's late reports of it count once, too.
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

-- The growth of the counters in the hour that begins at `hour`. The hours of a day long past are merged into one row at
-- midnight UTC. Node, location and stack are those of that time.
CREATE TABLE usage_hours (
    proxy_id bigint NOT NULL,
    node_id bigint NOT NULL,
    hour timestamptz NOT NULL,
    location_id bigint,
    received_bytes bigint NOT NULL,
    sent_bytes bigint NOT NULL,
    connections bigint NOT NULL,
    refused jsonb NOT NULL,
    stack_id bigint,
    PRIMARY KEY (proxy_id, node_id, hour)
) WITH (fillfactor = 80);
CREATE INDEX usage_hours_hour_idx ON usage_hours (hour);
CREATE INDEX usage_hours_within_day_idx ON usage_hours (hour) WHERE extract(hour FROM hour AT TIME ZONE 'UTC') <> 0;
CREATE INDEX usage_hours_stack_id_idx ON usage_hours (stack_id, hour) WHERE stack_id IS NOT NULL;

-- The bytes of each proxy, both directions together: all, those of the UTC day `day`, and those of the month that begins
-- at `month`. They are counted whatever the traffic limit is, so that it may change at any time.
CREATE TABLE usage_totals (
    proxy_id bigint PRIMARY KEY,
    total_bytes bigint NOT NULL,
    day date NOT NULL,
    day_bytes bigint NOT NULL,
    month date NOT NULL,
    month_bytes bigint NOT NULL
) WITH (fillfactor = 80);

-- The bytes that count in this period of a traffic limit.
CREATE FUNCTION bytes_in_period(period text, u usage_totals) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT CASE period
        WHEN 'day' THEN CASE WHEN u.day = (now() AT TIME ZONE 'UTC')::date THEN u.day_bytes ELSE 0 END
        WHEN 'month' THEN
            CASE WHEN u.month = date_trunc('month', now() AT TIME ZONE 'UTC')::date THEN u.month_bytes ELSE 0 END
        ELSE COALESCE(u.total_bytes, 0)
    END
$$;

-- The hours of each day so far: a sum over months reads a row for each proxy and day. Hours before `rolled_until` are
-- part of their day.
CREATE TABLE usage_days (
    proxy_id bigint NOT NULL,
    node_id bigint NOT NULL,
    day timestamptz NOT NULL,
    location_id bigint,
    stack_id bigint,
    received_bytes bigint NOT NULL,
    sent_bytes bigint NOT NULL,
    connections bigint NOT NULL,
    refused jsonb NOT NULL,
    CONSTRAINT usage_days_key UNIQUE NULLS NOT DISTINCT (proxy_id, node_id, day, location_id, stack_id)
) WITH (fillfactor = 80);
CREATE INDEX usage_days_day_idx ON usage_days (day);
CREATE INDEX usage_days_stack_id_idx ON usage_days (stack_id, day) WHERE stack_id IS NOT NULL;

CREATE TABLE usage_rollup (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    rolled_until timestamptz NOT NULL DEFAULT '1970-01-01T00:00:00Z'
);
INSERT INTO usage_rollup DEFAULT VALUES;

-- Shares of a traffic limit that a proxy has passed. Each is announced once for a limit in each of its periods.
CREATE TABLE usage_thresholds (
    proxy_id bigint NOT NULL REFERENCES proxies (id) ON DELETE CASCADE,
    percent integer NOT NULL,
    limit_bytes bigint NOT NULL,
    began timestamptz NOT NULL,
    PRIMARY KEY (proxy_id, percent, limit_bytes, began)
);

-- Lookup: who had which endpoint and which exit address at what time

-- One row for each period; `until` is NULL while it lasts. `exit_address` is where connections leave in the mode
-- `default` (as far as is known) or `address`; random addresses are drawn from `exit_prefix`. Rows outlive their proxy
-- and their node.
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

-- Every key with which a node ever drew addresses from a prefix. With the key an address is decoded to its proxy.
CREATE TABLE exit_keys (
    node_id bigint NOT NULL,
    prefix cidr NOT NULL,
    key text NOT NULL,
    PRIMARY KEY (node_id, prefix, key)
);
CREATE INDEX exit_keys_prefix_idx ON exit_keys USING gist (prefix inet_ops);

-- Links and idempotency keys

-- Addresses that need no token: the secret in them is the permission. Only the SHA-256 of the secret is kept, which is
-- enough for 192 random bits. `token_filter` is that of the token that made the link: it holds for each use.
CREATE TABLE links (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('list', 'rotate')),
    secret_hash text NOT NULL CONSTRAINT links_secret_hash_key UNIQUE,
    filter jsonb NOT NULL CHECK (jsonb_typeof(filter) = 'object'),
    rotate jsonb,
    format text NOT NULL,
    template text,
    min_interval_s integer NOT NULL CHECK (min_interval_s >= 0),
    expires_at timestamptz,
    used_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    token_filter jsonb,
    CHECK ((kind = 'rotate') = (rotate IS NOT NULL))
) WITH (fillfactor = 80);

-- Licence keys that some master was given. The one that was issued last counts; `stage` is the last one announced.
CREATE TABLE license_keys (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key text NOT NULL CONSTRAINT license_keys_key_key UNIQUE CHECK (length(key) BETWEEN 1 AND 8192),
    source text NOT NULL CHECK (source IN ('environment', 'api')),
    received_at timestamptz NOT NULL DEFAULT now(),
    stage text NOT NULL DEFAULT ''
);

-- `token_id` is 0 for requests without a token: an answer is repeated to the token that got it, and to no other.
CREATE TABLE idempotency_keys (
    token_id bigint NOT NULL,
    key text NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    request_hash text NOT NULL,
    status integer NOT NULL,
    headers jsonb NOT NULL,
    body text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (token_id, key)
);
CREATE INDEX idempotency_keys_at_idx ON idempotency_keys (at);

-- Tokens of the API. Only the SHA-256 of a token is kept, which is enough for 178 random bits. The API is open to
-- everybody while no row has the scope admin, whether or not that has expired.
CREATE TABLE tokens (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL CONSTRAINT tokens_name_key UNIQUE CHECK (length(name) BETWEEN 1 AND 100),
    hash text NOT NULL CONSTRAINT tokens_hash_key UNIQUE,
    scopes text[] NOT NULL CHECK (
        cardinality(scopes) > 0
        AND scopes <@ '{read,secrets,write,rotate,check,enrol,upgrade,metrics,admin}'::text[]
    ),
    filter jsonb CHECK (jsonb_typeof(filter) = 'object'),
    allow_ips text[] NOT NULL DEFAULT '{}',
    expires_at timestamptz,
    last_used_at timestamptz,
    last_used_ip text,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK (filter IS NULL OR scopes <@ '{read,secrets,write,rotate,check}'::text[])
) WITH (fillfactor = 80);
