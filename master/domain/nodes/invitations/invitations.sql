-- Invitations expire by the database's clock.
-- name: clock
SELECT clock_timestamp();

-- name: insert
INSERT INTO invitations (
    key, location_id, labels, max_proxies, port_from, port_to, exit_addresses, ipv6_prefixes, name_prefix, uses,
    expires_at
)
VALUES (
    :key, :location_id::bigint, :labels::jsonb, :max_proxies::integer, :port_from::integer, :port_to::integer,
    :exit_addresses::text[], :ipv6_prefixes::text[], :name_prefix::text, :uses, :expires_at::timestamptz
)
RETURNING id;

-- An invitation as the API shows it.
-- part: columns
    id, location_id, labels, max_proxies, port_from, port_to, exit_addresses, ipv6_prefixes, name_prefix, uses, used,
    expires_at, last_error, last_error_at, created_at,
    CASE WHEN used >= uses THEN 'used_up' WHEN expires_at <= now() THEN 'expired' ELSE 'open' END AS state,
    ARRAY(SELECT n.id FROM nodes n WHERE n.invitation_id = i.id ORDER BY n.id) AS node_ids

-- name: select_one
SELECT
{invitations.columns}
FROM invitations i
WHERE id = :id AND removed_at IS NULL;

-- name: select_page
-- sort: id
SELECT
{invitations.columns}
FROM invitations i
WHERE removed_at IS NULL
  AND {beyond}
ORDER BY {order}
LIMIT :limit::bigint;

-- name: remove
UPDATE invitations SET removed_at = now(), location_id = NULL
WHERE id = :id AND removed_at IS NULL
RETURNING id, uses, used;

-- Invitations that were removed long ago: nodes that still have their codes are answered as strangers.
-- name: forget
DELETE FROM invitations WHERE removed_at < now() - :kept::interval;

-- Keys of all invitations, the removed ones included, since their nodes are given the reason.
-- name: select_keys
SELECT id, key FROM invitations;

-- What an announcement is judged by: the invitation, and the node that has the challenge already.
-- name: select_announced
SELECT
    i.id, i.location_id, i.labels, i.name_prefix,
    CASE
        WHEN i.removed_at IS NOT NULL THEN 'removed'
        WHEN i.used >= i.uses THEN 'used_up'
        WHEN i.expires_at <= now() THEN 'expired'
        ELSE 'open'
    END AS state,
    n.id AS node_id, COALESCE(s.session > 0, false) AS is_enrolled
FROM invitations i
LEFT JOIN nodes n ON n.challenge_hash = :challenge_hash
LEFT JOIN node_status s ON s.node_id = n.id
WHERE i.id = :id;

-- name: note_failure
UPDATE invitations SET last_error = :reason, last_error_at = clock_timestamp() WHERE id = :id;
