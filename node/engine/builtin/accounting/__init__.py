"""Counters of traffic, kept in a ledger that survives the worker."""
