-- A proxy that was removed meanwhile has no last check. Several checks of one proxy may end at once: rows are locked in
-- the order of their ids.
-- name: store
INSERT INTO proxy_checks (proxy_id, result)
SELECT r.id, r.result
FROM unnest(:ids::bigint[], :results::jsonb[]) AS r (id, result)
WHERE EXISTS (SELECT FROM proxies p WHERE p.id = r.id)
ORDER BY r.id
ON CONFLICT (proxy_id) DO UPDATE SET result = EXCLUDED.result;
