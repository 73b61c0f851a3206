-- Record for the wipe guard how many proxies were removed on purpose at the node's present revision.
-- name: insert_removals
INSERT INTO public.removals (node_id, revision, count)
SELECT n.id, n.revision, gone.count
FROM unnest(:ids::bigint[], :counts::bigint[]) AS gone (id, count)
JOIN public.nodes n ON n.id = gone.id;

-- Proxies expire by the database's clock.
-- name: clock
SELECT clock_timestamp();

-- name: insert
INSERT INTO proxies (
    name, node_id, port, port_requested, protocol, username, password, allow_ips, engine, enabled, labels, exit, limits,
    destinations, tls
)
VALUES (
    :name, :node_id, :port, :port_requested, :protocol, :username, :password, :allow_ips::text[], :engine, :enabled,
    :labels::jsonb, :exit::jsonb, :limits::jsonb, :destinations::jsonb, :tls
)
RETURNING id;

-- The settings and the state of a proxy, with its schedule.
-- part: settings
id, name, node_id, port, protocol, username, password, allow_ips, engine, enabled, labels, exit, limits,
destinations, tls, version, changed_revision, created_at, updated_at, location_id, host, node_state, state, reason,
observed_version, observed_at, COALESCE(rotation, '{}') AS rotation, next_at, stack_id

-- A proxy as the API shows it.
-- part: resource
{proxies.settings}, connections, rx_bps, tx_bps, quota_used, quota_limit, last_check

-- name: select_one
SELECT
    {proxies.resource}
FROM proxy_resources
LEFT JOIN schedule_resources ON proxy_id = id
WHERE id = :id;

-- The conditions of a filter of proxies, for statements over `proxy_resources` that select no other `id`. Members that
-- are not given are NULL. `q` looks up its four kinds apart, so that each can use an index.
-- part: matching
  {filters.matching}
  AND (:location_id::bigint[] IS NULL OR location_id = ANY (:location_id))
  AND (:node_id::bigint[] IS NULL OR node_id = ANY (:node_id))
  AND (:stack_id::bigint[] IS NULL OR stack_id = ANY (:stack_id))
  AND (:protocol::text[] IS NULL OR protocol = ANY (:protocol))
  AND (:engine::text[] IS NULL OR engine = ANY (:engine))
  AND (:enabled::boolean[] IS NULL OR enabled = ANY (:enabled))
  AND (:state::text[] IS NULL OR state = ANY (:state))
  AND (:reason::text[] IS NULL OR reason = ANY (:reason))
  AND (:port::integer[] IS NULL OR port = ANY (:port))
  AND (:name::text[] IS NULL OR name = ANY (:name))
  AND (:username::text[] IS NULL OR username = ANY (:username))
  AND (:q::text IS NULL OR id IN (
      SELECT named.id FROM proxies named
      WHERE COALESCE(lower(named.name), U&'\+10FFFF') COLLATE "C" BETWEEN lower(:q) AND lower(:q) || U&'\+10FFFF'
      UNION ALL
      SELECT login.id FROM proxies login
      WHERE lower(login.username) COLLATE "C" BETWEEN lower(:q) AND lower(:q) || U&'\+10FFFF'
      UNION ALL
      SELECT there.id FROM nodes n JOIN proxies there ON there.node_id = n.id
      WHERE n.ip COLLATE "C" BETWEEN lower(:q) AND lower(:q) || U&'\+10FFFF'
      UNION ALL
      SELECT CASE WHEN :q ~ '^[0-9]{1,18}$' THEN :q::text::bigint END
  ))
  AND (:expires_before::timestamptz IS NULL OR expires_at < :expires_before)
  AND (:expires_after::timestamptz IS NULL OR COALESCE(expires_at > :expires_after, true))
  AND (:created_since::timestamptz IS NULL OR created_at >= :created_since)
  AND (:updated_since::timestamptz IS NULL OR updated_at >= :updated_since)
  AND (:quota_from::integer IS NULL OR quota_percent >= :quota_from)
  AND (:not_location_id::bigint[] IS NULL OR (location_id = ANY (:not_location_id)) IS NOT TRUE)
  AND (:not_node_id::bigint[] IS NULL OR node_id <> ALL (:not_node_id))
  AND (:not_stack_id::bigint[] IS NULL OR (stack_id = ANY (:not_stack_id)) IS NOT TRUE)
  AND (:not_protocol::text[] IS NULL OR protocol <> ALL (:not_protocol))
  AND (:not_engine::text[] IS NULL OR engine <> ALL (:not_engine))
  AND (:not_enabled::boolean[] IS NULL OR enabled <> ALL (:not_enabled))
  AND (:not_state::text[] IS NULL OR state <> ALL (:not_state))
  AND (:not_reason::text[] IS NULL OR (reason = ANY (:not_reason)) IS NOT TRUE)
  AND (:not_port::integer[] IS NULL OR port <> ALL (:not_port))
  AND (:not_name::text[] IS NULL OR (name = ANY (:not_name)) IS NOT TRUE)
  AND (:not_username::text[] IS NULL OR (username = ANY (:not_username)) IS NOT TRUE)

