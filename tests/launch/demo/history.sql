-- The past of the demo fleet: 90 days of usage, and the events of its creation, spread over the last month.

-- Usage by the hour for two weeks, and by the day before. It follows the time of day and the week, grows slowly, and
-- differs by proxy and customer. The node of a proxy was the same all the time.
INSERT INTO usage_hours (
    proxy_id, node_id, hour, location_id, stack_id, received_bytes, sent_bytes, connections, refused
)
SELECT
    p.id, p.node_id, at.hour, n.location_id, p.stack_id,
    (bytes.of * 0.08)::bigint, bytes.of::bigint, GREATEST(1, bytes.of / 300000)::bigint,
    CASE WHEN draw.of < 0.05 THEN jsonb_build_object('login', 1 + (draw.of * 400)::integer) ELSE '{}' END
FROM proxies p
JOIN nodes n ON n.id = p.node_id
CROSS JOIN LATERAL (
    SELECT generate_series(
        date_trunc('hour', now()) - interval '14 days', date_trunc('hour', now()) - interval '1 hour', interval '1 hour'
    ) AS hour, 1 AS hours
    UNION ALL
    SELECT generate_series(
        date_trunc('day', now(), 'UTC') - interval '90 days', date_trunc('day', now(), 'UTC') - interval '15 days',
        interval '1 day'
    ), 24
) AS at
CROSS JOIN LATERAL (
    SELECT abs(hashint8(p.id * 7919 + extract(epoch FROM at.hour)::bigint) % 1000) / 1000.0 AS of
) AS draw
CROSS JOIN LATERAL (
    SELECT at.hours * 4e6
        * (0.3 + draw.of)
        * (1.2 + sin((extract(hour FROM at.hour) - 9) / 24.0 * 2 * pi()))
        * (CASE WHEN extract(isodow FROM at.hour) > 5 THEN 0.6 ELSE 1 END)
        * (1 - 0.6 * extract(epoch FROM now() - at.hour) / extract(epoch FROM interval '90 days'))
        * (6.0 / (1 + COALESCE((p.labels ->> 'customer')::integer, 40) % 17)) AS of
) AS bytes
ON CONFLICT DO NOTHING;

-- Events so far, stretched over the last 30 days until an hour ago in the same order.
UPDATE events SET at = now() - interval '30 days'
    + (at - edge.first) / GREATEST(extract(epoch FROM edge.last - edge.first), 1)
    * extract(epoch FROM interval '30 days' - interval '1 hour')
FROM (SELECT min(at) AS first, max(at) AS last FROM events) AS edge;

-- Everything that exists was created then, and who has which endpoint has had it since.
UPDATE locations SET created_at = created_at - interval '30 days';
UPDATE nodes SET created_at = created_at - interval '30 days';
UPDATE stacks SET created_at = created_at - interval '30 days';
UPDATE proxies SET created_at = created_at - interval '30 days';
UPDATE endpoint_history SET since = since - interval '30 days' WHERE until IS NULL;
