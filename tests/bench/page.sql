-- A fleet for the benchmark of the page: 30 nodes in 5 locations, 20,000 proxies in 40 stacks, 400 customers.

INSERT INTO locations (name, country)
SELECT 'place-' || n, (ARRAY['DE', 'NL', 'PL', 'US', 'SG'])[n] FROM generate_series(1, 5) AS n;

INSERT INTO nodes (name, ip, location_id, challenge_hash, broker_password_hash)
SELECT 'node-' || n, '10.0.0.' || n, 1 + n % 5, 'c' || n, 'x' FROM generate_series(1, 30) AS n;

INSERT INTO stacks (name, spread, proxy)
SELECT 'stack-' || n, 'nodes', '{"protocol": "mixed"}' FROM generate_series(1, 40) AS n;

INSERT INTO proxies (node_id, port, protocol, username, password, labels, stack_id)
SELECT
    1 + n % 30, 20000 + n / 30, (ARRAY['http', 'socks5', 'mixed'])[1 + n % 3], 'user' || n, 'password-' || n,
    jsonb_build_object('customer', (n % 400)::text, 'tier', (ARRAY['gold', 'silver'])[1 + n % 2]), 1 + n % 40
FROM generate_series(0, 19999) AS n;

-- Every node reports and has confirmed everything, but for some failures.
UPDATE node_status s
SET session = 1, online = true, reported_at = now(), confirmed_rev = n.revision, rev = n.revision,
    count = n.proxy_count, running = n.proxy_count
FROM nodes n WHERE n.id = s.node_id;

INSERT INTO proxy_failures (proxy_id, node_id, version, reason)
SELECT id, node_id, version, 'port ' || port || ' is taken by another program' FROM proxies WHERE id % 100 = 0;

ANALYZE;
