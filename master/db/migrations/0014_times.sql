-- Times that the API shows are finite: Python and JSON Schema know no infinite time.
UPDATE drain_failures SET next_at = now() WHERE NOT isfinite(next_at);
ALTER TABLE drain_failures ADD CONSTRAINT drain_failures_next_at_finite CHECK (isfinite(next_at));
ALTER TABLE schedules ADD CONSTRAINT schedules_next_at_finite CHECK (isfinite(next_at));
ALTER TABLE webhooks ADD CONSTRAINT webhooks_next_at_finite CHECK (isfinite(next_at));
ALTER TABLE rotations ADD CONSTRAINT rotations_until_finite CHECK (isfinite(until));
