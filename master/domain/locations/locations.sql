-- name: insert
INSERT INTO locations (name, country, labels) VALUES (:name, :country, :labels::jsonb)
RETURNING id, name, country, labels, created_at, updated_at;

-- name: select_one
SELECT id, name, country, labels, created_at, updated_at FROM locations WHERE id = :id;

-- name: lock
SELECT id, name, country, labels, created_at, updated_at FROM locations WHERE id = :id FOR UPDATE;

-- name: select_page
-- sort: id
-- sort: name = sort_name::text
-- sort: created_at::timestamptz
-- sort: updated_at::timestamptz
SELECT id, name, country, labels, created_at, updated_at, {key} AS sort_key
FROM (SELECT *, lower(name) COLLATE "C" AS sort_name FROM locations) AS l
WHERE true
  AND {beyond}
  {filters.matching_named}
  AND (:country::text[] IS NULL OR country = ANY (:country))
  AND (:not_country::text[] IS NULL OR (country = ANY (:not_country)) IS NOT TRUE)
ORDER BY {order}
LIMIT :limit::bigint;

-- name: update
UPDATE locations SET name = :name, country = :country, labels = :labels::jsonb, updated_at = now()
WHERE id = :id
RETURNING id, name, country, labels, created_at, updated_at;

-- name: count_nodes
SELECT count(*) FROM nodes WHERE location_id = :id;

-- name: delete
DELETE FROM locations WHERE id = :id;
