-- A second request with the same key waits here for the first to end.
-- name: lock
SELECT pg_advisory_xact_lock(hashtext('maybe.idempotency'), hashtext(:token_id::bigint || ' ' || :key::text));

-- name: select_one
SELECT request_hash, status, headers, body
FROM idempotency_keys
WHERE token_id = :token_id AND key = :key AND at > now() - interval '24 hours';

-- name: insert
INSERT INTO idempotency_keys (token_id, key, request_hash, status, headers, body)
VALUES (:token_id, :key, :request_hash, :status, :headers::jsonb, :body)
ON CONFLICT (token_id, key) DO UPDATE
SET request_hash = EXCLUDED.request_hash, status = EXCLUDED.status, headers = EXCLUDED.headers,
    body = EXCLUDED.body, at = now();

-- name: forget
DELETE FROM idempotency_keys
WHERE (token_id, key) IN (
    SELECT token_id, key FROM idempotency_keys WHERE at < now() - interval '24 hours' LIMIT 1000 FOR UPDATE SKIP LOCKED
);
