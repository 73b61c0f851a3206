-- A node, and the node that was given this challenge.
-- name: select_node
SELECT
    n.id, n.name, n.ip, n.challenge_hash, s.session, n.addresses, n.exit_addresses, n.ipv6_prefixes,
    (SELECT o.id FROM nodes o WHERE o.challenge_hash = :challenge_hash) AS challenged_id
FROM nodes n
JOIN node_status s ON s.node_id = n.id
WHERE n.id = :id;

-- Engines of the proxies of this node, including proxies on their way to it or from it.
-- name: select_engines
SELECT DISTINCT p.engine
FROM proxies p
LEFT JOIN endpoints e ON e.proxy_id = p.id
WHERE p.node_id = :id OR e.node_id = :id
ORDER BY p.engine;

-- Give the row to the new host. It gets a new exit key, since it does not know which addresses were drawn before.
-- name: take_over
UPDATE nodes
SET ip = :ip, host = :host, os = :os, addresses = :addresses::text[], engines = :engines::jsonb, agent = :agent,
    challenge_hash = :challenge_hash, broker_password_hash = :broker_password_hash, shut_out_until = '-infinity',
    exit_key = md5(gen_random_uuid()::text || gen_random_uuid()::text), revision = revision + 1, updated_at = now(),
    broker_rev = NULL, broker_url = '', broker_state = NULL, broker_reason = ''
WHERE id = :id;

-- name: renew_exits
UPDATE proxies SET version = version + 1 WHERE node_id = :id AND exit ->> 'mode' IN ('ipv6_random', 'ipv6_session');

-- The new host has not reported yet.
-- name: reset_status
UPDATE node_status
SET online = false, reported_at = now(), rev = 0, seen = 0, confirmed_rev = 0, count = 0, running = 0, missing = 0,
    failed = 0, limited = 0, held_rev = NULL, held_stops = NULL, held_of = NULL, number = 0, upgrade = NULL,
    tls_certificate = NULL,
    retired_session = GREATEST(session, retired_session), session = 0
WHERE node_id = :id;

-- name: delete_failures
DELETE FROM proxy_failures WHERE node_id = :id;

-- name: delete_taken_ports
DELETE FROM taken_ports WHERE node_id = :id;