-- Proxies that match, by id; all of them without a limit. Live figures, quota and check are left out, which would have
-- to be looked up for each.
-- name: select_matching
SELECT
    {proxies.settings}
FROM proxy_resources
LEFT JOIN schedule_resources ON proxy_id = id
WHERE true
  AND (:after_id::bigint IS NULL OR id > :after_id)
  {proxies.matching}
ORDER BY id
LIMIT :limit::bigint;

-- A page of proxies that match. They are found by the columns that this takes, and only then read with all others.
-- name: select_page
-- sort: id
-- sort: name = sort_name::text
-- sort: created_at::timestamptz
-- sort: updated_at::timestamptz
-- sort: expires_at = sort_expires_at::timestamptz
SELECT
    {proxies.resource}, {key} AS sort_key
FROM (
    SELECT id AS found_id
    FROM proxy_resources
    WHERE true
      AND {beyond}
      {proxies.matching}
    ORDER BY {order}
    LIMIT :limit::bigint
) AS found
JOIN proxy_resources ON id = found_id
LEFT JOIN schedule_resources ON proxy_id = id
ORDER BY {order};

-- Counts of proxies that match, by up to three groups, the largest first. Groups that are not wanted are NULL.
-- name: count
SELECT
    CASE WHEN :by_state::boolean THEN state END AS state,
    CASE WHEN :by_node::boolean THEN node_id END AS node_id,
    CASE WHEN :by_location::boolean THEN location_id END AS location_id,
    CASE WHEN :by_stack::boolean THEN stack_id END AS stack_id,
    CASE WHEN :by_protocol::boolean THEN protocol END AS protocol,
    CASE WHEN :by_engine::boolean THEN engine END AS engine,
    CASE WHEN :by_enabled::boolean THEN enabled END AS enabled,
    CASE WHEN :by_reason::boolean THEN reason END AS reason,
    CASE WHEN :by_label_1::boolean THEN labels ->> :label_1::text END AS label_1,
    CASE WHEN :by_label_2::boolean THEN labels ->> :label_2::text END AS label_2,
    CASE WHEN :by_label_3::boolean THEN labels ->> :label_3::text END AS label_3,
    count(*) AS count,
    sum(CASE WHEN :live::boolean THEN connections END)::bigint AS connections,
    sum(CASE WHEN :live::boolean THEN rx_bps END)::bigint AS rx_bps,
    sum(CASE WHEN :live::boolean THEN tx_bps END)::bigint AS tx_bps,
    min(expires_at) FILTER (WHERE expires_at > now()) AS next_expiry,
    (sum(count(*)) OVER ())::bigint AS total
FROM proxy_resources
WHERE true
  {proxies.matching}
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
ORDER BY count DESC, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
LIMIT :limit::bigint;

-- The ids of proxies that match, by node; with `node_ids` only those on these nodes.
-- name: select_ids_by_node
SELECT node_id, array_agg(id) AS ids
FROM proxy_resources
WHERE true
  AND (:node_ids::bigint[] IS NULL OR node_id = ANY (:node_ids))
  {proxies.matching}
GROUP BY node_id;

-- Proxies by node and by all settings but name, port, login and labels.
-- name: select_groups
SELECT
    p.node_id, n.state AS node_state, p.username IS NOT NULL AS has_login, p.protocol, p.allow_ips, p.engine, p.exit, p.limits,
    p.destinations, p.tls, COALESCE(s.rotation, '{}') AS rotation, p.enabled, array_agg(p.id) AS ids
