-- Raise the stored counters to the reported ones of the same life, and add the difference to this hour. A node reports
-- only proxies that are or were its own. Its status is locked, so that reports of one node take turns. Two nodes may
-- report one proxy during a rotation: totals are locked in the order of their ids.
-- name: store
WITH reported AS (
    SELECT r.id, r.epoch, r.received_bytes, r.sent_bytes, r.connections, r.refused
    FROM jsonb_to_recordset(:rows::jsonb) AS r (
        id bigint, epoch bigint, received_bytes bigint, sent_bytes bigint, connections bigint, refused jsonb
    )
), grown AS (
    SELECT
        t.id, t.epoch,
        GREATEST(t.received_bytes - COALESCE(c.received_bytes, 0), 0) AS received_bytes,
        GREATEST(t.sent_bytes - COALESCE(c.sent_bytes, 0), 0) AS sent_bytes,
        GREATEST(t.connections - COALESCE(c.connections, 0), 0) AS connections,
        CASE
            WHEN t.refused = COALESCE(c.refused, '{}') THEN '{}'
            ELSE reasons_growth(t.refused, COALESCE(c.refused, '{}'))
        END AS refused
    FROM reported t
    LEFT JOIN usage_counters c ON c.proxy_id = t.id AND c.epoch = t.epoch
    WHERE CASE
        WHEN c.proxy_id IS NOT NULL THEN c.node_id = :node_id
        ELSE (
            EXISTS (SELECT FROM proxies p WHERE p.id = t.id AND p.node_id = :node_id)
            OR EXISTS (SELECT FROM endpoints e WHERE e.proxy_id = t.id AND e.node_id = :node_id)
            OR EXISTS (
                SELECT FROM former_proxies f
                WHERE f.proxy_id = t.id AND f.node_id = :node_id AND f.left_at >= now() - :kept::interval
            )
        ) AND (SELECT count(*) FROM usage_counters o WHERE o.proxy_id = t.id) < :max_epochs::bigint
    END
), news AS (
    SELECT id, epoch, received_bytes, sent_bytes, connections, refused
    FROM grown
    WHERE received_bytes > 0 OR sent_bytes > 0 OR connections > 0 OR refused <> '{}'
), counted AS (
    INSERT INTO usage_counters AS c (proxy_id, epoch, node_id, received_bytes, sent_bytes, connections, refused)
    SELECT id, epoch, :node_id, received_bytes, sent_bytes, connections, refused FROM news
    ON CONFLICT (proxy_id, epoch) DO UPDATE
    SET received_bytes = saturating_add(c.received_bytes, EXCLUDED.received_bytes),
        sent_bytes = saturating_add(c.sent_bytes, EXCLUDED.sent_bytes),
        connections = saturating_add(c.connections, EXCLUDED.connections),
        refused = reasons_add(c.refused, EXCLUDED.refused)
), totalled AS (
    INSERT INTO usage_totals AS t (proxy_id, total_bytes, day, day_bytes, month, month_bytes)
    SELECT m.id, m.bytes, today.day, m.bytes, date_trunc('month', today.day::timestamp)::date, m.bytes
    FROM (
        SELECT id, LEAST(sum(received_bytes::numeric + sent_bytes), 9223372036854775807)::bigint AS bytes
        FROM news GROUP BY id
    ) AS m
    CROSS JOIN (SELECT (now() AT TIME ZONE 'UTC')::date AS day) AS today
    WHERE m.bytes > 0 AND EXISTS (SELECT FROM proxies p WHERE p.id = m.id)
    ORDER BY m.id
    ON CONFLICT (proxy_id) DO UPDATE
    SET total_bytes = saturating_add(t.total_bytes, EXCLUDED.total_bytes),
        day = EXCLUDED.day, month = EXCLUDED.month,
        day_bytes = CASE t.day
            WHEN EXCLUDED.day THEN saturating_add(t.day_bytes, EXCLUDED.day_bytes) ELSE EXCLUDED.day_bytes
        END,
        month_bytes = CASE t.month
            WHEN EXCLUDED.month THEN saturating_add(t.month_bytes, EXCLUDED.month_bytes) ELSE EXCLUDED.month_bytes
        END
)
INSERT INTO usage_hours AS h (
    proxy_id, node_id, hour, location_id, stack_id, received_bytes, sent_bytes, connections, refused
)
SELECT
    id, :node_id, date_trunc('hour', now(), 'UTC'), (SELECT location_id FROM nodes n WHERE n.id = :node_id),
    COALESCE(
        (SELECT p.stack_id FROM proxies p WHERE p.id = news.id),
        (SELECT max(f.stack_id) FROM former_proxies f WHERE f.proxy_id = news.id)
    ),
    LEAST(sum(received_bytes), 9223372036854775807)::bigint, LEAST(sum(sent_bytes), 9223372036854775807)::bigint,
    LEAST(sum(connections), 9223372036854775807)::bigint, reasons_sum(refused)
