-- Each statement finds resources of one kind: that with the id first, then by name. Texts are compared in lower case and
-- byte order, between `text` and `text_end`, so that an index serves whatever the text is.

-- Each way of finding a proxy has an index of its own, and gives at most `limit` candidates in the order of it.
-- name: proxies
WITH found AS (
    SELECT id, 0 AS rank FROM proxies WHERE id = :id::bigint
    UNION ALL
    (
        SELECT p.id, 1 FROM nodes n JOIN proxies p ON p.node_id = n.id
        WHERE n.ip = :host::text AND p.port = :port::integer
        ORDER BY p.id LIMIT :limit::bigint
    )
    UNION ALL
    (
        SELECT id, 2 FROM proxies
        WHERE COALESCE(lower(name), U&'\+10FFFF') COLLATE "C" >= :text::text
          AND COALESCE(lower(name), U&'\+10FFFF') COLLATE "C" < :text_end::text
        ORDER BY COALESCE(lower(name), U&'\+10FFFF') COLLATE "C" LIMIT :limit
    )
    UNION ALL
    (
        SELECT id, 3 FROM proxies
        WHERE lower(username) COLLATE "C" >= :text AND lower(username) COLLATE "C" < :text_end
        ORDER BY lower(username) COLLATE "C" LIMIT :limit
    )
    UNION ALL
    (
        SELECT p.id, 4 FROM nodes n CROSS JOIN LATERAL (
            SELECT p.id FROM proxies p WHERE p.node_id = n.id ORDER BY p.port LIMIT :limit
        ) AS p
        WHERE n.ip COLLATE "C" >= :text AND n.ip COLLATE "C" < :text_end
        ORDER BY n.ip COLLATE "C", p.id LIMIT :limit
    )
), ranked AS (
    SELECT id, min(rank) AS rank FROM found GROUP BY id
)
SELECT p.id, p.name, n.ip AS host, p.port, n.name AS node, p.username
FROM ranked r
JOIN proxies p USING (id)
JOIN nodes n ON n.id = p.node_id
ORDER BY r.rank, lower(p.name) COLLATE "C", p.id
LIMIT :limit;

-- name: nodes
SELECT n.id, n.name, n.ip, l.name AS location
FROM nodes n
LEFT JOIN locations l ON l.id = n.location_id
WHERE n.id = :id::bigint OR starts_with(lower(n.name), :text::text) OR starts_with(n.ip, :text)
   OR starts_with(lower(n.host), :text)
ORDER BY n.id IS DISTINCT FROM :id, lower(n.name) COLLATE "C", n.id
LIMIT :limit::bigint;

-- name: locations
SELECT id, name, country
FROM locations
WHERE id = :id::bigint OR starts_with(lower(name), :text::text)
ORDER BY id IS DISTINCT FROM :id, lower(name) COLLATE "C", id
LIMIT :limit::bigint;

-- name: stacks
SELECT id, name, count
FROM stacks
WHERE id = :id::bigint OR starts_with(lower(name), :text::text)
ORDER BY id IS DISTINCT FROM :id, lower(name) COLLATE "C", id
LIMIT :limit::bigint;

-- name: links
SELECT id, kind, format FROM links WHERE id = :id::bigint;

-- The host of the address: its path may be a secret.
-- name: webhooks
SELECT w.id, u.host, w.types
FROM webhooks w
CROSS JOIN LATERAL (SELECT substring(lower(w.url) FROM '^[a-z]+://(?:[^/?#]*@)?([^/?#]*)') AS host) AS u
WHERE w.id = :id::bigint OR starts_with(u.host, :text::text)
ORDER BY w.id IS DISTINCT FROM :id, w.id
LIMIT :limit::bigint;
