-- An upgrade as the API shows it, without its nodes.
-- part: summary
u.id, u.version, u.state, u.reason, u.filter, u.canary, u.batch, u.batch_size, u.soak_s, u.most_failed, u.downgrade,
u.created_at, u.updated_at, u.ended_at,
(
    SELECT COALESCE(jsonb_object_agg(c.state, c.count), '{}')
    FROM (SELECT n.state, count(*) AS count FROM upgrade_nodes n WHERE n.upgrade_id = u.id GROUP BY n.state) AS c
) AS counts

-- What is known of a node by its report. `is_there` is false when it was removed.
-- part: seen
d.id IS NOT NULL AS is_there, COALESCE(s.online, false) AS online, s.reported_at, COALESCE(s.session, 0) AS current_session,
COALESCE(d.agent, '') AS agent, COALESCE(s.failed, 0) AS failed_now, d.pinned_version,
COALESCE((SELECT r.leaving FROM drains r WHERE r.node_id = d.id), false) AS leaving, s.upgrade

-- name: select_one
SELECT
    {upgrades.summary}
FROM upgrades u
WHERE u.id = :id;

-- name: select_page
-- sort: id
SELECT
    {upgrades.summary}
FROM upgrades u
WHERE true
  AND {beyond}
  AND (:state::text[] IS NULL OR u.state = ANY (:state))
  AND (:version::text[] IS NULL OR u.version = ANY (:version))
  AND (:node_id::bigint[] IS NULL OR EXISTS (
      SELECT FROM upgrade_nodes n WHERE n.upgrade_id = u.id AND n.node_id = ANY (:node_id)
  ))
ORDER BY {order}
LIMIT :limit::bigint;

-- name: select_nodes
SELECT node_id, name, place, from_version, state, reason, at, steps
FROM upgrade_nodes
WHERE upgrade_id = :id
ORDER BY place;

-- The nodes that a filter matches.
-- name: select_matching
SELECT id
FROM node_resources
WHERE true
  {nodes.matching}
ORDER BY id
LIMIT :limit::bigint;

-- Nodes as an upgrade begins with them: those that report first, then those with the fewest proxies.
-- name: select_candidates
SELECT d.id AS node_id, d.name, {upgrades.seen}
FROM nodes d
JOIN node_status s ON s.node_id = d.id
WHERE d.id = ANY (:ids::bigint[])
ORDER BY s.online DESC, d.proxy_count, d.id;

-- The newest upgrade. Whoever starts or changes one, or works on it, has it locked.
-- name: lock_newest
SELECT id, state FROM upgrades ORDER BY id DESC LIMIT 1 FOR UPDATE;

-- name: clock
SELECT clock_timestamp();

-- name: insert
INSERT INTO upgrades (
    version, sha256, min_upgradable_from, base_url, filter, canary, batch, batch_size, soak_s, most_failed, downgrade,
    actor, request_id
)
VALUES (
    :version, :sha256, :min_upgradable_from, :base_url, :filter::jsonb, :canary, :batch, :batch_size, :soak_s,
    :most_failed, :downgrade, :actor, :request_id::text
)
RETURNING id;

-- name: insert_nodes
INSERT INTO upgrade_nodes (upgrade_id, node_id, name, place, from_version, state, reason, at, steps)
SELECT
    :upgrade_id::bigint, r.node_id, r.name, r.place, r.from_version, r.state, r.reason, r.at,
    jsonb_build_array(jsonb_build_object('state', r.state, 'at', r.at))
FROM jsonb_to_recordset(:rows::jsonb) AS r (
    node_id bigint, name text, place integer, from_version text, state text, reason text, at timestamptz
);

-- Upgrades that ended leave their unreachable nodes to the one that starts.
-- name: supersede
UPDATE upgrade_nodes
SET state = 'skipped', reason = :reason, at = now(),
    steps = steps || jsonb_build_array(jsonb_build_object('state', 'skipped', 'at', now()))
WHERE upgrade_id <> :id
  AND state IN ('waiting', 'asked', 'fetching', 'restarting', 'soaking', 'unreachable');

