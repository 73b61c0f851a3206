-- name: select_by_challenge
SELECT n.id, s.session FROM nodes n JOIN node_status s ON s.node_id = n.id WHERE n.challenge_hash = :challenge_hash;

-- name: check_request
SELECT
    EXISTS (SELECT 1 FROM locations WHERE id = :location_id::bigint) AS location_exists,
    (SELECT id FROM nodes WHERE name = :name::text) AS name_node_id;

-- A node that has not reported yet may be enrolled again, with a new login.
-- name: upsert
INSERT INTO nodes (
    name, ip, location_id, labels, host, os, addresses, engines, agent, challenge_hash, broker_password_hash
)
VALUES (
    :name, :ip, :location_id, :labels, :host, :os, :addresses, :engines, :agent, :challenge_hash, :broker_password_hash
)
ON CONFLICT (challenge_hash) DO UPDATE
SET ip = EXCLUDED.ip, host = EXCLUDED.host, os = EXCLUDED.os, addresses = EXCLUDED.addresses,
    engines = EXCLUDED.engines, agent = EXCLUDED.agent, broker_password_hash = EXCLUDED.broker_password_hash
RETURNING id, name, xmax = 0 AS created;

-- Count one use of an invitation that is open, and give the new node its limits and exits.
-- name: use_invitation
WITH used AS (
    UPDATE invitations SET used = used + 1
    WHERE id = :id AND used < uses AND expires_at > now() AND removed_at IS NULL
    RETURNING id, uses, used, max_proxies, port_from, port_to, exit_addresses, ipv6_prefixes
)
UPDATE nodes n
SET invitation_id = u.id, max_proxies = COALESCE(u.max_proxies, n.max_proxies),
    port_from = COALESCE(u.port_from, n.port_from), port_to = COALESCE(u.port_to, n.port_to),
    exit_addresses = u.exit_addresses, ipv6_prefixes = u.ipv6_prefixes
FROM used u
WHERE n.id = :node_id
RETURNING u.uses, u.used;
