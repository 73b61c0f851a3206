-- The ids that come next, under the lock of whoever makes proxies and stacks: nobody draws one meanwhile.
-- name: next_ids
SELECT
    p.last_value AS proxy_id, p.is_called AS proxy_called, s.last_value AS stack_id, s.is_called AS stack_called
FROM proxies_id_seq p, stacks_id_seq s;

-- Sequences know no rollback: these are put back before it. The log is locked by whoever has written in it; an event
-- is never written twice, so that those of this transaction are its own.
-- name: give_ids_back
SELECT
    setval('proxies_id_seq', :proxy_id::bigint, :proxy_called::boolean),
    setval('stacks_id_seq', :stack_id::bigint, :stack_called::boolean),
    (
        SELECT setval('events_id_seq', min(id), false) FROM events
        WHERE id > (SELECT last_value FROM events_id_seq) - :most::bigint AND xmin = pg_current_xact_id()::xid
        HAVING count(*) > 0
    );

-- What this transaction has written into the log.
-- name: select_events
SELECT id, type, node_id, proxy_id, stack_id, details
FROM events
WHERE id > (SELECT last_value FROM events_id_seq) - :most::bigint AND xmin = pg_current_xact_id()::xid
ORDER BY id;
