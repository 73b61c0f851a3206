-- name: select_revisions
SELECT id, revision FROM public.nodes WHERE id = ANY (:ids::bigint[]);
