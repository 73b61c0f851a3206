-- A backend that waits for its client in the middle of a transaction shows that the client, a whole program, stands
-- still: "active" too when it has a statement and waits for its parameters. Only then the program's other transactions
-- go as well: those that wait for a lock would get it in their turn, and keep it.
-- name: end_frozen
WITH theirs AS (
    SELECT pid, application_name, wait_event, state_change
    FROM pg_stat_activity
    WHERE datname = current_database() AND usename = current_user AND xact_start IS NOT NULL
        AND application_name LIKE 'maybe-master %' AND application_name <> :mine
)
SELECT application_name AS name, count(*) FILTER (WHERE pg_terminate_backend(pid)) AS ended
FROM theirs
WHERE application_name IN (
    SELECT application_name FROM theirs
    WHERE wait_event = 'ClientRead' AND state_change < clock_timestamp() - make_interval(secs => :silent_s::float8)
)
GROUP BY application_name;