FROM proxies p
JOIN nodes n ON n.id = p.node_id
LEFT JOIN schedule_resources s ON s.proxy_id = p.id
WHERE p.id = ANY (:ids::bigint[])
GROUP BY
    p.node_id, n.state, p.username IS NOT NULL, p.protocol, p.allow_ips, p.engine, p.exit, p.limits, p.destinations, p.tls,
    s.rotation, p.enabled;

-- Write the settings of each proxy whose settings differ: those of the change with its number, its own login where one
-- was drawn for it, and its labels merged with `label_patch`. The triggers raise versions and revisions. Returned are
-- the proxies by node and by the names of the settings that differ.
-- name: update_many
WITH changes AS (
    SELECT
        c.number, c.protocol, c.allow_ips, c.engine, c.enabled, c.exit, c.limits, c.destinations, c.tls,
        c.changed, c.keeps_username, c.username, c.keeps_password, c.password
    FROM jsonb_to_recordset(:changes::text::jsonb) AS c (
        number integer, protocol text, allow_ips text[], engine text, enabled boolean, exit jsonb, limits jsonb,
        destinations jsonb, tls boolean, changed text[], keeps_username boolean, username text, keeps_password boolean,
        password text
    )
), requested AS (
    SELECT
        p.id, c.protocol, c.allow_ips, c.engine, c.enabled, c.exit, c.limits, c.destinations, c.tls, c.changed,
        CASE WHEN c.keeps_username THEN p.username ELSE COALESCE(r.username, c.username) END AS username,
        CASE WHEN c.keeps_password THEN p.password ELSE COALESCE(r.password, c.password) END AS password,
        (p.labels || :label_patch::jsonb) - :labels_removed::text[] AS labels,
        p.username AS username_before, p.password AS password_before, p.labels AS labels_before
    FROM unnest(:ids::bigint[], :numbers::integer[], :usernames::text[], :passwords::text[])
        AS r (id, number, username, password)
    JOIN changes c USING (number)
    JOIN proxies p ON p.id = r.id
), differing AS (
    SELECT
        r.id, r.protocol, r.allow_ips, r.engine, r.enabled, r.exit, r.limits, r.destinations, r.tls, r.username,
        r.password, r.labels,
        r.changed
            || CASE WHEN r.labels <> r.labels_before THEN ARRAY['labels'] ELSE '{}' END
            || CASE WHEN r.username IS DISTINCT FROM r.username_before THEN ARRAY['username'] ELSE '{}' END
            || CASE WHEN r.password IS DISTINCT FROM r.password_before THEN ARRAY['password'] ELSE '{}' END
            AS changed
    FROM requested r
), updated AS (
    UPDATE proxies p
    SET protocol = d.protocol, allow_ips = d.allow_ips, engine = d.engine, enabled = d.enabled, exit = d.exit,
        limits = d.limits, destinations = d.destinations, tls = d.tls, username = d.username,
        password = d.password, labels = d.labels
    FROM differing d
    WHERE p.id = d.id AND d.changed <> '{}'
    RETURNING p.id, p.node_id, d.changed
)
SELECT node_id, changed, array_agg(id) AS ids FROM updated GROUP BY node_id, changed;

-- One event for each proxy, in the order of their ids; `numbers` count the lists of `changed`, from 0.
-- name: insert_updated_events
INSERT INTO public.events (type, actor, request_id, node_id, proxy_id, stack_id, location_id, details)
SELECT
    'proxy.updated', :actor::text, :request_id::text, p.node_id, p.id, p.stack_id, n.location_id,
    jsonb_build_object('changed', :changed::jsonb -> r.number, 'version', p.version)
FROM unnest(:ids::bigint[], :numbers::integer[]) AS r (id, number)
JOIN public.proxies p ON p.id = r.id
JOIN public.nodes n ON n.id = p.node_id
ORDER BY p.id;

-- name: insert_deleted_events
INSERT INTO public.events (type, actor, request_id, node_id, proxy_id, stack_id, location_id, details)
SELECT
    'proxy.deleted', :actor::text, :request_id::text, r.node_id, r.id, r.stack_id, n.location_id,
    jsonb_build_object('name', r.name, 'port', r.port)
FROM unnest(:ids::bigint[], :node_ids::bigint[], :stack_ids::bigint[], :names::text[], :ports::integer[])
    AS r (id, node_id, stack_id, name, port)
LEFT JOIN public.nodes n ON n.id = r.node_id
ORDER BY r.id;

