-- name: insert
INSERT INTO locations (name, country, labels) VALUES (:name, :country, :labels::jsonb)
RETURNING id, name, country, labels, created_at, updated_at;

-- name: select_one
SELECT id, name, country, labels, created_at, updated_at FROM locations WHERE id = :id;

-- name: lock
SELECT id, name, country, labels, created_at, updated_at FROM locations WHERE id = :id FOR UPDATE;

-- name: select_page
SELECT id, name, country, labels, created_at, updated_at
FROM locations
WHERE id > :after::bigint
  AND (:name::text IS NULL OR name = :name)
  AND (:country::text IS NULL OR country = :country)
  AND labels @> ALL (:labels::jsonb[])
ORDER BY id
LIMIT :limit::bigint;

-- name: update
UPDATE locations SET name = :name, country = :country, labels = :labels::jsonb, updated_at = now()
WHERE id = :id
RETURNING id, name, country, labels, created_at, updated_at;

-- name: count_nodes
SELECT count(*) FROM nodes WHERE location_id = :id;

-- name: delete
DELETE FROM locations WHERE id = :id;