FROM news
GROUP BY id
ON CONFLICT (proxy_id, node_id, hour) DO UPDATE
SET received_bytes = saturating_add(h.received_bytes, EXCLUDED.received_bytes),
    sent_bytes = saturating_add(h.sent_bytes, EXCLUDED.sent_bytes),
    connections = saturating_add(h.connections, EXCLUDED.connections),
    refused = reasons_add(h.refused, EXCLUDED.refused);

-- Sums of days and of hours belong to one snapshot, or else an hour that is rolled up meanwhile would count twice.
-- name: use_one_snapshot
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY;

-- Settings of the transaction that sums up. A plan for all parameters would read the whole table for each page; compiling
-- a plan takes longer than a million rows do; and the groups of a large fleet fit into this memory.
-- name: use_plans_of_sums
SELECT
    set_config('plan_cache_mode', 'force_custom_plan', true), set_config('jit', 'off', true),
    set_config('work_mem', '64MB', true);

-- name: rolled_until
SELECT rolled_until FROM public.usage_rollup;

-- The conditions of a filter of usage `h`. Labels are those that a proxy has now, or had when it was removed.
-- part: matching
      AND (:proxy_id::bigint[] IS NULL OR h.proxy_id = ANY (:proxy_id))
      AND (:node_id::bigint[] IS NULL OR h.node_id = ANY (:node_id))
      AND (:stack_id::bigint[] IS NULL OR h.stack_id = ANY (:stack_id))
      AND (:location_id::bigint[] IS NULL OR h.location_id = ANY (:location_id))
      AND (:labels::jsonb[] IS NULL OR h.proxy_id IN (
          SELECT l.proxy_id FROM latest_labels l WHERE l.labels @> ALL (:labels)
      ))
      AND (:label_keys::text[] IS NULL OR h.proxy_id IN (
          SELECT l.proxy_id FROM latest_labels l WHERE l.labels ?& :label_keys
      ))
      AND (:not_labels::jsonb[] IS NULL OR h.proxy_id NOT IN (
          SELECT l.proxy_id FROM latest_labels l WHERE l.labels @> ANY (:not_labels)
      ))
      AND (:not_label_keys::text[] IS NULL OR h.proxy_id NOT IN (
          SELECT l.proxy_id FROM latest_labels l WHERE l.labels ?| :not_label_keys
      ))

-- The values of the label by which usage is grouped.
-- part: labels_of_key
labels AS MATERIALIZED (
    SELECT proxy_id, '=' || (labels ->> :label_key::text) AS label
    FROM latest_labels
    WHERE :label_key IS NOT NULL AND labels ? :label_key
)

