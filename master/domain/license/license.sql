-- Licence keys are kept although others were issued later: which one counts is decided when it is read.
-- name: select_all
SELECT id, key, source, received_at, stage FROM public.license_keys ORDER BY id;

-- name: lock_all
SELECT id, key, source, received_at, stage FROM license_keys ORDER BY id FOR UPDATE;

-- The time by which licences end: a clock that was set back does not go behind the newest event.
-- name: now
SELECT GREATEST(clock_timestamp(), (SELECT at FROM public.events ORDER BY id DESC LIMIT 1)) AS now;

-- name: insert
INSERT INTO license_keys (key, source) VALUES (:key, :source) ON CONFLICT (key) DO NOTHING;

-- name: mark_stage
UPDATE license_keys SET stage = :stage WHERE id = :id;

-- name: count_present
SELECT
    CASE
        WHEN :of_nodes::boolean THEN (SELECT count(*) FROM public.nodes)
        ELSE (SELECT count(*) FROM public.proxies)
    END AS present;

-- name: count_all
SELECT (SELECT count(*) FROM nodes) AS nodes, (SELECT count(*) FROM proxies) AS proxies;

-- Two creations at once would each see room for itself. Taken after the locks of placement, before those of addresses.
-- name: lock_room
SELECT pg_advisory_xact_lock(hashtext('maybe.license'));
