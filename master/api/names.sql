-- name: location
SELECT id, name FROM locations WHERE name = ANY(:names::text[]);

-- name: node
SELECT id, name FROM nodes WHERE name = ANY(:names::text[]);

-- name: stack
SELECT id, name FROM stacks WHERE name = ANY(:names::text[]);

-- Names that are compared with a mistyped one.
-- name: locations
SELECT name FROM locations ORDER BY id LIMIT :most::bigint;

-- name: nodes
SELECT name FROM nodes ORDER BY id LIMIT :most::bigint;

-- name: stacks
SELECT name FROM stacks ORDER BY id LIMIT :most::bigint;