-- Write all settings of one proxy. The triggers raise its version and its node's revision where something differs.
-- name: update
UPDATE proxies
SET name = :name, port = :port, port_requested = port_requested OR port <> :port, protocol = :protocol,
    username = :username, password = :password, allow_ips = :allow_ips::text[], engine = :engine, enabled = :enabled,
    labels = :labels::jsonb, exit = :exit::jsonb, limits = :limits::jsonb, destinations = :destinations::jsonb,
    tls = :tls
WHERE id = :id
RETURNING version;

-- name: select_on_node
SELECT id FROM proxies WHERE node_id = :node_id;

-- Returned are the removed proxies by node and stack; `enabled` counts those that were to run.
-- name: delete
WITH deleted AS (
    DELETE FROM proxies WHERE id = ANY (:ids::bigint[]) RETURNING id, node_id, stack_id, name, port, enabled
)
SELECT
    node_id, stack_id, array_agg(id) AS ids, array_agg(name) AS names, array_agg(port) AS ports,
    count(*) FILTER (WHERE enabled) AS enabled
FROM deleted
GROUP BY node_id, stack_id
ORDER BY node_id, stack_id;

-- Whether each of these proxies that still exists has a state that its node has confirmed.
-- name: all_settled
SELECT NOT EXISTS (SELECT FROM proxy_resources WHERE id = ANY (:ids::bigint[]) AND state IN ('pending', 'unknown'));

-- Give each of these proxies one of the lowest free ports, as far as there are some. The node and its ip are locked.
-- name: move_ports
WITH free AS (
    SELECT port, row_number() OVER (ORDER BY port) AS rank
    FROM free_ports(:node_id)
    ORDER BY port
    LIMIT cardinality(:ids::bigint[])
), movers AS (
    SELECT p.id, p.port, row_number() OVER (ORDER BY p.id) AS rank
    FROM proxies p
    WHERE p.id = ANY (:ids) AND p.node_id = :node_id
)
UPDATE proxies p
SET port = free.port
FROM movers
JOIN free USING (rank)
WHERE p.id = movers.id
RETURNING p.id, movers.port AS before, p.port, p.version;

-- Set, keep or delete the schedules of proxies; `numbers` count the schedules of `rotations`, from 0. A schedule that
-- differs starts again.
-- name: set_schedules
WITH requested AS (
    SELECT r.id, :rotations::jsonb -> r.number AS rotation
    FROM unnest(:ids::bigint[], :numbers::integer[]) AS r (id, number)
), gone AS (
    DELETE FROM schedules s USING requested q WHERE s.proxy_id = q.id AND q.rotation = '{}'
)
INSERT INTO schedules AS s (proxy_id, every_s, jitter_s, what, overlap_s, next_at)
SELECT
    q.id, r.every_s, COALESCE(r.jitter_s, 0), r.what,
    COALESCE(r.overlap_s, LEAST(60, r.every_s / 2)),
    now() + make_interval(secs => r.every_s + random() * COALESCE(r.jitter_s, 0))
FROM requested q
CROSS JOIN LATERAL jsonb_to_record(q.rotation) AS r (every_s integer, jitter_s integer, what text[], overlap_s integer)
WHERE q.rotation <> '{}'
ON CONFLICT (proxy_id) DO UPDATE
SET every_s = EXCLUDED.every_s, jitter_s = EXCLUDED.jitter_s, what = EXCLUDED.what, overlap_s = EXCLUDED.overlap_s,
    next_at = EXCLUDED.next_at
WHERE (s.every_s, s.jitter_s, s.what, s.overlap_s)
    IS DISTINCT FROM (EXCLUDED.every_s, EXCLUDED.jitter_s, EXCLUDED.what, EXCLUDED.overlap_s);

-- Proxies whose new endpoint has not replaced the old one yet.
-- name: select_next_endpoints
SELECT proxy_id, rotation_id FROM endpoints WHERE proxy_id = ANY (:proxy_ids::bigint[]) AND role = 'next';

-- name: select_stacks
SELECT id, name, count FROM public.stacks WHERE id = ANY (:ids::bigint[]) ORDER BY id;

-- The proxies of a stack, with the node of each.
-- name: select_of_stack
SELECT
    COALESCE(array_agg(id ORDER BY id), '{}') AS ids, COALESCE(array_agg(node_id ORDER BY id), '{}') AS node_ids
FROM proxies
WHERE stack_id = :id;