-- The master that claims an upgrade takes its next step; others leave it alone for a moment.
-- name: claim
WITH due AS (
    SELECT u.id FROM upgrades u
    WHERE u.next_check_at < clock_timestamp() AND (u.state = 'running' OR EXISTS (
        SELECT FROM upgrade_nodes n
        WHERE n.upgrade_id = u.id
          AND n.state IN ('waiting', 'asked', 'fetching', 'restarting', 'soaking', 'unreachable')
    ))
    ORDER BY u.id LIMIT :max_rows FOR UPDATE SKIP LOCKED
)
UPDATE upgrades u SET next_check_at = clock_timestamp() + :quiet::interval
FROM due WHERE u.id = due.id
RETURNING u.id, u.version, u.sha256;

-- name: lock
SELECT
    id, version, sha256, min_upgradable_from, base_url, canary, batch_size, soak_s, most_failed, downgrade, forgiven,
    state, reason, actor, request_id, checked_at, clock_timestamp() AS now
FROM upgrades
WHERE id = :id
FOR UPDATE;

-- name: select_followed
SELECT
    n.node_id, n.name, n.place, n.from_version, n.state, n.reason, n.at, n.request, n.asked_at, n.sent_at, n.deadline,
    n.soak_until, n.soak_limit, n.session, n.failed_before, {upgrades.seen}
FROM upgrade_nodes n
LEFT JOIN nodes d ON d.id = n.node_id
LEFT JOIN node_status s ON s.node_id = d.id
WHERE n.upgrade_id = :id
ORDER BY n.place;

-- A state that has changed is added to the steps, of which the last ones are kept.
-- name: store_nodes
UPDATE upgrade_nodes n
SET state = r.state, reason = r.reason, at = r.at, request = r.request, asked_at = r.asked_at, sent_at = r.sent_at,
    deadline = r.deadline, soak_until = r.soak_until, soak_limit = r.soak_limit, session = r.session,
    failed_before = r.failed_before,
    steps = CASE
        WHEN n.state = r.state THEN n.steps
        ELSE CASE WHEN jsonb_array_length(n.steps) < :most_steps::integer THEN n.steps ELSE n.steps - 1 END
            || jsonb_build_array(jsonb_build_object('state', r.state, 'at', r.at))
    END
FROM jsonb_to_recordset(:rows::jsonb) AS r (
    node_id bigint, state text, reason text, at timestamptz, request bigint, asked_at timestamptz, sent_at timestamptz,
    deadline timestamptz, soak_until timestamptz, soak_limit timestamptz, session bigint, failed_before bigint
)
WHERE n.upgrade_id = :id AND n.node_id = r.node_id;

-- name: store
UPDATE upgrades
SET state = :state, reason = :reason::text, checked_at = :now,
    updated_at = CASE WHEN :changed THEN :now ELSE updated_at END,
    ended_at = CASE WHEN :state IN ('done', 'aborted') THEN COALESCE(ended_at, :now) END
WHERE id = :id;

-- Set by an operator. Failures so far are forgiven when it goes on.
-- name: set_state
UPDATE upgrades
SET state = :state, reason = NULL, forgiven = CASE WHEN :state = 'running' THEN :failed ELSE forgiven END,
    updated_at = now(), checked_at = clock_timestamp(), next_check_at = '-infinity',
    ended_at = CASE WHEN :state = 'aborted' THEN now() END
WHERE id = :id;

-- name: skip_waiting
UPDATE upgrade_nodes
SET state = 'skipped', reason = :reason, at = now(),
    steps = steps || jsonb_build_array(jsonb_build_object('state', 'skipped', 'at', now()))
WHERE upgrade_id = :id AND state IN ('waiting', 'unreachable');

-- name: count_failed
SELECT count(*) FROM upgrade_nodes WHERE upgrade_id = :id AND state IN ('rolled_back', 'failed');

-- A running upgrade of a database that was restored may be one that was stopped since.
-- name: pause_running
UPDATE upgrades SET state = 'paused', reason = :reason, updated_at = now()
WHERE state = 'running'
RETURNING id, version;