-- The groups of usage `h`, which is joined with `labels`.
-- part: grouped
SELECT
        CASE :span::text
            WHEN 'hour' THEN date_part('epoch', h.hour)::bigint
            WHEN 'day' THEN ((h.hour AT TIME ZONE 'UTC')::date - date '1970-01-01') * 86400::bigint
            ELSE 0
        END AS began_s,
        CASE WHEN :by_stack::boolean THEN COALESCE(h.stack_id, 0) ELSE 0 END AS stack_group,
        CASE WHEN :by_proxy::boolean THEN h.proxy_id ELSE 0 END AS proxy_group,
        CASE WHEN :by_node::boolean THEN h.node_id ELSE 0 END AS node_group,
        CASE WHEN :by_location::boolean THEN COALESCE(h.location_id, 0) ELSE 0 END AS location_group,
        CASE WHEN :label_key IS NULL THEN '' ELSE COALESCE(l.label, '') END COLLATE "C" AS label_group,
        h.received_bytes, h.sent_bytes, h.connections, h.refused

-- part: groups
began_s, stack_group, proxy_group, node_group, location_group, label_group

-- The reasons of `refusals` by group.
-- part: reasons
reasons AS (
    SELECT {usage.groups}, jsonb_object_agg(reason, count) AS refused
    FROM (
        SELECT {usage.groups}, r.reason,
            LEAST(sum(r.count::numeric), 9223372036854775807) AS count
        FROM refusals
        JOIN sums USING ({usage.groups})
        CROSS JOIN LATERAL jsonb_each_text(refused) AS r (reason, count)
        GROUP BY {usage.groups}, r.reason
    ) AS counts
    GROUP BY {usage.groups}
)

-- The sums with their reasons.
-- part: sums_with_reasons
SELECT
    {usage.groups},
    LEAST(s.received_bytes, 9223372036854775807)::bigint AS received_bytes,
    LEAST(s.sent_bytes, 9223372036854775807)::bigint AS sent_bytes,
    LEAST(s.connections, 9223372036854775807)::bigint AS connections,
    COALESCE(r.refused, '{}') AS refused,
    COALESCE(
        (SELECT p.name FROM proxies p WHERE p.id = s.proxy_group),
        (SELECT f.name FROM former_proxies f WHERE f.proxy_id = s.proxy_group ORDER BY f.left_at DESC LIMIT 1)
    ) AS name
FROM sums s
LEFT JOIN reasons r USING ({usage.groups})

-- One row for each group, by (began_s, stack_id, proxy_id, node_id, location_id, label), each 0 or '' where it is not
-- grouped by. A label that a proxy has is '=' and its value. The cursor appears in both WHERE clauses, so that an index
-- can start there. Rows with refusals are few, and their reasons are read only for the groups that are returned:
-- `reasons_sum` takes 70 us for each row.
-- name: select_page
WITH {usage.labels_of_key}, periods AS NOT MATERIALIZED (
    {usage.grouped}
    FROM usage_hours h
    LEFT JOIN labels l ON :label_key IS NOT NULL AND l.proxy_id = h.proxy_id
    WHERE true
      AND (:since::timestamptz IS NULL OR h.hour >= :since)
      AND (:until::timestamptz IS NULL OR h.hour < :until)
      {usage.matching}
      AND (:span::text IS NULL OR h.hour >= to_timestamp(:after_began::bigint))
      AND (
          :span::text IS NOT NULL OR :by_stack::boolean OR NOT :by_proxy::boolean
          OR h.proxy_id >= :after_proxy::bigint
      )
), sums AS MATERIALIZED (
    SELECT
        {usage.groups},
        sum(received_bytes) AS received_bytes, sum(sent_bytes) AS sent_bytes, sum(connections) AS connections
    FROM periods
    WHERE ({usage.groups}) > (
        :after_began::bigint, :after_stack::bigint, :after_proxy::bigint, :after_node::bigint, :after_location::bigint,
        :after_label::text
    )
    GROUP BY {usage.groups}
    ORDER BY {usage.groups}
    LIMIT :limit::bigint
), refusals AS MATERIALIZED (
    SELECT {usage.groups}, refused
    FROM periods
    WHERE refused <> '{}'
      AND proxy_group BETWEEN (SELECT min(proxy_group) FROM sums) AND (SELECT max(proxy_group) FROM sums)
), {usage.reasons}
{usage.sums_with_reasons}
ORDER BY {usage.groups};

