-- A backend that waits for its client in the middle of a transaction shows that the client process stands still, even
-- in the state "active" (between a statement and its parameters). Then all transactions of that process end: those that
-- wait for a lock would get it in their turn, and keep it.
-- name: end_frozen
WITH peers AS (
    SELECT pid, application_name, wait_event, state_change
    FROM pg_stat_activity
    WHERE datname = current_database() AND usename = current_user AND xact_start IS NOT NULL
        AND application_name LIKE 'maybe-master %' AND application_name <> :own_name
)
SELECT application_name AS name, count(*) FILTER (WHERE pg_terminate_backend(pid)) AS ended
FROM peers
WHERE application_name IN (
    SELECT application_name FROM peers
    WHERE wait_event = 'ClientRead' AND state_change < clock_timestamp() - make_interval(secs => :silent_s::float8)
)
GROUP BY application_name;
