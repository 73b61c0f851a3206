"""Measured by hand, never by a timed test: ./dev python -m tests.bench.NAME."""
