"""Writes: idempotency keys, waiting for nodes to confirm, and what a write did."""
