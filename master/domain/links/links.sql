-- Links expire by the database's clock.
-- name: clock
SELECT clock_timestamp();

-- name: insert
INSERT INTO links (kind, secret_hash, filter, rotate, format, template, min_interval_s, expires_at, token_filter)
VALUES (
    :kind, :secret_hash, :filter::jsonb, :rotate::jsonb, :format, :template, :min_interval_s, :expires_at::timestamptz,
    :token_filter::jsonb
)
RETURNING
    id, kind, filter, rotate, format, template, min_interval_s, expires_at, used_at, created_at, token_filter;

-- name: select_one
SELECT id, kind, filter, rotate, format, template, min_interval_s, expires_at, used_at, created_at,
    token_filter
FROM links
WHERE id = :id;

-- name: select_page
-- sort: id
SELECT id, kind, filter, rotate, format, template, min_interval_s, expires_at, used_at, created_at,
    token_filter
FROM links
WHERE {beyond}
ORDER BY {order}
LIMIT :limit::bigint;

-- name: delete
DELETE FROM links WHERE id = :id RETURNING kind;

-- Count one use. Of two at the same moment the second sees the time of the first, whichever masters they reach.
-- name: claim
UPDATE links SET used_at = clock_timestamp()
WHERE secret_hash = :secret_hash
  AND (expires_at IS NULL OR expires_at > now())
  AND (used_at IS NULL OR used_at <= now() - make_interval(secs => min_interval_s))
RETURNING id, kind, filter, rotate, format, template, token_filter;

-- Seconds until a link that was used too recently can be used again.
-- name: wait_s
SELECT GREATEST(1, ceil(extract(epoch FROM used_at - now()) + min_interval_s))::integer
FROM links
WHERE secret_hash = :secret_hash AND (expires_at IS NULL OR expires_at > now());
