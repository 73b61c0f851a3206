"""Pure decisions: access, destinations, limits, quotas and rates."""
