-- Tokens expire by the database's clock.
-- name: clock
SELECT clock_timestamp();

-- Creation, replacement and removal of admin tokens take turns: of two that each leave the other one, only one succeeds.
-- name: lock
SELECT pg_advisory_xact_lock(hashtext('maybe.tokens'));

-- part: columns
    id, name, scopes, filter, allow_ips, expires_at, last_used_at, last_used_ip, created_by, created_at

-- name: insert
INSERT INTO tokens (name, hash, scopes, filter, allow_ips, expires_at, created_by)
VALUES (
    :name, :hash, :scopes::text[], :filter::jsonb, :allow_ips::text[], :expires_at::timestamptz, :created_by
)
RETURNING
{tokens.columns};

-- name: select_one
SELECT
{tokens.columns}
FROM tokens
WHERE id = :id;

-- name: select_page
-- sort: id
SELECT
{tokens.columns}
FROM tokens
WHERE {beyond}
ORDER BY {order}
LIMIT :limit::bigint;

-- name: update
UPDATE tokens SET name = :name, allow_ips = :allow_ips::text[], expires_at = :expires_at WHERE id = :id;

-- name: delete
DELETE FROM tokens WHERE id = :id RETURNING id, name, scopes, filter;

-- Whether another token can manage tokens now.
-- name: has_other_admin
SELECT EXISTS (
    SELECT FROM tokens WHERE id <> :id AND 'admin' = ANY(scopes) AND (expires_at IS NULL OR expires_at > now())
);

-- name: has_admin
SELECT EXISTS (SELECT FROM tokens WHERE 'admin' = ANY(scopes));

-- Days until each expires; null: never.
-- name: select_admins
SELECT name, ceil(extract(epoch FROM expires_at - now()) / 86400)::integer AS days
FROM tokens
WHERE 'admin' = ANY(scopes)
ORDER BY id;

-- name: find
SELECT
    id, name, scopes, filter, allow_ips, COALESCE(expires_at <= now(), false) AS is_expired,
    COALESCE(last_used_at < now() - interval '1 minute', true) AS is_due
FROM tokens
WHERE hash = :hash;

-- name: select_usable
SELECT id, allow_ips FROM tokens WHERE id = ANY(:ids::bigint[]) AND (expires_at IS NULL OR expires_at > now());

-- Masters that see the same token write its use once a minute between them.
-- name: mark_used
UPDATE tokens SET last_used_at = now(), last_used_ip = :ip
WHERE id = :id AND COALESCE(last_used_at < now() - interval '1 minute', true);

-- The token of the setting API_TOKEN: a row of its name, whose hash follows the setting.
-- name: install
INSERT INTO tokens (name, hash, scopes, created_by) VALUES (:name, :hash, '{admin}', :created_by)
ON CONFLICT (name) DO UPDATE
SET hash = EXCLUDED.hash, allow_ips = '{}', expires_at = NULL, last_used_at = NULL, last_used_ip = NULL
WHERE tokens.hash <> EXCLUDED.hash
RETURNING id, name, scopes, filter;
