"""Helpers for tests of the master."""
