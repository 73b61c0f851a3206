-- name: select_revisions
SELECT id, revision FROM nodes WHERE id = ANY (:ids::bigint[]);
