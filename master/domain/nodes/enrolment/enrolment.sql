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
