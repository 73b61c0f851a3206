-- Each key with how many resources of the kind have it, and its most frequent values. `prefix` is in lower
-- case.
-- name: select_keys
WITH pairs AS (
    SELECT l.key, l.value, count(*) AS count
    FROM (
        SELECT 'proxy' AS kind, labels FROM proxies
        UNION ALL
        SELECT 'node', labels FROM nodes
        UNION ALL
        SELECT 'location', labels FROM locations
        UNION ALL
        SELECT 'stack', labels FROM stacks
    ) AS r
    CROSS JOIN LATERAL jsonb_each_text(r.labels) AS l (key, value)
    WHERE r.kind = :kind::text
      AND (:key::text IS NULL OR l.key = :key)
      AND (:prefix::text IS NULL OR starts_with(lower(l.value), :prefix))
    GROUP BY l.key, l.value
), ranked AS (
    SELECT key, value, count, row_number() OVER (PARTITION BY key ORDER BY count DESC, value) AS rank
    FROM pairs
)
SELECT
    key, sum(count)::bigint AS count,
    jsonb_agg(jsonb_build_object('value', value, 'count', count) ORDER BY rank)
        FILTER (WHERE rank <= :most_values::bigint) AS values
FROM ranked
GROUP BY key
ORDER BY sum(count) DESC, key
LIMIT :most_keys::bigint;
