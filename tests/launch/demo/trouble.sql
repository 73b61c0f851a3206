-- An accident, such as a database that was restored from an old backup: most proxies of a node are no longer known. Its
-- agent holds the list back that would stop them (the wipe guard). No call of the API does that.
DELETE FROM proxies WHERE node_id = (SELECT id FROM nodes WHERE name = 'waw-1') AND port % 8 <> 0;

-- An upgrade that stopped after two nodes. The agents of the demo were not installed by the install script, so that they
-- would only be skipped; the masters leave this upgrade alone until it is resumed.
WITH upgrade AS (
    INSERT INTO upgrades (
        version, sha256, min_upgradable_from, base_url, filter, canary, batch, batch_size, soak_s, most_failed, downgrade,
        state, reason, actor, created_at, updated_at, next_check_at
    )
    VALUES (
        '0.2.0', repeat('0', 64), '0.1.0', 'http://127.0.0.1:3005', '{}', 1, '50%', 2, 120, 0, false, 'halted',
        '1 node failed, and most_failed is 0: node fra-2: port 20017 accepted connections before and does not now', 'api',
        now() - interval '20 minutes', now() - interval '13 minutes', 'infinity'
    )
    RETURNING id
)
INSERT INTO upgrade_nodes (upgrade_id, node_id, name, place, from_version, state, reason, at, steps)
SELECT
    u.id, n.id, n.name, row_number() OVER (ORDER BY p.place), '0.1.0', p.states[cardinality(p.states)], p.reason,
    now() - make_interval(secs => p.ago[cardinality(p.ago)]),
    (
        SELECT jsonb_agg(jsonb_build_object('state', s.state, 'at', now() - make_interval(secs => s.ago)) ORDER BY s.i)
        FROM unnest(p.states, p.ago) WITH ORDINALITY AS s (state, ago, i)
    )
FROM upgrade u
CROSS JOIN (
    VALUES
    (
        1, 'fra-1', NULL, ARRAY['waiting', 'asked', 'fetching', 'restarting', 'soaking', 'done'],
        ARRAY[1200, 1199, 1197, 1162, 1120, 1000]
    ),
    (
        2, 'fra-2', 'port 20017 accepted connections before and does not now',
        ARRAY['waiting', 'asked', 'fetching', 'restarting', 'rolled_back'], ARRAY[1200, 999, 996, 955, 780]
    ),
    (3, 'ams-1', NULL, ARRAY['waiting'], ARRAY[1200]),
    (4, 'nyc-1', 'it is offline; it is asked when it returns', ARRAY['waiting', 'unreachable'], ARRAY[1200, 1190]),
    (5, 'waw-1', 'it is pinned to 0.1.0', ARRAY['skipped'], ARRAY[1200])
) AS p (place, name, reason, states, ago)
JOIN nodes n ON n.name = p.name;

UPDATE nodes SET pinned_version = '0.1.0' WHERE name = 'waw-1';
