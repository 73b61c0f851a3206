-- Whether each node has confirmed its revision; one that is no longer there has nothing to confirm.
-- name: all_confirmed
SELECT NOT EXISTS (
    SELECT FROM unnest(:ids::bigint[], :revisions::bigint[]) AS asked (node_id, revision)
    JOIN public.node_status s ON s.node_id = asked.node_id
    WHERE s.confirmed_rev < asked.revision
);