-- The groups with the most bytes, otherwise as in select_page. The days from `days_from` to `days_until` are read as
-- days, and the hours before and after them as hours: a month has 24 times fewer rows.
-- name: select_largest
WITH {usage.labels_of_key}, periods AS NOT MATERIALIZED (
    {usage.grouped}
    FROM (
        SELECT day AS hour, proxy_id, node_id, location_id, stack_id, received_bytes, sent_bytes, connections, refused
        FROM usage_days
        WHERE day >= :days_from::timestamptz AND day < :days_until::timestamptz
        UNION ALL
        SELECT hour, proxy_id, node_id, location_id, stack_id, received_bytes, sent_bytes, connections, refused
        FROM usage_hours
        WHERE hour < :days_from AND (:since::timestamptz IS NULL OR hour >= :since)
          AND (:until::timestamptz IS NULL OR hour < :until)
        UNION ALL
        SELECT hour, proxy_id, node_id, location_id, stack_id, received_bytes, sent_bytes, connections, refused
        FROM usage_hours
        WHERE hour >= :days_until AND (:since::timestamptz IS NULL OR hour >= :since)
          AND (:until::timestamptz IS NULL OR hour < :until)
    ) AS h
    LEFT JOIN labels l ON :label_key IS NOT NULL AND l.proxy_id = h.proxy_id
    WHERE true
      {usage.matching}
), sums AS MATERIALIZED (
    SELECT
        {usage.groups},
        sum(received_bytes) AS received_bytes, sum(sent_bytes) AS sent_bytes, sum(connections) AS connections
    FROM periods
    GROUP BY {usage.groups}
    ORDER BY
        sum(received_bytes) + sum(sent_bytes) DESC,
        {usage.groups}
    LIMIT :limit::bigint
), refusals AS MATERIALIZED (
    SELECT {usage.groups}, refused
    FROM periods
    WHERE refused <> '{}'
), {usage.reasons}
{usage.sums_with_reasons}
ORDER BY s.received_bytes + s.sent_bytes DESC, {usage.groups};

-- Add the first hour that has ended and is not yet part of its day. Nothing is added to an hour that has ended, but by
-- transactions that began in it: they are given `settled`. Of several masters only one does it at a time.
-- name: roll_up
WITH claimed AS (
    SELECT rolled_until FROM usage_rollup FOR UPDATE SKIP LOCKED
), due AS (
    SELECT min(h.hour) AS hour
    FROM usage_hours h
    JOIN claimed c ON h.hour >= c.rolled_until
    WHERE h.hour < date_trunc('hour', now() - :settled::interval, 'UTC')
), added AS (
    INSERT INTO usage_days AS d (
        proxy_id, node_id, day, location_id, stack_id, received_bytes, sent_bytes, connections, refused
    )
    SELECT
        h.proxy_id, h.node_id, date_trunc('day', h.hour, 'UTC'), h.location_id, h.stack_id, h.received_bytes,
        h.sent_bytes, h.connections, h.refused
    FROM due
    JOIN usage_hours h USING (hour)
    ON CONFLICT (proxy_id, node_id, day, location_id, stack_id) DO UPDATE
    SET received_bytes = saturating_add(d.received_bytes, EXCLUDED.received_bytes),
        sent_bytes = saturating_add(d.sent_bytes, EXCLUDED.sent_bytes),
        connections = saturating_add(d.connections, EXCLUDED.connections),
        refused = reasons_add(d.refused, EXCLUDED.refused)
)
UPDATE usage_rollup SET rolled_until = due.hour + interval '1 hour' FROM due WHERE due.hour IS NOT NULL;

