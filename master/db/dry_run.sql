-- Events that this transaction is about to write have higher ids. An unused sequence returns its first value.
-- name: last_event_id
SELECT last_value - 1 FROM events_id_seq;

-- Events that this transaction has written. The log stays locked, so only ids after `since` are read.
-- name: select_events
SELECT id, type, node_id, proxy_id, stack_id, details
FROM events
WHERE id > :since::bigint AND xmin = pg_current_xact_id()::xid
ORDER BY id;
