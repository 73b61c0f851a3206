-- Masters that run, and whether they are connected to the broker of this link.
-- part: silent_or_up
(m.last_seen_at < now() - :silent::interval OR :rev = ANY (m.broker_revs))

-- A new link may be used by nodes when every master that runs is connected to it and to the present one.
-- name: begin
UPDATE broker_links l
SET state = 'both', state_at = now()
WHERE l.state = 'new'
  AND EXISTS (SELECT FROM masters m WHERE m.last_seen_at > now() - :silent::interval)
  AND NOT EXISTS (
      SELECT FROM masters m, broker_links p
      WHERE m.last_seen_at > now() - :silent::interval AND p.state = 'only'
        AND NOT m.broker_revs @> ARRAY[l.rev, p.rev]
  )
RETURNING l.rev;

-- Nodes that run by an older link, and are not known to move just now. Nodes at a link that this master does not reach
-- (`away`) are left to the others, and no node is asked while some master could not reach it at the new one.
-- name: claim_nodes
WITH due AS (
    SELECT n.id
    FROM nodes n
    JOIN node_status s ON s.node_id = n.id
    WHERE s.online AND n.broker_state IS NOT NULL AND n.broker_rev < :rev AND n.broker_rev <> ALL (:away::bigint[])
      AND (n.config_rev <> :rev OR n.config_at < clock_timestamp())
      AND NOT EXISTS (SELECT FROM masters m WHERE NOT {broker_moves.silent_or_up})
    ORDER BY n.config_at, n.id
    LIMIT :max_rows
    FOR NO KEY UPDATE OF n SKIP LOCKED
)
UPDATE nodes n
SET config_rev = :rev, config_tries = CASE WHEN n.config_rev = :rev THEN n.config_tries + 1 ELSE 1 END,
    config_at = retry_at(CASE WHEN n.config_rev = :rev THEN n.config_tries + 3 ELSE 3 END, 300)
FROM due
WHERE n.id = due.id
RETURNING n.id, n.broker_rev;

-- The master that claims a link deletes the logins there; if it dies, another one takes over after a minute.
-- name: claim_left
UPDATE broker_links
SET claimed_until = now() + interval '1 minute'
WHERE state = 'closing' AND rev = ANY (:revs::bigint[]) AND state_at < now() - :age::interval
  AND claimed_until < now()
RETURNING rev, now() - state_at AS age;

-- name: mark_left
UPDATE broker_links
SET state = 'old', state_at = now(), left_over = :left_over::text
WHERE state = 'closing' AND rev = ANY (:revs::bigint[]);

-- All links by revision, of which one write at a time decides.
-- name: lock_all
SELECT rev, amqp_urls, management_urls, node_amqp_urls, ca, queues, state, state_at, left_over FROM broker_links
ORDER BY rev
FOR UPDATE;

-- Keep two first moves from being written at once: until then there is no row to lock.
-- name: lock_table
LOCK TABLE broker_links IN SHARE ROW EXCLUSIVE MODE;

-- Above all revisions that nodes may have kept, also when the database is an older one that was restored.
-- name: next_rev
SELECT GREATEST(
    0,
    (SELECT max(rev) FROM broker_links),
    (SELECT max(GREATEST(broker_seen, config_rev, broker_rev)) FROM nodes)
) + 1;

-- name: insert
INSERT INTO broker_links (rev, amqp_urls, management_urls, node_amqp_urls, ca, queues, state)
VALUES (
    :rev, :amqp_urls::text[], :management_urls::text[], :node_amqp_urls::text[], :ca::text, :queues, :state
);

-- name: set_state
UPDATE broker_links SET state = :state, state_at = now() WHERE rev = :rev;

-- The masters that run, and whether each is connected to the broker of this link.
-- name: select_masters
SELECT m.id, m.host, {broker_moves.silent_or_up} AS is_up
FROM masters m
WHERE m.last_seen_at > now() - :silent::interval
ORDER BY m.started_at, m.id;

-- A node has arrived when it was heard at the new link and knows it, or uses the same addresses by an earlier revision.
-- part: arrived
(n.broker_rev = ANY (:same::bigint[]) AND n.broker_state IS DISTINCT FROM 'trial')

-- name: count_nodes
SELECT
    count(*) AS total,
    count(*) FILTER (WHERE {broker_moves.arrived}) AS moved,
    count(*) FILTER (WHERE n.broker_state = 'trial' AND n.broker_rev = ANY (:same::bigint[])) AS trial,
    count(*) FILTER (WHERE n.broker_state = 'failed' AND {broker_moves.arrived} IS NOT TRUE) AS failed
FROM nodes n;

-- name: select_missing
SELECT n.id AS node_id, n.name, s.online, n.broker_rev AS rev, n.broker_state AS state, n.broker_reason AS reason,
    s.session > 0 AS has_reported
FROM nodes n
JOIN node_status s ON s.node_id = n.id
WHERE {broker_moves.arrived} IS NOT TRUE
ORDER BY n.id
LIMIT :max_rows::bigint;
