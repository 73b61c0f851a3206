-- Times that the API shows are finite: Python and JSON Schema know no infinite time.
UPDATE drain_failures SET next_at = now() WHERE NOT isfinite(next_at);
ALTER TABLE drain_failures ADD CONSTRAINT drain_failures_next_at_finite CHECK (isfinite(next_at));
ALTER TABLE schedules ADD CONSTRAINT schedules_next_at_finite CHECK (isfinite(next_at));
ALTER TABLE webhooks ADD CONSTRAINT webhooks_next_at_finite CHECK (isfinite(next_at));
ALTER TABLE rotations ADD CONSTRAINT rotations_until_finite CHECK (isfinite(until));

-- When a node confirmed something last or came back to the broker, and when the oldest list was sent of those that it has
-- not confirmed.
ALTER TABLE node_status ADD COLUMN progressed_at timestamptz NOT NULL DEFAULT now();
ALTER TABLE nodes ADD COLUMN sent_at timestamptz NOT NULL DEFAULT now();

-- What keeps a node from taking changes, in its own words; empty: nothing.
ALTER TABLE node_status ADD COLUMN trouble text NOT NULL DEFAULT '';

-- The step of each open rotation, as before. New: time runs out only while the node was sent the endpoint, is heard, and
-- confirms nothing for 30 s. A busy node that works through its lists is waited for, 10 minutes at most; one that is
-- silent, until it is heard again or counts as offline.
CREATE OR REPLACE VIEW rotation_steps AS
SELECT
    r.id, r.proxy_id,
    CASE
        WHEN p.id IS NULL THEN 'fail'
        WHEN r.state = 'overlap' THEN CASE WHEN r.until <= now() THEN 'end' END
        WHEN NOT p.enabled OR n.state = 'disabled' THEN 'fail'
        WHEN r.state = 'waiting' AND there.online THEN 'begin'
        WHEN r.state = 'starting' AND found.failure IS NOT NULL THEN 'fail'
        WHEN r.state = 'starting' AND there.online AND there.confirmed_rev >= found.due THEN 'probe'
        WHEN NOT there.online AND NOT r.scheduled THEN 'fail'
        WHEN r.state = 'starting' AND expiry.at <= now() THEN
            CASE WHEN there.reported_at >= now() - interval '20 seconds' THEN 'fail' WHEN r.scheduled THEN 'wait' END
    END AS step,
    CASE
        WHEN p.id IS NULL THEN 'the proxy was removed'
        WHEN NOT p.enabled THEN 'the proxy was disabled'
        WHEN n.state = 'disabled' THEN format('node %s was disabled', n.id)
        WHEN found.failure IS NOT NULL THEN found.failure
        WHEN NOT there.online THEN format('node %s is offline', n.id)
        WHEN n.sent_revision < found.due THEN format('node %s could not be sent its list in time', n.id)
        ELSE format('node %s has not confirmed it in time', n.id)
    END AS reason
FROM rotations r
LEFT JOIN proxies p ON p.id = r.proxy_id
LEFT JOIN endpoints e ON e.proxy_id = r.proxy_id AND e.rotation_id = r.id
LEFT JOIN nodes n ON n.id = COALESCE(e.node_id, p.node_id)
LEFT JOIN node_status there ON there.node_id = n.id
LEFT JOIN proxy_failures f ON f.proxy_id = p.id AND f.version = p.version AND f.node_id = n.id AND f.kind = 'failed'
CROSS JOIN LATERAL (
    SELECT COALESCE(e.failure, f.reason) AS failure, COALESCE(e.changed_revision, p.changed_revision) AS due
) AS found
CROSS JOIN LATERAL (
    SELECT LEAST(
        r.deadline + interval '10 minutes',
        CASE
            WHEN n.sent_revision < found.due THEN r.deadline + interval '1 minute'
            ELSE GREATEST(r.deadline, GREATEST(there.progressed_at, n.sent_at) + interval '30 seconds')
        END
    ) AS at
) AS expiry
WHERE r.state NOT IN ('done', 'failed');