-- Hours long past become part of their day, once the whole day is rolled up. Two masters fold different hours.
-- name: fold
WITH past AS (
    SELECT proxy_id, node_id, hour FROM usage_hours
    WHERE hour < date_trunc('day', now() - :kept::interval, 'UTC') AND extract(hour FROM hour AT TIME ZONE 'UTC') <> 0
      AND hour < (SELECT date_trunc('day', rolled_until, 'UTC') FROM usage_rollup)
    LIMIT :max_rows::bigint
    FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM usage_hours h USING past
    WHERE h.proxy_id = past.proxy_id AND h.node_id = past.node_id AND h.hour = past.hour
    RETURNING h.proxy_id, h.node_id, h.hour, h.location_id, h.stack_id, h.received_bytes, h.sent_bytes,
        h.connections, h.refused
)
INSERT INTO usage_hours AS d (
    proxy_id, node_id, hour, location_id, stack_id, received_bytes, sent_bytes, connections, refused
)
SELECT
    proxy_id, node_id, date_trunc('day', hour, 'UTC') AS day, max(location_id), max(stack_id),
    LEAST(sum(received_bytes), 9223372036854775807)::bigint, LEAST(sum(sent_bytes), 9223372036854775807)::bigint,
    LEAST(sum(connections), 9223372036854775807)::bigint, reasons_sum(refused)
FROM gone
GROUP BY proxy_id, node_id, day
ON CONFLICT (proxy_id, node_id, hour) DO UPDATE
SET received_bytes = saturating_add(d.received_bytes, EXCLUDED.received_bytes),
    sent_bytes = saturating_add(d.sent_bytes, EXCLUDED.sent_bytes),
    connections = saturating_add(d.connections, EXCLUDED.connections),
    refused = reasons_add(d.refused, EXCLUDED.refused);

-- Counters of proxies that left so long ago that new ones are ignored. Their names stay with their usage.
-- name: forget_counters
DELETE FROM usage_counters c
USING former_proxies f
WHERE f.proxy_id = c.proxy_id AND f.node_id = c.node_id AND f.left_at < now() - :kept::interval
    AND NOT EXISTS (SELECT FROM proxies p WHERE p.id = c.proxy_id AND p.node_id = c.node_id);

-- Shares of traffic limits that these proxies have passed in the present period, each returned once.
-- name: pass_thresholds
WITH used AS (
    SELECT
        p.id, (p.limits ->> 'traffic_bytes')::bigint AS limit_bytes, period.name AS period,
        CASE period.name WHEN 'total' THEN '-infinity' ELSE date_trunc(period.name, now(), 'UTC') END AS began,
        bytes_in_period(period.name, u) AS bytes
    FROM proxies p
    JOIN usage_totals u ON u.proxy_id = p.id
    CROSS JOIN LATERAL (SELECT COALESCE(p.limits ->> 'traffic_period', 'total') AS name) AS period
    WHERE p.id = ANY (:ids::bigint[]) AND p.limits ? 'traffic_bytes'
), passed AS (
    INSERT INTO usage_thresholds (proxy_id, percent, limit_bytes, began)
    SELECT u.id, t.percent, u.limit_bytes, u.began
    FROM used u
    JOIN unnest(:percents::integer[]) AS t (percent) ON u.bytes >= u.limit_bytes::numeric * t.percent / 100
    ON CONFLICT DO NOTHING
    RETURNING proxy_id, percent
)
SELECT
    u.id, d.percent, u.limit_bytes, u.period, u.bytes
FROM passed d
JOIN used u ON u.id = d.proxy_id
ORDER BY u.id, d.percent;

-- A month is the longest period that ends.
-- name: forget_thresholds
DELETE FROM usage_thresholds WHERE began > '-infinity' AND began < now() - interval '62 days';
