-- The proxies that match and can be claimed, those that run first; with `node_ids` only those that have all of their
-- endpoints on these nodes.
-- name: select_free
SELECT id
FROM proxy_resources
WHERE enabled AND node_state <> 'disabled' AND state IN ('running', 'pending') AND NOT labels ?| :keys::text[]
  AND (:node_ids::bigint[] IS NULL OR node_id = ANY (:node_ids) AND NOT EXISTS (
      SELECT FROM endpoints e WHERE e.proxy_id = id AND e.node_id <> ALL (:node_ids)
  ))
  AND (:new_login::boolean IS NULL OR username IS NOT NULL AND NOT EXISTS (
      SELECT FROM endpoints e WHERE e.proxy_id = id
  ))
  {proxies.matching}
ORDER BY state = 'running' DESC, id
LIMIT :count::bigint;

-- Their nodes are locked, so that other writes wait. A row that is locked all the same is left to whoever has it.
-- name: lock
SELECT id FROM proxies WHERE id = ANY (:ids::bigint[]) ORDER BY id FOR UPDATE SKIP LOCKED;
