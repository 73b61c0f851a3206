"""Helpers for tests of the engines."""
