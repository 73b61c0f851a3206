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
  AND (:id::bigint[] IS NULL OR id = ANY (:id))
  AND (:name::text[] IS NULL OR name = ANY (:name))
  AND (:country::text[] IS NULL OR country = ANY (:country))
  AND (:labels::jsonb[] IS NULL OR labels @> ALL (:labels))
  AND (:label_keys::text[] IS NULL OR labels ?& :label_keys)
  AND (:q::text IS NULL OR starts_with(sort_name, lower(:q)) OR id::text = :q)
  AND (:not_id::bigint[] IS NULL OR id <> ALL (:not_id))
  AND (:not_name::text[] IS NULL OR name <> ALL (:not_name))
  AND (:not_country::text[] IS NULL OR (country = ANY (:not_country)) IS NOT TRUE)
  AND (:not_labels::jsonb[] IS NULL OR NOT labels @> ANY (:not_labels))
  AND (:not_label_keys::text[] IS NULL OR NOT labels ?| :not_label_keys)
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
