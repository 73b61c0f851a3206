"""Helpers for tests of upgrades of a node: an installation of stand-ins, and releases for it."""
